//! One partition's log on a disk, in Kafka's format: segments, indexes, recovery, producer state.
//!
//! This crate knows batches and offsets. It knows nothing of requests or replication, and reaches
//! the world through `reactor` alone. Everything here is `!Send`: a log lives on one core, and only
//! that core touches it. Source: DESIGN.md sections 1 and 6.
//!
//! Two words for "on disk": `durable_end_offset` is the contiguous prefix that a flush has covered
//! (acknowledgements follow it); `recovery_point` is the one that is checkpointed, where the scan
//! after a crash begins.

mod checkpoint;
mod chunk;
mod compaction;
pub mod config;
pub mod error;
mod handover;
mod index;
pub mod journal;
pub mod log;
pub mod log_directory;
mod recovery;
mod replay;
mod retention;
mod segment;
pub mod settings;
mod small_file;
mod space;
mod state;
#[cfg(test)]
mod test_batches;
mod trash;
pub mod verify;
mod volume;

pub use checkpoint::PartitionCheckpoint;
pub use chunk::ChunkPool;
pub use compaction::{CompactionMemory, Pace};
pub use config::{Durability, LogConfig};
pub use error::{AppendError, RaiseLogStartError, ReadError, StorageError};
pub use handover::{RecoverProgress, Recovered, recover};
pub use index::AbortedTransaction;
pub use log::{
    AppendAsLeader, Appended, Compacted, Compaction, EpochEnd, Opening, Origin, PartitionLog,
    ReadResult, TimestampOffset,
};
pub use log_directory::{CleanShutdown, LogDirectory, LogOffsets, MetaProperties, TopicPartition};
pub use replay::{ReplayProgress, Replayed};
pub use settings::Settings;
pub use state::ActiveProducer;
pub use volume::{JournalUse, Volume};
