//! The image: what a prefix of the metadata log says about the cluster.

mod records;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::model::{BrokerEpoch, BrokerId, Offset, PartitionId, ProducerId, TopicId};
use protocol::records::metadata::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord,
};

use super::features::METADATA_VERSION;
use super::{
    Broker, ClientQuotas, ConfigResource, Configs, ControllerNode, Partition, PartitionChange,
    ResourceType, SUPPORTED_FEATURES, SharedMap, Topic, Topics, UnknownEntityType,
};

/// The cluster's metadata. A clone is a few pointers; [`MetadataImage::replay`] copies what it changes
/// when a clone is still in use, and shares the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataImage {
    /// All records below are folded in.
    next_offset: Offset,
    features: Arc<BTreeMap<Arc<str>, i16>>,
    brokers: Arc<BTreeMap<BrokerId, Arc<Broker>>>,
    controllers: Arc<BTreeMap<BrokerId, Arc<ControllerNode>>>,
    topics: Topics,
    configs: SharedMap<ConfigResource, Arc<Configs>>,
    client_quotas: ClientQuotas,
    /// The first producer id that has not been given out.
    next_producer_id: ProducerId,
    zk_migration_state: i8,
}

/// A record that this software must not pass over: it would serve a cluster that it misunderstands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error(
        "metadata record at offset {offset} is of the type {record}, which this release does not support"
    )]
    Unsupported { offset: Offset, record: &'static str },
    #[error(
        "feature {feature} is at level {level} (offset {offset}); this release supports {min} to {max}"
    )]
    FeatureLevel { offset: Offset, feature: String, level: i16, min: i16, max: i16 },
    #[error("feature {feature} (offset {offset}) is unknown to this release")]
    UnknownFeature { offset: Offset, feature: String },
    #[error("{record} at offset {offset} names topic id {topic_id}, which does not exist")]
    UnknownTopic { offset: Offset, record: &'static str, topic_id: TopicId },
    #[error(
        "{record} at offset {offset} names partition {partition} of {topic}, which does not exist"
    )]
    UnknownPartition { offset: Offset, record: &'static str, topic: String, partition: PartitionId },
    #[error("{record} at offset {offset} names broker {broker}, which is not registered")]
    UnknownBroker { offset: Offset, record: &'static str, broker: BrokerId },
    #[error(
        "{record} at offset {offset} is of broker {broker} with epoch {named}, \
         which is registered with epoch {registered}"
    )]
    BrokerEpoch {
        offset: Offset,
        record: &'static str,
        broker: BrokerId,
        named: BrokerEpoch,
        registered: BrokerEpoch,
    },
    #[error("a configuration at offset {offset} is of the unknown resource type {kind}")]
    ConfigResourceType { offset: Offset, kind: i8 },
    #[error("a quota at offset {offset} is of the unknown entity type {kind}")]
    QuotaEntityType { offset: Offset, kind: String },
    #[error("{record} at offset {offset} holds the impossible value {value} of {field}")]
    Value { offset: Offset, record: &'static str, field: &'static str, value: i64 },
    #[error("record at offset {offset} begins a transaction within another")]
    NestedTransaction { offset: Offset },
    #[error("record at offset {offset} ends a transaction that was not begun")]
    NoTransaction { offset: Offset },
}

impl MetadataImage {
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The level of `feature`; 0 when the cluster has none.
    pub fn feature_level(&self, feature: &str) -> i16 {
        self.features.get(feature).copied().unwrap_or_default()
    }

    pub fn features(&self) -> &BTreeMap<Arc<str>, i16> {
        &self.features
    }

    /// `None` before the cluster's first records.
    pub fn metadata_version(&self) -> Option<i16> {
        self.features.get(METADATA_VERSION).copied()
    }

    pub fn brokers(&self) -> &BTreeMap<BrokerId, Arc<Broker>> {
        &self.brokers
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    pub fn controllers(&self) -> &BTreeMap<BrokerId, Arc<ControllerNode>> {
        &self.controllers
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.by_name(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.by_id(id)
    }

    pub fn configs(&self) -> &SharedMap<ConfigResource, Arc<Configs>> {
        &self.configs
    }

    /// What `resource` sets itself; nothing of what it inherits.
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<Configs>> {
        self.configs.get(resource)
    }

    pub fn client_quotas(&self) -> &ClientQuotas {
        &self.client_quotas
    }

    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Folds in the record at `offset`. On an error nothing is changed.
    ///
    /// Transactions are not seen here but by [`super::Fold`].
    pub fn replay(&mut self, offset: Offset, record: &MetadataRecord) -> Result<(), ReplayError> {
        let unsupported = |record| ReplayError::Unsupported { offset, record };
        match record {
            MetadataRecord::RegisterBroker(record) => {
                let broker = Broker::from_record(record);
                Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::new(broker));
            }
            MetadataRecord::UnregisterBroker(record) => {
                let named = (BrokerId(record.broker_id), BrokerEpoch(record.broker_epoch));
                self.registered(offset, "UnregisterBrokerRecord", named)?;
                Arc::make_mut(&mut self.brokers).remove(&named.0);
            }
            MetadataRecord::FenceBroker(record) => {
                let named = (BrokerId(record.id), BrokerEpoch(record.epoch));
                self.broker_mut(offset, "FenceBrokerRecord", named)?.fenced = true;
            }
            MetadataRecord::UnfenceBroker(record) => {
                let named = (BrokerId(record.id), BrokerEpoch(record.epoch));
                self.broker_mut(offset, "UnfenceBrokerRecord", named)?.fenced = false;
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                self.change_registration(offset, record)?;
            }
            MetadataRecord::RegisterController(record) => {
                let controller = ControllerNode::from_record(record);
                Arc::make_mut(&mut self.controllers).insert(controller.id, Arc::new(controller));
            }
            MetadataRecord::FeatureLevel(record) => self.set_feature(offset, record)?,
            MetadataRecord::Topic(record) => {
                self.topics.insert(Arc::from(&*record.name), record.topic_id);
            }
            MetadataRecord::Partition(record) => self.set_partition(offset, record)?,
            MetadataRecord::PartitionChange(record) => self.change_partition(offset, record)?,
            MetadataRecord::RemoveTopic(record) => {
                self.remove_topic(offset, record.topic_id)?;
            }
            MetadataRecord::Config(record) => self.set_config(offset, record)?,
            MetadataRecord::ProducerIds(record) => self.set_producer_ids(offset, record)?,
            MetadataRecord::ClearElr(record) => self.clear_elr(offset, &record.topic_name)?,
            MetadataRecord::ZkMigrationState(record) => {
                self.zk_migration_state = record.zk_migration_state;
            }
            MetadataRecord::NoOp(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => {}
            MetadataRecord::ClientQuota(record) => self
                .client_quotas
                .replay(record)
                .map_err(|UnknownEntityType(kind)| ReplayError::QuotaEntityType { offset, kind })?,
            // Security: to pass over it would open what an administrator has closed.
            MetadataRecord::AccessControlEntry(_) | MetadataRecord::RemoveAccessControlEntry(_) => {
                return Err(unsupported("AccessControlEntryRecord"));
            }
            MetadataRecord::UserScramCredential(_)
            | MetadataRecord::RemoveUserScramCredential(_) => {
                return Err(unsupported("UserScramCredentialRecord"));
            }
            MetadataRecord::DelegationToken(_) | MetadataRecord::RemoveDelegationToken(_) => {
                return Err(unsupported("DelegationTokenRecord"));
            }
        }
        self.next_offset = self.next_offset.max(offset.next());
        Ok(())
    }

    /// Moves past control records and what a snapshot covers.
    pub(super) fn advance_to(&mut self, next_offset: Offset) {
        self.next_offset = self.next_offset.max(next_offset);
    }

    fn registered(
        &self,
        offset: Offset,
        record: &'static str,
        (broker, named): (BrokerId, BrokerEpoch),
    ) -> Result<(), ReplayError> {
        match self.brokers.get(&broker) {
            None => Err(ReplayError::UnknownBroker { offset, record, broker }),
            Some(known) if known.epoch != named => {
                let registered = known.epoch;
                Err(ReplayError::BrokerEpoch { offset, record, broker, named, registered })
            }
            Some(_) => Ok(()),
        }
    }

    fn broker_mut(
        &mut self,
        offset: Offset,
        record: &'static str,
        named: (BrokerId, BrokerEpoch),
    ) -> Result<&mut Broker, ReplayError> {
        self.registered(offset, record, named)?;
        let broker = Arc::make_mut(&mut self.brokers).get_mut(&named.0);
        broker.map(Arc::make_mut).ok_or(ReplayError::UnknownBroker {
            offset,
            record,
            broker: named.0,
        })
    }

    fn change_registration(
        &mut self,
        offset: Offset,
        change: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        const RECORD: &str = "BrokerRegistrationChangeRecord";
        let value = |field, value: i8| ReplayError::Value {
            offset,
            record: RECORD,
            field,
            value: i64::from(value),
        };
        let fenced = match change.fenced {
            -1 => Some(false),
            0 => None,
            1 => Some(true),
            other => return Err(value("fenced", other)),
        };
        let in_controlled_shutdown = match change.in_controlled_shutdown {
            0 => None,
            1 => Some(true),
            other => return Err(value("inControlledShutdown", other)),
        };
        let named = (BrokerId(change.broker_id), BrokerEpoch(change.broker_epoch));
        let broker = self.broker_mut(offset, RECORD, named)?;
        broker.fenced = fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown =
            in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
        if !change.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&change.log_dirs);
        }
        if change.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&change.cordoned_log_dirs);
        }
        Ok(())
    }

    fn set_feature(
        &mut self,
        offset: Offset,
        record: &FeatureLevelRecord,
    ) -> Result<(), ReplayError> {
        let (name, level) = (&*record.name, record.feature_level);
        let Some((_, range)) = SUPPORTED_FEATURES.iter().find(|(known, _)| *known == name) else {
            return Err(ReplayError::UnknownFeature { offset, feature: name.to_owned() });
        };
        if !range.contains(&level) {
            let (min, max) = (*range.start(), *range.end());
            return Err(ReplayError::FeatureLevel {
                offset,
                feature: name.to_owned(),
                level,
                min,
                max,
            });
        }
        let features = Arc::make_mut(&mut self.features);
        if level == 0 {
            features.remove(name);
        } else {
            features.insert(Arc::from(name), level);
        }
        Ok(())
    }

    fn topic_mut(
        &mut self,
        offset: Offset,
        record: &'static str,
        topic_id: TopicId,
    ) -> Result<&mut Topic, ReplayError> {
        let unknown = ReplayError::UnknownTopic { offset, record, topic_id };
        self.topics.by_id_mut(topic_id).ok_or(unknown)
    }

    fn set_partition(
        &mut self,
        offset: Offset,
        record: &PartitionRecord,
    ) -> Result<(), ReplayError> {
        let topic = self.topic_mut(offset, "PartitionRecord", record.topic_id)?;
        let partition = Arc::new(Partition::from_record(record));
        topic.partitions.insert(PartitionId(record.partition_id), partition);
        Ok(())
    }

    fn change_partition(
        &mut self,
        offset: Offset,
        record: &PartitionChangeRecord,
    ) -> Result<(), ReplayError> {
        const RECORD: &str = "PartitionChangeRecord";
        let partition_id = PartitionId(record.partition_id);
        let topic = self.topic_mut(offset, RECORD, record.topic_id)?;
        let Some(partition) = topic.partitions.get_mut(&partition_id) else {
            return Err(ReplayError::UnknownPartition {
                offset,
                record: RECORD,
                topic: topic.name.to_string(),
                partition: partition_id,
            });
        };
        Arc::make_mut(partition).apply(PartitionChange::from_record(record));
        Ok(())
    }

    /// A topic's configurations go with it, as Kafka does on the same record.
    fn remove_topic(&mut self, offset: Offset, topic_id: TopicId) -> Result<(), ReplayError> {
        let record = "RemoveTopicRecord";
        let name = self.topic_mut(offset, record, topic_id)?.name.clone();
        self.topics.remove(topic_id);
        let resource = ConfigResource { kind: ResourceType::Topic, name };
        self.configs.remove(&resource);
        Ok(())
    }

    fn set_config(&mut self, offset: Offset, record: &ConfigRecord) -> Result<(), ReplayError> {
        let kind = ResourceType::from_wire(record.resource_type)
            .ok_or(ReplayError::ConfigResourceType { offset, kind: record.resource_type })?;
        let resource = ConfigResource { kind, name: Arc::from(&*record.resource_name) };
        let mut of_resource = self.configs.get(&resource).cloned().unwrap_or_default();
        let configs = Arc::make_mut(&mut of_resource);
        match &record.value {
            Some(value) => {
                configs.insert(Arc::from(&*record.name), Arc::from(&**value));
            }
            None => {
                configs.remove(&*record.name);
            }
        }
        if configs.is_empty() {
            self.configs.remove(&resource);
        } else {
            self.configs.insert(resource, of_resource);
        }
        Ok(())
    }

    fn set_producer_ids(
        &mut self,
        offset: Offset,
        record: &ProducerIdsRecord,
    ) -> Result<(), ReplayError> {
        if record.next_producer_id < self.next_producer_id.0 {
            return Err(ReplayError::Value {
                offset,
                record: "ProducerIdsRecord",
                field: "nextProducerId",
                value: record.next_producer_id,
            });
        }
        self.next_producer_id = ProducerId(record.next_producer_id);
        Ok(())
    }

    /// Forgets the eligible leader replicas of one topic, or of all when `name` is empty.
    fn clear_elr(&mut self, offset: Offset, name: &str) -> Result<(), ReplayError> {
        let has_elr = |partition: &Partition| {
            !partition.eligible_leader_replicas.is_empty() || !partition.last_known_elr.is_empty()
        };
        if !name.is_empty() && self.topics.by_name(name).is_none() {
            let (record, topic_id) = ("ClearElrRecord", TopicId::ZERO);
            return Err(ReplayError::UnknownTopic { offset, record, topic_id });
        }
        let concerned: Vec<TopicId> = self
            .topics
            .iter()
            .filter(|topic| name.is_empty() || *topic.name == *name)
            .filter(|topic| topic.partitions.values().any(|partition| has_elr(partition)))
            .map(|topic| topic.id)
            .collect();
        for topic_id in concerned {
            let topic = self.topic_mut(offset, "ClearElrRecord", topic_id)?;
            for partition in topic.partitions.values_mut().filter(|p| has_elr(p)) {
                let partition = Arc::make_mut(partition);
                partition.eligible_leader_replicas.clear();
                partition.last_known_elr.clear();
            }
        }
        Ok(())
    }
}
