//! Planted bugs: each is switched on in code that ships (`reactor::planted!`, in a build for this
//! alone), and must be caught by the seeds that find nothing without it.

use reactor::sim::Simulation;

/// A bug by its name in the code, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted(Option<&'static str>);

/// All of them, with what each does.
pub const BUGS: &[(&str, &str)] = &[
    ("acknowledge_before_flush", "a group counts as durable when the device has it, unflushed"),
    ("acknowledge_over_a_gap", "a share counts as durable though what is before it is on its way"),
    ("recycle_before_segment_flush", "the journal is used again before segments hold what it has"),
    ("replay_by_name", "records of a topic that was deleted go into the one of its name"),
    ("no_fence_at_truncation", "what the journal has of a log that is cut stays valid"),
    ("roll_without_directory_flush", "the name of a new segment is not made durable"),
    ("rename_without_directory_flush", "a deleted log's new name is not made durable"),
    ("high_watermark_from_log_end", "what is not durable is exposed and acknowledged"),
    ("duplicate_window_of_four", "four batches of a producer are remembered, not five"),
    ("stale_journal_epoch_accepted", "records of an earlier use of a journal file are taken"),
    ("clean_marker_left_at_start", "after a crash the last stop seems to have been a clean one"),
    ("padding_not_zeroed", "behind the end of a log stand bytes that nobody appended there"),
    ("recovery_point_from_journal", "what only the journal has is checkpointed as in the segment"),
    ("answer_before_commit", "the controller answers when its records are appended, not flushed"),
    ("decide_on_stale_state", "the controller decides without what it decided and is not flushed"),
    ("snapshot_without_its_last_record", "a metadata snapshot lacks the last record of the image"),
    // Of our own choosing.
    ("bypass_counts_when_written", "what went past the journal is durable before its flush"),
    ("checkpoint_kept_at_truncation", "the checkpoint goes on to claim what a cut takes away"),
    ("duplicate_acknowledged_at_once", "a retry is acknowledged while its batch is not durable"),
    ("journal_void_not_flushed", "a journal file may come back to life after a power loss"),
    ("journal_zeroed_while_in_use", "a journal file is zeroed after its first group may be there"),
    ("retention_before_the_next_file", "all segments go before the one that stays is on disk"),
    (
        "compaction_drops_tombstones_early",
        "a tombstone goes when it is met first, not after its time",
    ),
    ("compaction_moves_last_offset", "a batch that loses its last record ends earlier"),
    ("group_answers_before_commit", "a commit of offsets is answered before it is flushed"),
    ("generation_stays_as_it_is", "a rebalance assigns anew in the generation that there was"),
    ("fenced_member_goes_on", "a static member whose instance is another's may commit"),
    ("replay_changes_an_offset", "some offsets are loaded as the ones behind them"),
    ("snapshot_one_batch_behind", "a producer's last batch is not in the snapshot"),
];

impl Planted {
    pub const NONE: Planted = Planted(None);

    /// The bug called `name`.
    pub fn of_name(name: &str) -> Option<Planted> {
        BUGS.iter().find(|(known, _)| *known == name).map(|(known, _)| Planted(Some(known)))
    }

    pub fn all() -> Vec<Planted> {
        BUGS.iter().map(|(name, _)| Planted(Some(name))).collect()
    }

    pub fn name(self) -> &'static str {
        self.0.unwrap_or("none")
    }

    #[cfg(feature = "planted-bugs")]
    pub fn plant(self, simulation: &Simulation) {
        if let Some(name) = self.0 {
            simulation.plant(name);
        }
    }

    /// Nothing can be planted in this build.
    #[cfg(not(feature = "planted-bugs"))]
    pub fn plant(self, _: &Simulation) {
        assert!(self.0.is_none(), "this build has no planted bugs: use --features planted-bugs");
    }
}
