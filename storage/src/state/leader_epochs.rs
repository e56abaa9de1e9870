//! Which leader epoch begins at which offset, and `leader-epoch-checkpoint`. Source: KIP-101.

use std::ops::Range;

use protocol::model::{LeaderEpoch, Offset};

use crate::log::EpochEnd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    leader_epoch: LeaderEpoch,
    start_offset: Offset,
}

/// The epochs of one log; epochs and their start offsets only grow along it (INV-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<Entry>,
}

impl LeaderEpochs {
    /// From `leader-epoch-checkpoint`: version, count, then an epoch and its start offset a line.
    pub(crate) fn decode(text: &str) -> Result<Self, &'static str> {
        // Apache Kafka makes the file empty, and fills it when there is something to say.
        if text.is_empty() {
            return Ok(LeaderEpochs::default());
        }
        let mut lines = text.lines();
        if lines.next().map(str::trim) != Some("0") {
            return Err("its version is not 0");
        }
        let count: usize = lines
            .next()
            .and_then(|line| line.trim().parse().ok())
            .ok_or("it has no entry count")?;
        let mut epochs = LeaderEpochs::default();
        for line in lines {
            let (leader_epoch, start_offset) =
                line.trim().split_once(' ').ok_or("a line is not an epoch and an offset")?;
            let leader_epoch = leader_epoch.parse().ok().and_then(LeaderEpoch::from_wire);
            let start_offset = start_offset.parse().ok().and_then(Offset::from_wire);
            let (Some(leader_epoch), Some(start_offset)) = (leader_epoch, start_offset) else {
                return Err("a line is not an epoch and an offset");
            };
            if !epochs.maybe_assign(leader_epoch, start_offset) {
                return Err("its epochs do not grow");
            }
        }
        if epochs.entries.len() == count { Ok(epochs) } else { Err("its entry count is wrong") }
    }

    pub(crate) fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            text.push_str(&format!("{} {}\n", entry.leader_epoch, entry.start_offset));
        }
        text
    }

    /// Notes that a batch of `leader_epoch` begins at `start_offset`. Returns whether that is new;
    /// the current epoch and older ones change nothing.
    pub(crate) fn maybe_assign(&mut self, leader_epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if self.entries.last().is_some_and(|last| leader_epoch <= last.leader_epoch) {
            return false;
        }
        // An epoch that wrote nothing before its successor began has no offsets of its own.
        self.truncate_from_end(start_offset);
        self.entries.push(Entry { leader_epoch, start_offset });
        true
    }

    /// A scan has found a batch of `leader_epoch` with the offsets of `batch`: it wins over entries that
    /// say otherwise, which a truncation may have left in the file, as in Kafka's
    /// `LeaderEpochFileCache.assign`. Those that begin behind it stay until a batch says otherwise: of an
    /// epoch whose first batches are compacted nothing else says where it begins.
    pub(crate) fn found(&mut self, leader_epoch: LeaderEpoch, batch: Range<Offset>) {
        let within = self.entries.partition_point(|entry| entry.start_offset <= batch.start);
        let behind = self.entries.partition_point(|entry| entry.start_offset < batch.end);
        if within == behind && self.at(batch.start) == Some(leader_epoch) {
            return;
        }
        let behind = self.entries.split_off(behind);
        self.entries.truncate(within);
        if self.at(batch.start) != Some(leader_epoch) {
            self.truncate_from_end(batch.start);
            while self.entries.last().is_some_and(|last| last.leader_epoch > leader_epoch) {
                self.entries.pop();
            }
            self.maybe_assign(leader_epoch, batch.start);
        }
        let later = behind.into_iter().filter(|entry| entry.leader_epoch > leader_epoch);
        self.entries.extend(later);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LeaderEpoch, Offset)> {
        self.entries.iter().map(|entry| (entry.leader_epoch, entry.start_offset))
    }

    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.leader_epoch)
    }

    pub(crate) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).and_then(|index| self.entries.get(index)).map(|e| e.leader_epoch)
    }

    /// Where the largest epoch not above `requested` ends; for an epoch before the first of this log
    /// the start of that first one. `None` for an epoch newer than the latest: the asker knows more.
    /// Source: KIP-279.
    pub(crate) fn end_offset_for(
        &self,
        requested: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<EpochEnd> {
        let above = self.entries.partition_point(|entry| entry.leader_epoch <= requested);
        let floor = above.checked_sub(1).and_then(|index| self.entries.get(index));
        let leader_epoch = floor.map_or(requested, |entry| entry.leader_epoch);
        match self.entries.get(above) {
            Some(next) => Some(EpochEnd { leader_epoch, end_offset: next.start_offset }),
            None => (self.latest() == Some(requested))
                .then_some(EpochEnd { leader_epoch, end_offset: log_end_offset }),
        }
    }

    /// Forgets epochs that begin at or behind `end_offset`. Returns whether there were any.
    pub(crate) fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        changed
    }

    /// Forgets what lies below `start_offset`; the epoch that holds it begins there from now on.
    /// Returns whether anything changed. Source: Kafka's `LeaderEpochFileCache.truncateFromStart`.
    pub(crate) fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let above = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(holder) = above.checked_sub(1) else {
            return false;
        };
        self.entries.drain(..holder);
        let holds = self.entries.first_mut().filter(|entry| entry.start_offset < start_offset);
        let moved = holds.map(|entry| entry.start_offset = start_offset).is_some();
        moved || holder > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (leader_epoch, start_offset) in [(0, 0), (2, 10), (5, 20)] {
            assert!(epochs.maybe_assign(LeaderEpoch(leader_epoch), Offset(start_offset)));
        }
        epochs
    }

    #[test]
    fn answers_where_an_epoch_ends() {
        let epochs = sample();
        for (requested, want) in [
            (0, Some((0, 10))),
            (1, Some((0, 10))),
            (2, Some((2, 20))),
            (4, Some((2, 20))),
            (5, Some((5, 33))),
            (6, None),
        ] {
            let end = epochs.end_offset_for(LeaderEpoch(requested), Offset(33));
            let want = want.map(|(leader_epoch, end_offset)| EpochEnd {
                leader_epoch: LeaderEpoch(leader_epoch),
                end_offset: Offset(end_offset),
            });
            assert_eq!(end, want, "epoch {requested}");
        }
        let late = EpochEnd { leader_epoch: LeaderEpoch(1), end_offset: Offset(7) };
        let mut begins_late = LeaderEpochs::default();
        begins_late.maybe_assign(LeaderEpoch(3), Offset(7));
        assert_eq!(begins_late.end_offset_for(LeaderEpoch(1), Offset(33)), Some(late));
        assert_eq!(LeaderEpochs::default().end_offset_for(LeaderEpoch(0), Offset(0)), None);
    }

    #[test]
    fn knows_the_epoch_of_an_offset() {
        for (offset, want) in [(0, 0), (9, 0), (10, 2), (25, 5)] {
            assert_eq!(sample().at(Offset(offset)), Some(LeaderEpoch(want)), "offset {offset}");
        }
        assert_eq!(LeaderEpochs::default().at(Offset(3)), None);
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let mut epochs = sample();
        assert!(!epochs.maybe_assign(LeaderEpoch(5), Offset(30)));
        assert!(!epochs.maybe_assign(LeaderEpoch(3), Offset(30)));
        assert!(epochs.maybe_assign(LeaderEpoch(7), Offset(20)));
        assert_eq!(epochs.encode(), "0\n3\n0 0\n2 10\n7 20\n");
        assert!(epochs.truncate_from_end(Offset(10)));
        assert_eq!(epochs.encode(), "0\n1\n0 0\n");
        assert!(!epochs.truncate_from_end(Offset(10)));
    }

    #[test]
    fn what_lies_below_the_log_start_is_forgotten() {
        for (start_offset, changed, want) in [
            (0, false, "0\n3\n0 0\n2 10\n5 20\n"),
            (7, true, "0\n3\n0 7\n2 10\n5 20\n"),
            (10, true, "0\n2\n2 10\n5 20\n"),
            (99, true, "0\n1\n5 99\n"),
        ] {
            let mut epochs = sample();
            assert_eq!(epochs.truncate_from_start(Offset(start_offset)), changed, "{start_offset}");
            assert_eq!(epochs.encode(), want, "{start_offset}");
            assert!(!epochs.truncate_from_start(Offset(start_offset)), "again {start_offset}");
        }
        let mut begins_late = LeaderEpochs::default();
        begins_late.maybe_assign(LeaderEpoch(3), Offset(7));
        assert!(!begins_late.truncate_from_start(Offset(6)));
        assert!(!LeaderEpochs::default().truncate_from_start(Offset(6)));
    }

    #[test]
    fn reads_kafkas_text() {
        assert_eq!(LeaderEpochs::decode(&sample().encode()), Ok(sample()));
        assert_eq!(LeaderEpochs::decode("0\n0\n"), Ok(LeaderEpochs::default()));
        assert_eq!(LeaderEpochs::decode(""), Ok(LeaderEpochs::default()));
        for text in
            ["1\n0\n", "0\n", "0\n2\n0 0\n", "0\n1\n0\n", "0\n2\n3 0\n1 5\n", "0\n1\n-1 0\n"]
        {
            assert!(LeaderEpochs::decode(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_a_scan_finds_wins_over_the_file() {
        for (entries, (leader_epoch, batch), want) in [
            (&[(0, 0), (3, 91)][..], (0, 91..95), "0\n1\n0 0\n"), // cut at 91, then an older epoch's
            (&[(0, 0), (3, 91)], (0, 50..60), "0\n2\n0 0\n3 91\n"), // known
            (&[(0, 0), (3, 91)], (0, 50..91), "0\n2\n0 0\n3 91\n"),
            (&[(0, 0), (3, 91)], (0, 50..92), "0\n1\n0 0\n"),
            (&[(0, 0), (3, 91)], (3, 95..99), "0\n2\n0 0\n3 91\n"), // known
            (&[(0, 0), (3, 91)], (4, 99..100), "0\n3\n0 0\n3 91\n4 99\n"),
            (&[(0, 0), (3, 91), (4, 97)], (4, 95..99), "0\n3\n0 0\n3 91\n4 95\n"),
            (&[(2, 0), (3, 91)], (1, 91..92), "0\n1\n1 91\n"),
            (&[], (2, 7..8), "0\n1\n2 7\n"),
            // A log start that a crash has forgotten: what was below it is there again.
            (&[(1, 25), (2, 28)], (1, 18..20), "0\n2\n1 18\n2 28\n"),
            (&[(2, 28), (3, 40)], (1, 18..20), "0\n3\n1 18\n2 28\n3 40\n"),
            (&[(2, 28), (3, 40)], (2, 18..20), "0\n2\n2 18\n3 40\n"),
            (&[(2, 28), (3, 40)], (3, 18..20), "0\n1\n3 18\n"),
        ] {
            let mut epochs = LeaderEpochs::default();
            for &(leader_epoch, start_offset) in entries {
                epochs.maybe_assign(LeaderEpoch(leader_epoch), Offset(start_offset));
            }
            epochs.found(LeaderEpoch(leader_epoch), Offset(batch.start)..Offset(batch.end));
            assert_eq!(epochs.encode(), want, "{entries:?} {leader_epoch} {batch:?}");
        }
    }
}
