//! Replicas that a core owns: appending, the high watermark, who waits for it, and the questions that
//! other cores ask about them.

mod acks;
mod delete_records;
mod epoch_end;
mod fetch;
mod list_offsets;
mod log_sizes;
mod partition;
mod passed_over;
mod produce;
mod producers;
mod watch;

pub use acks::ProduceResult;
pub use delete_records::{DeleteRecordsPart, DeleteRecordsParts, DeleteRecordsResult};
pub use epoch_end::{EpochEndPart, EpochEndParts, EpochEndResult};
pub use fetch::{FetchAnswer, FetchKey, FetchPart, FetchParts, FetchResult, FetchWait};
pub use list_offsets::{ListOffsetsPart, ListOffsetsParts, ListOffsetsResult, OffsetSpec};
pub use log_sizes::{LogSize, LogSizes};
pub use partition::{Partition, PartitionKey, TopicSettings};
pub use produce::{ProducePart, ProduceParts};
pub use producers::{ProducersParts, ProducersResult};
pub use watch::FetchWatch;
