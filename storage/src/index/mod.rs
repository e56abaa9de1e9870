//! Kafka's indexes of a segment: offset to position, time to offset, and aborted transactions.

mod growth;
mod offset_index;
mod segment_indexes;
mod time_index;
pub(crate) mod transaction_index;

pub(crate) use growth::{IndexWrite, WrittenIndexes};
use offset_index::InvalidIndex;
pub(crate) use offset_index::OffsetIndex;
pub(crate) use segment_indexes::{IndexedBatch, SegmentIndexes};
pub(crate) use time_index::TimeIndex;
pub use transaction_index::AbortedTransaction;
