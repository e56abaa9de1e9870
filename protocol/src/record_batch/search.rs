//! Finding a record by its timestamp, for ListOffsets.

use crate::model::{Offset, TimestampMs};

use super::batch::RecordBatch;
use super::record::{RecordError, record_offset, record_timestamp, walk};

/// A record's offset and timestamp: what ListOffsets answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampAndOffset {
    pub timestamp: TimestampMs,
    pub offset: Offset,
}

impl RecordBatch {
    /// The first record from `from_offset` on whose timestamp is `target` or later, if there is one.
    ///
    /// Streams a compressed batch, up to `decompressed_size_bytes_max`. A batch whose `max_timestamp` is
    /// below `target` is not read. Source: `FileRecords.searchForTimestamp`.
    pub fn first_at_or_after(
        &self,
        target: TimestampMs,
        from_offset: Offset,
        decompressed_size_bytes_max: usize,
    ) -> Result<Option<TimestampAndOffset>, RecordError> {
        if self.header().max_timestamp < target {
            return Ok(None);
        }
        self.first_where(decompressed_size_bytes_max, |record| {
            record.timestamp >= target && record.offset >= from_offset
        })
    }

    /// Of the records from `from_offset` on, the first that has the largest timestamp among them; `None`
    /// when there is none. For ListOffsets' MAX_TIMESTAMP (KIP-734).
    pub fn first_at_max_timestamp(
        &self,
        from_offset: Offset,
        decompressed_size_bytes_max: usize,
    ) -> Result<Option<TimestampAndOffset>, RecordError> {
        let mut largest: Option<TimestampAndOffset> = None;
        let max_timestamp = self.header().max_timestamp;
        let at_max = self.first_where(decompressed_size_bytes_max, |record| {
            let is_larger = largest.is_none_or(|known| record.timestamp > known.timestamp);
            if record.offset >= from_offset && is_larger {
                largest = Some(*record);
            }
            largest.is_some_and(|largest| largest.timestamp == max_timestamp)
        })?;
        Ok(at_max.or(largest))
    }

    fn first_where(
        &self,
        decompressed_size_bytes_max: usize,
        mut is_wanted: impl FnMut(&TimestampAndOffset) -> bool,
    ) -> Result<Option<TimestampAndOffset>, RecordError> {
        let mut found = Ok(None);
        walk(self, decompressed_size_bytes_max, |_index, skeleton| {
            let timestamp = record_timestamp(self.header(), skeleton.timestamp_delta);
            found = record_offset(self.header(), skeleton.offset_delta).map(|offset| {
                Some(TimestampAndOffset { timestamp, offset }).filter(|record| is_wanted(record))
            });
            matches!(found, Ok(None))
        })
        .map_err(|(_index, error)| error)?;
        found
    }
}
