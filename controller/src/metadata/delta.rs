//! What changed between two images, so that owners look at that alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::model::{BrokerId, PartitionId, TopicId};
use protocol::records::metadata::MetadataRecord;

use super::{ConfigResource, MetadataImage, ResourceType};

/// What the records since the last image may have changed. A name here is a hint to look at the new
/// image: a change that was undone (by an aborted transaction) stays named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    /// Partitions that came or changed, and still exist in the new image.
    pub partitions: BTreeMap<TopicId, BTreeSet<PartitionId>>,
    /// Topics that went, with the partitions that they had.
    pub topics_removed: BTreeMap<TopicId, RemovedTopic>,
    pub brokers: BTreeSet<BrokerId>,
    pub configs: BTreeSet<ConfigResource>,
    pub client_quotas_changed: bool,
    pub features_changed: bool,
}

/// A topic that no longer exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedTopic {
    pub name: Arc<str>,
    pub partitions: BTreeSet<PartitionId>,
}

impl MetadataDelta {
    pub fn is_empty(&self) -> bool {
        *self == MetadataDelta::default()
    }

    /// Everything of `image`: what a core that had no image must look at.
    pub fn all_of(image: &MetadataImage) -> Self {
        MetadataDelta {
            partitions: image
                .topics()
                .iter()
                .map(|topic| (topic.id, topic.partitions.keys().copied().collect()))
                .collect(),
            topics_removed: BTreeMap::new(),
            brokers: image.brokers().keys().copied().collect(),
            configs: image.configs().keys().cloned().collect(),
            client_quotas_changed: true,
            features_changed: true,
        }
    }

    /// Notes what `record` changes. `before` is the image that it has not yet been folded into.
    pub fn note(&mut self, record: &MetadataRecord, before: &MetadataImage) {
        let mut partition = |topic_id: TopicId, partition_id: i32| {
            self.partitions.entry(topic_id).or_default().insert(PartitionId(partition_id));
        };
        match record {
            MetadataRecord::Partition(record) => {
                partition(record.topic_id, record.partition_id);
            }
            MetadataRecord::PartitionChange(record) => {
                partition(record.topic_id, record.partition_id);
            }
            MetadataRecord::RemoveTopic(record) => self.remove(record.topic_id, before),
            MetadataRecord::ClearElr(_) => {
                *self = MetadataDelta::all_of(before).merged_after(std::mem::take(self));
            }
            MetadataRecord::RegisterBroker(record) => {
                self.brokers.insert(BrokerId(record.broker_id));
            }
            MetadataRecord::UnregisterBroker(record) => {
                self.brokers.insert(BrokerId(record.broker_id));
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                self.brokers.insert(BrokerId(record.broker_id));
            }
            MetadataRecord::FenceBroker(record) => {
                self.brokers.insert(BrokerId(record.id));
            }
            MetadataRecord::UnfenceBroker(record) => {
                self.brokers.insert(BrokerId(record.id));
            }
            MetadataRecord::Config(record) => {
                if let Some(kind) = ResourceType::from_wire(record.resource_type) {
                    let name = Arc::from(&*record.resource_name);
                    self.configs.insert(ConfigResource { kind, name });
                }
            }
            MetadataRecord::ClientQuota(_) => self.client_quotas_changed = true,
            MetadataRecord::FeatureLevel(_) => self.features_changed = true,
            // Nothing that a broker's core keeps depends on these.
            _ => {}
        }
    }

    fn remove(&mut self, topic_id: TopicId, before: &MetadataImage) {
        self.partitions.remove(&topic_id);
        if let Some(topic) = before.topic_by_id(topic_id) {
            let removed = RemovedTopic {
                name: Arc::clone(&topic.name),
                partitions: topic.partitions.keys().copied().collect(),
            };
            self.topics_removed.insert(topic_id, removed);
        }
    }

    /// This delta, as what came after `earlier`.
    #[must_use]
    pub fn merged_after(self, mut earlier: MetadataDelta) -> MetadataDelta {
        for topic_id in self.topics_removed.keys() {
            earlier.partitions.remove(topic_id);
        }
        for (topic_id, partitions) in self.partitions {
            earlier.partitions.entry(topic_id).or_default().extend(partitions);
        }
        earlier.topics_removed.extend(self.topics_removed);
        earlier.brokers.extend(self.brokers);
        earlier.configs.extend(self.configs);
        earlier.client_quotas_changed |= self.client_quotas_changed;
        earlier.features_changed |= self.features_changed;
        earlier
    }
}
