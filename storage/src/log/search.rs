//! Finding records by time, as ListOffsets asks.

use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{Batches, RecordBatch, RecordError, TimestampAndOffset};

use super::TimestampOffset;
use super::read::contiguous;
use super::state::Inner;
use crate::error::{ReadError, StorageError};
use crate::segment::Selection;

/// Decompressed bytes of one batch that a search goes through; a batch that has more is corrupt or a
/// bomb, since producers' batches are bounded by `max.message.bytes`.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 256 << 20;

/// Bytes of log that a search reads at once.
const SEARCH_SIZE_BYTES: usize = 256 << 10;

impl Inner {
    /// The first record from `log_start_offset` on with a timestamp of at least `target`.
    pub(super) async fn offset_for_timestamp(
        &self,
        target: TimestampMs,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        let Some(from) = self.first_candidate(target).await? else {
            return Ok(None);
        };
        let start = self.state.borrow().log_start_offset;
        self.find(from.max(start), |batch| {
            batch.first_at_or_after(target, start, DECOMPRESSED_SIZE_BYTES_MAX)
        })
        .await
    }

    /// The first record that has the largest timestamp of those from `log_start_offset` on.
    pub(super) async fn max_timestamp(&self) -> Result<Option<TimestampOffset>, StorageError> {
        let start = self.state.borrow().log_start_offset;
        let mut largest: Option<(TimestampMs, Offset)> = None;
        for segment in self.segment_offsets() {
            let mut found = self.segment_max_timestamp(segment).await?;
            if segment < start
                && let Some((_, offset)) = found
                && self.is_cut(offset, start).await?
            {
                found = self.max_timestamp_behind(start, segment).await?;
            }
            if let Some((timestamp, offset)) = found
                && largest.is_none_or(|(known, _)| timestamp > known)
            {
                largest = Some((timestamp, offset));
            }
        }
        let Some((timestamp, offset)) = largest else {
            return Ok(None);
        };
        self.find(offset.max(start), |batch| {
            batch.first_at_or_after(timestamp, start, DECOMPRESSED_SIZE_BYTES_MAX)
        })
        .await
    }

    /// Whether the batch at `offset` begins before `start`.
    async fn is_cut(&self, offset: Offset, start: Offset) -> Result<bool, StorageError> {
        if offset < start {
            return Ok(true);
        }
        let batch = self.find(offset, |batch| {
            let (timestamp, offset) = (batch.header().max_timestamp, batch.header().base_offset);
            Ok(Some(TimestampAndOffset { timestamp, offset }))
        });
        Ok(batch.await?.is_some_and(|batch| batch.offset < start))
    }

    /// The largest timestamp of the batches of `segment` from the one that holds `start` on: the index
    /// only knows that of all.
    async fn max_timestamp_behind(
        &self,
        start: Offset,
        segment: Offset,
    ) -> Result<Option<(TimestampMs, Offset)>, StorageError> {
        let end = self.state.borrow().segments.get(&segment).map(|segment| segment.next_offset);
        let Some(end) = end.filter(|&end| end > start) else {
            return Ok(None);
        };
        let mut largest: Option<(TimestampMs, Offset)> = None;
        self.find(start, |batch| {
            let offset = batch.header().last_offset();
            let timestamp = match batch.header().base_offset < start {
                true => match batch.first_at_max_timestamp(start, DECOMPRESSED_SIZE_BYTES_MAX)? {
                    Some(found) => found.timestamp,
                    None => return Ok(None),
                },
                false => batch.header().max_timestamp,
            };
            if largest.is_none_or(|(known, _)| timestamp > known) {
                largest = Some((timestamp, offset));
            }
            let is_last = batch.header().next_offset() >= end;
            Ok(is_last.then_some(TimestampAndOffset { timestamp, offset }))
        })
        .await?;
        Ok(largest)
    }

    /// Where to begin a search for `target`: at or before the first record that has it.
    async fn first_candidate(&self, target: TimestampMs) -> Result<Option<Offset>, StorageError> {
        for segment in self.segment_offsets() {
            let largest = self.segment_max_timestamp(segment).await?;
            if largest.is_some_and(|(largest, _)| largest >= target) {
                let state = self.state.borrow();
                let indexes = state.segments.get(&segment).and_then(|it| it.loaded_indexes());
                return Ok(Some(indexes.map_or(segment, |indexes| indexes.times.lookup(target))));
            }
        }
        Ok(None)
    }

    fn segment_offsets(&self) -> Vec<Offset> {
        self.state.borrow().segments.keys().copied().collect()
    }

    async fn segment_max_timestamp(
        &self,
        segment: Offset,
    ) -> Result<Option<(TimestampMs, Offset)>, StorageError> {
        self.load_indexes(segment).await?;
        let state = self.state.borrow();
        let indexes = state.segments.get(&segment).and_then(|segment| segment.loaded_indexes());
        Ok(indexes.and_then(|indexes| indexes.max_timestamp()))
    }

    /// What `wanted` finds in the first batch from `from` on in which it finds anything.
    async fn find(
        &self,
        from: Offset,
        mut wanted: impl FnMut(&RecordBatch) -> Result<Option<TimestampAndOffset>, RecordError>,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        let mut from = from;
        loop {
            let selection = Selection {
                from,
                size_bytes_max: SEARCH_SIZE_BYTES,
                min_one_batch: true,
                upper_bound: self.state.borrow().log_end_offset(),
            };
            let read = match self.read(selection, usize::MAX).await {
                Ok(read) => read,
                // Retention has come by, or a truncation.
                Err(ReadError::OffsetOutOfRange { log_start_offset, .. })
                    if from < log_start_offset =>
                {
                    from = log_start_offset;
                    continue;
                }
                Err(ReadError::OffsetOutOfRange { .. }) => return Ok(None),
                Err(ReadError::Storage(error)) => return Err(error),
                Err(ReadError::BufferTooSmall { .. }) => unreachable!("a search has no bound"),
            };
            if read.base_offset.is_none() {
                return Ok(None);
            }
            for batch in Batches::new(contiguous(&read.slices, read.size_bytes)) {
                let corrupt = |reason| StorageError::Malformed {
                    path: self.directory.clone(),
                    what: "log",
                    reason,
                };
                let batch = batch.map_err(|_| corrupt("a batch has no valid header"))?;
                let found = wanted(&batch).map_err(|_| corrupt("a batch's records are invalid"))?;
                if let Some(found) = found {
                    return Ok(Some(TimestampOffset {
                        offset: found.offset,
                        timestamp: found.timestamp,
                        leader_epoch: batch.header().partition_leader_epoch,
                    }));
                }
            }
            from = read.next_offset;
            reactor::yield_now().await;
        }
    }
}
