//! Both indexes of a segment, and the rule by which they grow.

use protocol::model::{Offset, TimestampMs};

use super::InvalidIndex;
use super::offset_index::{self, OffsetIndex};
use super::time_index::{self, TimeIndex};

/// Both indexes of one segment, and the rule by which they grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentIndexes {
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    /// The largest timestamp so far and the last offset of the first batch that has it.
    pub(super) max_timestamp: Option<(TimestampMs, Offset)>,
    pub(super) bytes_since_entry: u64,
}

/// What the indexes need to know of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedBatch {
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: TimestampMs,
    pub(crate) position: u32,
    pub(crate) size_bytes: u32,
}

impl SegmentIndexes {
    pub(crate) fn new(base_offset: Offset) -> Self {
        SegmentIndexes {
            offsets: OffsetIndex::new(base_offset),
            times: TimeIndex::new(base_offset),
            max_timestamp: None,
            bytes_since_entry: 0,
        }
    }

    /// From the two files of a segment of `size_bytes`. What follows the last entries is not known
    /// yet: call [`SegmentIndexes::resume`] for each batch from [`OffsetIndex::last_position`] on.
    pub(crate) fn decode(
        base_offset: Offset,
        size_bytes: u64,
        offsets: &[u8],
        times: &[u8],
    ) -> Result<Self, InvalidIndex> {
        let times = TimeIndex::decode(base_offset, times)?;
        Ok(SegmentIndexes {
            offsets: OffsetIndex::decode(base_offset, size_bytes, offsets)?,
            max_timestamp: times.last(),
            times,
            bytes_since_entry: 0,
        })
    }

    /// Counts a batch in, adding an entry when more than `interval_bytes` of log have passed since
    /// the last. Source: Kafka's `LogSegment.append`.
    pub(crate) fn append(&mut self, batch: IndexedBatch, interval_bytes: u32) {
        self.observe_timestamp(batch);
        if self.bytes_since_entry > u64::from(interval_bytes) {
            self.offsets.append(batch.last_offset, batch.position);
            self.add_time_entry();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += u64::from(batch.size_bytes);
    }

    /// Counts in a batch at or behind the last entry of a decoded index, adding no entry.
    pub(crate) fn resume(&mut self, batch: IndexedBatch) {
        self.observe_timestamp(batch);
        self.bytes_since_entry += u64::from(batch.size_bytes);
    }

    fn observe_timestamp(&mut self, batch: IndexedBatch) {
        if self.max_timestamp.is_none_or(|(largest, _)| batch.max_timestamp > largest) {
            self.max_timestamp = Some((batch.max_timestamp, batch.last_offset));
        }
    }

    /// Adds the largest timestamp as the time index's last entry, as Kafka does for a segment that
    /// is rolled or closed: retention and searches by time read it there.
    pub(crate) fn add_time_entry(&mut self) {
        if let Some((timestamp, offset)) = self.max_timestamp {
            self.times.maybe_append(timestamp, offset);
        }
    }

    /// Bytes of log behind the last entry.
    pub(crate) fn bytes_since_entry(&self) -> u64 {
        self.bytes_since_entry
    }

    pub(crate) fn max_timestamp(&self) -> Option<(TimestampMs, Offset)> {
        self.max_timestamp
    }

    /// Either index has no room for another entry (the time index keeps one for the roll).
    pub(crate) fn is_full(&self, size_bytes_max: u32) -> bool {
        let max = size_bytes_max as usize;
        self.offsets.len() >= max / offset_index::ENTRY_SIZE_BYTES
            || self.times.len() + 1 >= max / time_index::ENTRY_SIZE_BYTES
    }
}
