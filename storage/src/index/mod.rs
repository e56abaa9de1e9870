//! Kafka's two sparse indexes of a segment: offset to position, time to offset.

mod offset_index;
mod segment_indexes;
mod time_index;

pub(crate) use offset_index::OffsetIndex;
pub(crate) use segment_indexes::{IndexedBatch, SegmentIndexes};

/// The bytes of an index file do not form an index; it is rebuilt from its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} of the index is out of order or out of range")]
pub(crate) struct InvalidIndex {
    pub(crate) entry: usize,
}
