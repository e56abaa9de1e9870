//! The records that an image is the fold of: what a snapshot holds.

use std::iter;
use std::sync::Arc;

use protocol::model::ProducerId;
use protocol::records::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord, TopicRecord,
    ZkMigrationStateRecord,
};

use super::MetadataImage;
use crate::metadata::features::METADATA_VERSION;
use crate::metadata::{ConfigResource, Configs, Quota, Topic};

impl MetadataImage {
    /// Records whose fold is this image (INV-5), one after the other. In Kafka's order, so that each
    /// finds what it refers to.
    pub fn to_records(&self) -> impl Iterator<Item = MetadataRecord> {
        self.features_in_order()
            .chain(
                self.brokers
                    .values()
                    .map(|broker| MetadataRecord::RegisterBroker(broker.to_record())),
            )
            .chain(
                self.controllers
                    .values()
                    .map(|controller| MetadataRecord::RegisterController(controller.to_record())),
            )
            .chain(self.topics.iter().flat_map(records_of_topic))
            .chain(
                self.configs
                    .iter()
                    .flat_map(|(resource, configs)| records_of_configs(resource, configs)),
            )
            .chain(self.client_quotas.iter().flat_map(|(entity, quotas)| {
                let quotas = quotas.iter();
                quotas.map(|(key, Quota(value))| {
                    MetadataRecord::ClientQuota(entity.to_record(key, Some(*value)))
                })
            }))
            .chain(self.producer_ids())
            .chain(self.zk_migration())
    }

    /// `metadata.version` first: it says how to read what follows.
    fn features_in_order(&self) -> impl Iterator<Item = MetadataRecord> {
        let is_first = |name: &str| name == METADATA_VERSION;
        let first = self.features.iter().filter(move |(name, _)| is_first(name));
        let others = self.features.iter().filter(move |(name, _)| !is_first(name));
        first.chain(others).map(|(name, level)| {
            MetadataRecord::FeatureLevel(FeatureLevelRecord {
                name: (**name).into(),
                feature_level: *level,
            })
        })
    }

    fn producer_ids(&self) -> Option<MetadataRecord> {
        (self.next_producer_id > ProducerId(0)).then(|| {
            MetadataRecord::ProducerIds(ProducerIdsRecord {
                broker_id: -1,
                broker_epoch: -1,
                next_producer_id: self.next_producer_id.0,
            })
        })
    }

    fn zk_migration(&self) -> Option<MetadataRecord> {
        let zk_migration_state = self.zk_migration_state;
        let record = ZkMigrationStateRecord { zk_migration_state };
        (zk_migration_state != 0).then_some(MetadataRecord::ZkMigrationState(record))
    }
}

fn records_of_topic(topic: &Arc<Topic>) -> impl Iterator<Item = MetadataRecord> {
    let record = TopicRecord { name: (*topic.name).into(), topic_id: topic.id };
    let partitions = topic.partitions.iter().map(|(&partition_id, partition)| {
        MetadataRecord::Partition(partition.to_record(topic.id, partition_id))
    });
    iter::once(MetadataRecord::Topic(record)).chain(partitions)
}

fn records_of_configs(
    resource: &ConfigResource,
    configs: &Arc<Configs>,
) -> impl Iterator<Item = MetadataRecord> {
    configs.iter().map(|(name, value)| {
        MetadataRecord::Config(ConfigRecord {
            resource_type: resource.kind.to_wire(),
            resource_name: (*resource.name).into(),
            name: (**name).into(),
            value: Some((**value).into()),
        })
    })
}
