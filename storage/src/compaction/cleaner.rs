//! What of a batch stays. Source: Kafka's `Cleaner.cleanInto`, KIP-534.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::model::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use protocol::record_batch::{
    BatchHeader, ControlRecordType, Kept, Record, RecordBatch, RecordError, StreamLimits,
    with_records, without_records,
};

use super::key_map::KeyMap;
use super::transactions::{Marker, TransactionsSeen};

/// What holds for all of a round's second pass.
pub(crate) struct Round {
    pub(crate) map: KeyMap,
    /// The map knows all keys below; what lies at or behind it stays.
    pub(crate) mapped_end: Offset,
    /// Where the round ends at most: the batch that ends there stays, empty perhaps.
    pub(crate) bound: Offset,
    pub(crate) now: TimestampMs,
    /// `delete.retention.ms`
    pub(crate) delete_retention_ms: u64,
    /// How much of a batch there is memory for.
    pub(crate) limits: StreamLimits,
}

/// What must be left of a producer that is known: its last batch of records, or, where none of them is
/// known, its markers of this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastOfProducer {
    pub(crate) last_data_offset: Option<Offset>,
    pub(crate) producer_epoch: Option<ProducerEpoch>,
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cleaned {
    Gone,
    AsItWas,
    Rewritten(Bytes),
}

/// Goes over the batches of a log, from the oldest on.
pub(crate) struct Cleaner<'a> {
    pub(crate) round: &'a Round,
    pub(crate) transactions: TransactionsSeen,
    pub(crate) producers: BTreeMap<ProducerId, LastOfProducer>,
}

impl Cleaner<'_> {
    /// What becomes of `batch`, the next one. With `ends_segment` something of it stays: so a segment
    /// ends where those it replaces did, and whoever finds both after a crash knows what is replaced.
    ///
    /// Errors: its records cannot be read.
    pub(crate) fn clean(
        &mut self,
        batch: &RecordBatch,
        ends_segment: bool,
    ) -> Result<Cleaned, RecordError> {
        let header = batch.header();
        let has_no_transaction = header.is_control() && {
            let first = batch.stream(self.round.limits)?.next().transpose()?;
            self.transactions.marker(header, marker_of(first.as_ref()))
        };
        let is_of_aborted = !header.is_control() && self.transactions.batch(header);
        if header.next_offset() > self.round.bound {
            // A transaction whose end a new leader may not know is none to judge by.
            return Ok(Cleaned::AsItWas);
        }
        let horizon = header.delete_horizon();
        let is_past_horizon = horizon.is_some_and(|horizon| horizon <= self.round.now);
        let is_discarded = is_of_aborted || (has_no_transaction && is_past_horizon);
        let keeps = |record: &Record| {
            !is_discarded && (header.is_control() || self.keeps(record, is_past_horizon))
        };
        let (mut record_count, mut kept_count, mut has_tombstone) = (0, 0, false);
        let mut last_offset = header.last_offset();
        for record in batch.stream(self.round.limits)? {
            let record = record?;
            record_count += 1;
            if keeps(&record) {
                kept_count += 1;
                has_tombstone |= record.value.is_none();
                if reactor::planted!(compaction_moves_last_offset) {
                    last_offset = record.offset;
                }
            }
        }
        if kept_count == 0 {
            let keeps_header = ends_segment
                || header.next_offset() == self.round.bound
                || self.is_last_of_producer(header);
            return Ok(match keeps_header {
                false => Cleaned::Gone,
                true if record_count == 0 => Cleaned::AsItWas,
                true => Cleaned::Rewritten(without_records(batch)),
            });
        }
        let needs_horizon = horizon.is_none() && (has_tombstone || has_no_transaction);
        if kept_count == record_count && !needs_horizon {
            return Ok(Cleaned::AsItWas);
        }
        let delete_horizon = if needs_horizon { Some(self.new_horizon()) } else { horizon };
        // Read anew, not gathered: of small records many times their bytes would lie here.
        let records = batch.stream(self.round.limits)?;
        let records = records.filter(|record| record.as_ref().map_or(true, keeps));
        Ok(Cleaned::Rewritten(with_records(batch, Kept { records, delete_horizon, last_offset })?))
    }

    /// Whether a record that a reader may see stays.
    fn keeps(&self, record: &Record, is_past_horizon: bool) -> bool {
        if record.offset >= self.round.mapped_end {
            return true;
        }
        let Some(key) = &record.key else {
            return false;
        };
        let is_latest = self.round.map.get(key).is_none_or(|latest| record.offset >= latest);
        let may_tombstone_go =
            is_past_horizon || reactor::planted!(compaction_drops_tombstones_early);
        is_latest && (record.value.is_some() || !may_tombstone_go)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = header.producer_id.and_then(|producer_id| self.producers.get(&producer_id));
        last.is_some_and(|last| match last.last_data_offset {
            Some(last_data_offset) => header.last_offset() == last_data_offset,
            None => header.is_control() && header.producer_epoch == last.producer_epoch,
        })
    }

    fn new_horizon(&self) -> TimestampMs {
        let retention_ms = i64::try_from(self.round.delete_retention_ms).unwrap_or(i64::MAX);
        TimestampMs(self.round.now.0.saturating_add(retention_ms))
    }
}

/// What the first record of a control batch says.
pub(crate) fn marker_of(record: Option<&Record>) -> Marker {
    let Some(record) = record else {
        return Marker::Empty;
    };
    match record.key.as_deref().and_then(ControlRecordType::from_key) {
        Some(ControlRecordType::Abort) => Marker::Abort,
        Some(ControlRecordType::Commit) => Marker::Commit,
        Some(
            ControlRecordType::LeaderChange
            | ControlRecordType::SnapshotHeader
            | ControlRecordType::SnapshotFooter
            | ControlRecordType::KraftVersion
            | ControlRecordType::KraftVoters,
        )
        | None => Marker::Other,
    }
}

#[cfg(test)]
mod tests;
