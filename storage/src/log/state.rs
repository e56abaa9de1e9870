//! What one log knows, and who waits for it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use protocol::model::{Offset, TopicId};
use reactor::sync::{Budget, Notify};
use reactor::task::Group;

use super::checkpoint::Checkpointed;
use super::compaction_gate::CompactionGate;
use super::progress::Progress;
use crate::chunk::{Cursor, Tail};
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::log_directory::TopicPartition;
use crate::segment::Segment;
use crate::space::Grant;
use crate::state::{LeaderEpochs, Producers};
use crate::volume::{DirtyBytes, LogId, Volume};

pub(crate) type DurableListener = Rc<dyn Fn(Result<Offset, StorageError>)>;

/// What the handles of one log share.
pub(crate) struct Inner {
    pub(crate) id: LogId,
    pub(super) volume: Rc<Volume>,
    pub(super) directory: PathBuf,
    /// As its directory is called; absent for a directory that is not called after a partition.
    pub(super) name: Option<TopicPartition>,
    pub(super) topic_id: Option<TopicId>,
    /// Never borrowed across an await.
    pub(super) state: RefCell<State>,
    pub(super) listener: RefCell<Option<DurableListener>>,
    pub(super) appended: Notify,
    /// Of one share: who has it alone changes which files there are.
    pub(super) files: Budget,
    /// Of one share: who has it alone reads or rebuilds the index files of segments that are rolled, or
    /// brings those of the active one up to date.
    pub(super) index_files: Budget,
    pub(super) compaction: CompactionGate,
    /// The log's progress has moved, or its phase has changed.
    pub(super) progressed: Notify,
    /// The segments' writer and the tasks that seal rolled segments.
    pub(super) tasks: Group,
    pub(super) writer_runs: Cell<bool>,
    /// The log stands in the line for the journal's next group.
    pub(crate) is_offered: Cell<bool>,
    /// The volume looks after it: it is not at rest.
    pub(crate) is_awake: Cell<bool>,
    /// A task allocates blocks, or asks for a grant.
    pub(super) is_making_room: Cell<bool>,
    /// It has ended, or a segment has got its file.
    pub(super) room_changed: Notify,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.volume.remove(self.id);
    }
}

/// Whether a log takes appends.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Open,
    /// A write or flush failed.
    Offline(Arc<StorageError>),
    /// A clean stop is writing the last of it, or has.
    Closed,
    /// Nothing more is written.
    Deleted,
}

/// The state of one log. Everything in it changes within one turn.
pub(crate) struct State {
    pub(super) phase: Phase,
    pub(super) config: LogConfig,
    /// By base offset; the last is the active one. Never empty.
    pub(super) segments: BTreeMap<Offset, Segment>,
    pub(super) tail: Tail,
    pub(super) log_start_offset: Offset,
    /// As the replica said last; the log start until it has.
    pub(super) high_watermark: Offset,
    pub(super) progress: Progress,
    /// Below it the log is compacted; perhaps below the log start.
    pub(super) first_dirty_offset: Offset,
    /// A compaction has found what it cannot read: none is tried again until the log is opened anew.
    pub(super) is_uncleanable: bool,
    /// The segments of these offsets are changing their files: none is opened meanwhile.
    pub(super) replaced: Option<Range<Offset>>,
    /// Counts such changes: who read files meanwhile looks again.
    pub(super) replacements: u64,
    /// Room for the segment that the next roll begins.
    pub(super) next_grant: Option<Grant>,
    /// Where readers of files have stopped, the latest last: where they will go on.
    pub(super) read_ends: Vec<Cursor>,
    /// Segments whose indexes have led astray and could not be rebuilt: reads walk them from the start.
    pub(super) distrusted_indexes: BTreeSet<Offset>,
    /// Bytes appended that no file has yet.
    pub(super) dirty: DirtyBytes,
    /// Rolled segments whose indexes are not written yet.
    pub(super) unsealed: BTreeMap<Offset, Unsealed>,
    pub(super) epochs: LeaderEpochs,
    /// `epochs` differs from its checkpoint.
    pub(super) epochs_changed: bool,
    /// A checkpoint waits for the file of leader epochs.
    pub(super) epochs_due: bool,
    pub(super) producers: Producers,
    /// Offset of the newest producer snapshot.
    pub(super) snapshot_offset: Option<Offset>,
    /// The files differ from what a clean stop leaves behind.
    pub(super) touched: bool,
    /// What the last entry in the core's checkpoint says; `None` where there is none that holds.
    pub(super) checkpointed: Option<Checkpointed>,
    /// Of the last entry; 0 where there was none.
    pub(super) checkpoint_generation: u64,
    /// Its files are about to be cut: no checkpoint may claim what they hold.
    pub(super) is_being_cut: bool,
    /// It is deleted, and the journal's records of it are void: no checkpoint waits for it.
    pub(super) is_given_up: bool,
    /// Counts truncations: who awaited one meanwhile looks again.
    pub(super) truncations: u64,
}

/// What is written once a rolled segment is durable.
pub(crate) struct Unsealed {
    /// The producers as of the next segment's base offset.
    pub(super) snapshot: Vec<u8>,
    pub(super) sealing: bool,
}

impl State {
    pub(super) fn active(&self) -> &Segment {
        self.segments.values().next_back().expect("a log has an active segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.values_mut().next_back().expect("a log has an active segment")
    }

    pub(super) fn log_end_offset(&self) -> Offset {
        self.active().next_offset
    }

    /// All below is flushed and needs no index to be rebuilt.
    pub(super) fn recovery_point(&self) -> Offset {
        let flushed = self.progress.flushed().offset;
        self.first_unsealed().map_or(flushed, |offset| offset.min(flushed))
    }

    /// Where the first segment begins that has rolled and whose files are not complete.
    pub(super) fn first_unsealed(&self) -> Option<Offset> {
        self.unsealed.keys().next().copied()
    }

    /// INV-1, as far as one log knows it.
    pub(super) fn check_invariants(&self) {
        let end = self.log_end_offset();
        let (start, high_watermark) = (self.log_start_offset, self.high_watermark);
        assert!(
            start <= high_watermark,
            "INV-1: log_start_offset {start} <= high_watermark {high_watermark}"
        );
        assert!(
            high_watermark <= end,
            "INV-1: high_watermark {high_watermark} <= log_end_offset {end}"
        );
        self.progress.check_invariants(end);
    }
}

impl Inner {
    /// That the log takes appends and reads.
    pub(super) fn check_open(&self, state: &State) -> Result<(), StorageError> {
        match &state.phase {
            Phase::Open => Ok(()),
            Phase::Offline(source) => Err(StorageError::Offline {
                directory: self.directory.clone(),
                source: source.clone(),
            }),
            Phase::Closed | Phase::Deleted => {
                Err(StorageError::Closed { directory: self.directory.clone() })
            }
        }
    }

    /// Takes the log offline: no retry, no acknowledgement, since what a failed flush has left on
    /// disk is unknown (Rebello et al., ATC '20).
    pub(crate) fn poison(&self, error: StorageError) {
        tracing::error!(log = %self.directory.display(), %error, "log goes offline");
        let offline = {
            let mut state = self.state.borrow_mut();
            if !matches!(state.phase, Phase::Open | Phase::Closed) {
                return;
            }
            state.phase = Phase::Offline(Arc::new(error));
            // What is dirty will never be written: it must not take the place of what can be.
            state.tail.let_go();
            state.dirty.clear();
            self.check_open(&state)
        };
        self.progressed.notify_all();
        self.appended.notify_all();
        if let Err(error) = offline {
            self.tell_listener(Err(error));
        }
    }

    pub(super) fn tell_listener(&self, news: Result<Offset, StorageError>) {
        let listener = self.listener.borrow().clone();
        if let Some(listener) = listener {
            listener(news);
        }
    }
}
