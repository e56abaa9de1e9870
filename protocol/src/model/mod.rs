//! The nouns of Kafka, one type each, so that an offset is never added to an epoch.

mod ids;
mod offset;
mod time;
mod uuid;

pub use ids::{
    BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, PartitionId, ProducerEpoch, ProducerId,
    ReplicaKey, Sequence,
};
pub use offset::{Offset, OffsetDelta};
pub use time::{MonotonicNs, TimestampMs};
pub use uuid::{DirectoryId, ParseUuidError, TopicId, Uuid};
