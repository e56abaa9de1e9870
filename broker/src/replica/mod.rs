//! Replicas that a core owns: appending, the high watermark, who waits for it, and the questions that
//! other cores ask about them.

mod acks;
mod delete_records;
mod fetch;
mod list_offsets;
mod partition;
mod produce;
mod watch;

pub use acks::ProduceResult;
pub use delete_records::{DeleteRecordsPart, DeleteRecordsParts, DeleteRecordsResult};
pub use fetch::{FetchAnswer, FetchKey, FetchPart, FetchParts, FetchResult, FetchWait};
pub use list_offsets::{ListOffsetsPart, ListOffsetsParts, ListOffsetsResult, OffsetSpec};
pub use partition::{Partition, PartitionKey, TopicSettings};
pub use produce::{ProducePart, ProduceParts};
pub use watch::FetchWatch;
