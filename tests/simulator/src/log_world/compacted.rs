//! What compaction may have taken from a log, and nothing more: offsets never move, of each key the last
//! record stays, and a tombstone goes only after its time, when nothing that it has deleted is left.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::{Record, RecordBatch, RecordError};

use super::model::{KnownBatch, LogModel};
use crate::verdict::Failure;

/// More than any batch of this world.
const RECORDS_SIZE_BYTES_MAX: usize = 1 << 20;

/// What rounds of compaction may have done to the tombstones of one log.
#[derive(Clone, Debug, Default)]
pub struct Tombstones {
    /// When the round began that goes on, in the time it was told.
    round: Option<i64>,
    /// The earliest time at which a round may have met each first.
    first_met: BTreeMap<Offset, i64>,
    /// Those of which a round may have been told that their time is over.
    due: BTreeSet<Offset>,
    retention_ms: i64,
    /// What took the place of records is gone itself: nobody can say any more which may be missing.
    pub is_unknown: bool,
}

impl Tombstones {
    fn meet(&mut self, offset: Offset, now: i64) {
        let first = self.first_met.entry(offset).or_insert(now);
        *first = now.min(*first);
        if now >= first.saturating_add(self.retention_ms) {
            self.due.insert(offset);
        }
    }

    /// The log ends there.
    pub fn ends_at(&mut self, end: Offset) {
        self.first_met.split_off(&end);
        self.due.split_off(&end);
    }
}

impl LogModel {
    /// A round begins at the time `now`, with this `delete.retention.ms`; it may meet all tombstones
    /// that are there, or come while it goes on.
    pub fn round_begins(&mut self, now: i64, retention_ms: i64) {
        self.tombstones.round = Some(now);
        self.tombstones.retention_ms = retention_ms;
        for known in &self.batches {
            for record in records(&known.batch) {
                if record.value.is_none() {
                    let offset = Offset(known.base_offset.0 + record.offset.0);
                    self.tombstones.meet(offset, now);
                }
            }
        }
    }

    pub fn round_ends(&mut self) {
        self.tombstones.round = None;
    }

    /// A batch was appended.
    pub fn is_appended(&mut self, appended: KnownBatch) {
        if let Some(now) = self.tombstones.round {
            for record in records(&appended.batch).filter(|record| record.value.is_none()) {
                let offset = Offset(appended.base_offset.0 + record.offset.0);
                self.tombstones.meet(offset, now);
            }
        }
        self.batches.push(appended);
    }

    /// What was found of the batch `known`: all that is missing of it may be.
    pub fn check_compacted(
        &self,
        known: &KnownBatch,
        found: &RecordBatch,
    ) -> Result<Vec<Record>, Failure> {
        let broken = |what: &str| {
            let what = format!("{}: the batch at {} {what}", self.name, known.base_offset);
            Err(Failure::broken(2, what))
        };
        if found.verify_crc().is_err() {
            return broken("has another CRC than its bytes");
        }
        let (was, is) = (known.batch.header(), found.header());
        let is_same = is.next_offset() == known.next_offset
            && is.partition_leader_epoch == Some(known.leader_epoch)
            && (was.producer_id, was.producer_epoch) == (is.producer_id, is.producer_epoch)
            && (was.base_sequence, was.last_sequence()) == (is.base_sequence, is.last_sequence());
        if !is_same {
            return broken(&format!("was {was:?}, and is {is:?}"));
        }
        let left: Result<Vec<Record>, RecordError> =
            found.records(RECORDS_SIZE_BYTES_MAX).and_then(Iterator::collect);
        let Ok(left) = left else {
            return broken("is unreadable");
        };
        let mut rest = left.iter().peekable();
        for record in placed(known) {
            if rest.next_if(|left| **left == record).is_none() {
                self.check_gone(&record)?;
            }
        }
        match rest.next() {
            None => Ok(left),
            Some(other) => broken(&format!("has a record that was not there: {other:?}")),
        }
    }

    /// That the batches from `from` up to `to` may all be gone.
    pub fn check_gap(&self, from: Offset, to: Offset) -> Result<(), Failure> {
        let first = self.batches.partition_point(|known| known.next_offset <= from);
        for known in self.batches[first..].iter().take_while(|known| known.base_offset < to) {
            for record in placed(known) {
                self.check_gone(&record)?;
            }
        }
        Ok(())
    }

    fn check_gone(&self, record: &Record) -> Result<(), Failure> {
        let is_due = record.value.is_none() && self.tombstones.due.contains(&record.offset);
        let is_superseded = || {
            let exposed = self.batches.iter().rev();
            let exposed = exposed.filter(|known| known.next_offset <= self.high_watermark);
            let later = exposed.take_while(|known| known.next_offset > record.offset);
            later
                .flat_map(placed)
                .any(|later| later.offset > record.offset && later.key == record.key)
        };
        if self.tombstones.is_unknown || is_due || is_superseded() {
            return Ok(());
        }
        let what = format!(
            "{}: record {} is gone, a {} that nothing follows of its key; high watermark {}",
            self.name,
            record.offset,
            if record.value.is_none() { "tombstone" } else { "value" },
            self.high_watermark,
        );
        Err(Failure::broken(2, what))
    }

    /// That `found`, the records from the start of a log that nobody works on, have nothing that a
    /// tombstone has deleted that is gone itself.
    pub fn check_deleted(&self, start: Offset, found: &[Record]) -> Result<(), Failure> {
        if self.tombstones.is_unknown {
            return Ok(());
        }
        // A damaged checkpoint may forget a log start: below that nothing is promised any more.
        let start = start.max(self.start_asked);
        let mut last_found: BTreeMap<&Bytes, Offset> = BTreeMap::new();
        for record in found.iter().filter(|record| record.offset >= start) {
            last_found.extend(record.key.as_ref().map(|key| (key, record.offset)));
        }
        let mut last: BTreeMap<Bytes, Offset> = BTreeMap::new();
        for record in self.batches.iter().flat_map(placed).filter(|it| it.offset >= start) {
            last.extend(record.key.map(|key| (key, record.offset)));
        }
        for (key, offset) in last_found {
            if last.get(key) != Some(&offset) {
                let what = format!(
                    "{}: the last record of a key is at {offset}, and was at {:?}",
                    self.name,
                    last.get(key)
                );
                return Err(Failure::broken(2, what));
            }
        }
        Ok(())
    }
}

/// The records of a batch as it was made: offsets begin with 0.
fn records(batch: &RecordBatch) -> impl Iterator<Item = Record> {
    let records = batch.records(RECORDS_SIZE_BYTES_MAX).expect("our own batch");
    records.map(|record| record.expect("our own record"))
}

/// The records of a batch where they were appended.
fn placed(known: &KnownBatch) -> impl Iterator<Item = Record> {
    let base_offset = known.base_offset;
    records(&known.batch)
        .map(move |record| Record { offset: Offset(base_offset.0 + record.offset.0), ..record })
}
