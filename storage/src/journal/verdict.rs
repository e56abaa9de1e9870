//! What replay may do with a record: append, and only at the log end.

use protocol::model::Offset;

use super::replay::ReplayRecord;

/// What becomes of a record, given where its partition's log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The log has it.
    Skip,
    /// Its batches from `from` on, the log end, are appended. Where none of them begins there, the
    /// partition is corrupt.
    Append { from: Offset },
    /// It stands above a gap that nobody was told is filled: it was never acknowledged.
    Drop,
    /// What was durable is missing: the partition goes offline, and nothing is cut or appended.
    Corrupt,
}

impl ReplayRecord {
    /// What becomes of the record in a log that ends at `log_end_offset`.
    ///
    /// A record holds whole batches, and a crash may have left some of them in the segment: so its
    /// range may begin below the log end and end above it. Then what follows the log end is appended.
    pub fn verdict(&self, log_end_offset: Offset) -> Verdict {
        let share = &self.share;
        if share.next_offset <= log_end_offset {
            return Verdict::Skip;
        }
        if share.base_offset > log_end_offset && share.durable_end_offset <= log_end_offset {
            return Verdict::Drop;
        }
        if !self.is_sound || share.base_offset > log_end_offset {
            return Verdict::Corrupt;
        }
        Verdict::Append { from: log_end_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_appends_at_the_log_end_and_nowhere_else() {
        let append = |from| Verdict::Append { from: Offset(from) };
        for (base, next, durable, is_sound, log_end, want) in [
            (10, 20, 10, true, 20, Verdict::Skip), // the segment has all of it
            (10, 20, 10, true, 25, Verdict::Skip), // and more
            (10, 20, 10, false, 20, Verdict::Skip), // damaged, and not needed
            (10, 20, 10, true, 10, append(10)),    // the log ends where it begins
            (10, 20, 5, true, 10, append(10)),     // what came before was in flight, and arrived
            (10, 20, 10, true, 15, append(15)),    // the segment has some of its batches
            (10, 20, 10, false, 10, Verdict::Corrupt), // it was needed
            (10, 20, 10, false, 15, Verdict::Corrupt),
            (10, 20, 5, true, 5, Verdict::Drop), // what came before was never durable: nor told
            (10, 20, 5, true, 9, Verdict::Drop),
            (10, 20, 5, false, 5, Verdict::Drop),
            (10, 20, 10, true, 9, Verdict::Corrupt), // what came before was durable, and is gone
            (10, 20, 6, true, 5, Verdict::Corrupt),
            (10, 20, 10, true, 0, Verdict::Corrupt),
        ] {
            let row = (base, next, durable, is_sound, log_end);
            let record = ReplayRecord::for_verdict(base, next, durable, is_sound);
            assert_eq!(record.verdict(Offset(log_end)), want, "{row:?}");
        }
    }
}
