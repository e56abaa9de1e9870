//! Which core owns the partitions that a request names, and the parts of a request by owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::metadata::{Partition, Topic};
use protocol::error_code::ErrorCode;
use protocol::model::{BrokerId, PartitionId, TopicId};
use reactor::CoreIndex;

use crate::cores::ClusterView;
use crate::replica::PartitionKey;

/// Where a partition is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub key: PartitionKey,
    pub core: CoreIndex,
}

/// The route to partition `index` of the topic called `name`.
pub fn by_name(
    view: &ClusterView,
    broker: BrokerId,
    name: &str,
    index: i32,
) -> Result<Route, ErrorCode> {
    let topic = view.image.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    of_topic(view, broker, topic, index)
}

/// The route to partition `index` of the topic with `topic_id`.
pub fn by_id(
    view: &ClusterView,
    broker: BrokerId,
    topic_id: TopicId,
    index: i32,
) -> Result<Route, ErrorCode> {
    let topic = view.image.topic_by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    of_topic(view, broker, topic, index)
}

fn of_topic(
    view: &ClusterView,
    broker: BrokerId,
    topic: &Arc<Topic>,
    index: i32,
) -> Result<Route, ErrorCode> {
    let key = (topic.id, PartitionId(index));
    let partition = topic.partitions.get(&key.1).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if partition.leader != Some(broker) {
        return Err(why_not_leader(view, broker, partition));
    }
    let core = view.core_of(&key).ok_or(ErrorCode::NotLeaderOrFollower)?;
    Ok(Route { key, core })
}

/// A replica whose log directory has failed is no matter of leadership: Kafka says so too.
fn why_not_leader(view: &ClusterView, broker: BrokerId, partition: &Partition) -> ErrorCode {
    let registration = view.image.broker(broker);
    let is_offline = partition.directory_of(broker).zip(registration);
    match is_offline.is_some_and(|(directory, broker)| !broker.has_directory(directory)) {
        true => ErrorCode::KafkaStorageError,
        false => ErrorCode::NotLeaderOrFollower,
    }
}

/// Parts of a request by the core that owns them, each with its slot in the answer.
pub struct ByCore<P> {
    parts: BTreeMap<CoreIndex, (Vec<usize>, Vec<P>)>,
}

impl<P> ByCore<P> {
    pub fn new() -> Self {
        ByCore { parts: BTreeMap::new() }
    }

    pub fn push(&mut self, core: CoreIndex, slot: usize, part: P) {
        let (slots, parts) = self.parts.entry(core).or_default();
        slots.push(slot);
        parts.push(part);
    }

    pub fn core_count(&self) -> usize {
        self.parts.len()
    }

    /// The cores in order, with slots and parts.
    pub fn into_parts(self) -> impl Iterator<Item = (CoreIndex, Vec<usize>, Vec<P>)> {
        self.parts.into_iter().map(|(core, (slots, parts))| (core, slots, parts))
    }
}
