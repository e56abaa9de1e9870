//! How far a group has read a partition.

use protocol::model::{LeaderEpoch, TimestampMs, TopicId};
use protocol::wire::WireString;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommittedOffset {
    /// As the client says it: it may be any number.
    pub offset: i64,
    pub leader_epoch: Option<LeaderEpoch>,
    /// A note of the client's.
    pub metadata: WireString,
    pub commit_timestamp: TimestampMs,
    /// Of clients that said how long it is to be kept.
    pub expire_timestamp: Option<TimestampMs>,
    /// Of the topic that had the name then; zero where that is unknown.
    pub topic_id: TopicId,
}

impl CommittedOffset {
    /// Whether it is of another topic than the one of `topic_id`, where both are known.
    pub fn is_of_another_topic(&self, topic_id: TopicId) -> bool {
        !self.topic_id.is_zero() && !topic_id.is_zero() && self.topic_id != topic_id
    }

    /// What it takes in memory, coarsely.
    pub fn size_bytes(&self) -> usize {
        192 + self.metadata.len()
    }
}
