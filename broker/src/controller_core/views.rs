//! From a committed image to what each core is to do about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use controller::Controller;
use controller::metadata::{
    ConfigResource, EntityName, MetadataDelta, MetadataImage, Partition, ResourceType,
    SUPPORTED_FEATURES, Topic,
};
use controller::quota::QuotaTable;
use protocol::messages::BrokerRegistrationRequest;
use protocol::messages::broker_registration::{Feature, Listener};
use protocol::model::{DirectoryId, PartitionId, TopicId, Uuid};
use reactor::net::IpAddr;
use storage::{Opening, TopicPartition};

use super::assignments::Assignments;
use crate::config::topic_settings;
use crate::cores::{ChangedPartition, ClusterView, Core, Placement, Preparation};
use crate::replica::{PartitionKey, TopicSettings};

/// One of the node's log directories, as views need it.
pub struct Directory {
    pub path: std::path::PathBuf,
    /// `None` where it has failed before it could be read.
    pub id: Option<DirectoryId>,
    /// It takes and gives nothing any more.
    pub is_offline: bool,
    /// What was found at the start and has not been opened since.
    pub found: BTreeMap<TopicPartition, Opening>,
    pub partition_count: usize,
}

/// What views are made of beside the image.
pub struct Views {
    pub cluster_id: Arc<str>,
    pub incarnation_id: Uuid,
    /// Of the quorum.
    pub kraft_version: i16,
    pub directories: Vec<Directory>,
    pub settings: Arc<controller::decide::Settings>,
    pub placement: Arc<Placement>,
    /// Which directory each replica of this broker lies in.
    pub places: BTreeMap<PartitionKey, usize>,
    pub assignments: Assignments,
    pub topic_settings: Arc<BTreeMap<TopicId, Arc<TopicSettings>>>,
    pub quotas: Arc<QuotaTable>,
}

/// What cores must do to come to a view: in steps, where a step must be done everywhere before the next.
pub struct Preparations {
    pub before: Option<Preparation>,
    pub last: Preparation,
}

impl Views {
    /// How this node registers as a broker.
    pub fn registration(&self, core: &Core, machine: &Controller) -> BrokerRegistrationRequest {
        let config = &core.node.config;
        // What this node has acknowledged is flushed, so an unclean stop has lost none of it: it
        // comes back as one that left in good order.
        let previous =
            machine.committed_image().broker(config.node_id).map_or(-1, |broker| broker.epoch.0);
        BrokerRegistrationRequest {
            broker_id: config.node_id.0,
            cluster_id: (*self.cluster_id).into(),
            incarnation_id: self.incarnation_id,
            listeners: vec![Listener {
                name: config.listener.name.as_str().into(),
                host: config.advertised.host.as_str().into(),
                port: config.advertised.port,
                security_protocol: 0,
            }],
            features: SUPPORTED_FEATURES
                .iter()
                .map(|(name, levels)| Feature {
                    name: (*name).into(),
                    min_supported_version: *levels.start(),
                    max_supported_version: *levels.end(),
                })
                .collect(),
            rack: config.rack.as_deref().map(Into::into),
            log_dirs: self.online().filter_map(|(_, directory)| directory.id).collect(),
            previous_broker_epoch: previous,
            ..Default::default()
        }
    }

    /// Directories that have failed and had been read.
    pub fn offline_ids(&self) -> Vec<DirectoryId> {
        let offline = self.directories.iter().filter(|directory| directory.is_offline);
        offline.filter_map(|directory| directory.id).collect()
    }

    /// What every core must do to come to `image`. A topic that went is let go of everywhere before one
    /// of its name may be made on another core.
    pub fn prepare(
        &mut self,
        core: &Core,
        image: &MetadataImage,
        delta: &MetadataDelta,
    ) -> Preparations {
        let removed = self.remove(delta);
        let reconfigured = self.reconfigured(image, delta);
        let changed_topics = delta.partitions.keys().chain(reconfigured.keys());
        self.refresh_settings(image, changed_topics);
        if delta.client_quotas_changed {
            self.quotas = Arc::new(QuotaTable::new(image.client_quotas()));
            warn_of_hosts(image);
        }
        let mut changed = Vec::new();
        for (&topic_id, partitions) in delta.partitions.iter().chain(&reconfigured) {
            let Some(topic) = image.topic_by_id(topic_id) else { continue };
            for &index in partitions {
                let Some(partition) = topic.partitions.get(&index) else { continue };
                if partition.replicas.contains(&core.node.config.node_id) {
                    changed.extend(self.change(core, topic, index, partition));
                }
            }
        }
        let view = ClusterView {
            cluster_id: self.cluster_id.clone(),
            image: image.clone(),
            kraft_version: self.kraft_version,
            placement: self.placement.clone(),
            settings: self.topic_settings.clone(),
            defaults: self.settings.clone(),
            quotas: self.quotas.clone(),
        };
        let before = (!removed.is_empty()).then(|| Preparation {
            view: view.clone(),
            changed: Vec::new(),
            removed,
        });
        Preparations { before, last: Preparation { view, changed, removed: Vec::new() } }
    }

    /// The partitions that were found in a directory and that `image` does not have; they are
    /// forgotten. Source: Kafka's `LogManager.isStrayReplica`.
    pub fn strays(&mut self, directory: usize, image: &MetadataImage) -> Vec<TopicPartition> {
        let is_known = |name: &TopicPartition| {
            let topic = image.topic_by_name(&name.topic);
            topic.is_some_and(|topic| topic.partitions.contains_key(&name.partition))
        };
        let found = &mut self.directories[directory].found;
        let strays: Vec<_> = found.keys().filter(|name| !is_known(name)).cloned().collect();
        found.retain(|name, _| is_known(name));
        strays
    }

    fn remove(&mut self, delta: &MetadataDelta) -> Vec<PartitionKey> {
        let mut removed = Vec::new();
        for (&topic_id, topic) in &delta.topics_removed {
            Arc::make_mut(&mut self.topic_settings).remove(&topic_id);
            for &index in &topic.partitions {
                let key = (topic_id, index);
                self.assignments.forget(&key);
                if let Some(place) = self.places.remove(&key) {
                    self.directories[place].partition_count -= 1;
                }
                if self.placement.core_of(&key).is_some() {
                    Arc::make_mut(&mut self.placement).remove(&key);
                    removed.push(key);
                }
            }
        }
        removed
    }

    /// Topics whose settings may have changed, with all their partitions.
    fn reconfigured(
        &self,
        image: &MetadataImage,
        delta: &MetadataDelta,
    ) -> BTreeMap<TopicId, BTreeSet<PartitionId>> {
        let brokers_changed =
            delta.configs.iter().any(|resource| resource.kind == ResourceType::Broker);
        let of_interest = |topic: &Topic| {
            brokers_changed
                || delta.configs.iter().any(|resource| {
                    resource.kind == ResourceType::Topic && *resource.name == *topic.name
                })
        };
        if delta.configs.is_empty() {
            return BTreeMap::new();
        }
        let topics = image.topics().iter().filter(|topic| of_interest(topic));
        topics
            .filter(|topic| !delta.partitions.contains_key(&topic.id))
            .map(|topic| (topic.id, topic.partitions.keys().copied().collect()))
            .collect()
    }

    fn refresh_settings<'a>(
        &mut self,
        image: &MetadataImage,
        topic_ids: impl Iterator<Item = &'a TopicId>,
    ) {
        let layers = self.settings.layers(image);
        for topic_id in topic_ids {
            if let Some(topic) = image.topic_by_id(*topic_id) {
                let own = image.config(&ConfigResource::topic(&topic.name)).map(|own| &**own);
                let fresh = Arc::new(topic_settings::settings(&layers, own));
                if self.topic_settings.get(topic_id) != Some(&fresh) {
                    Arc::make_mut(&mut self.topic_settings).insert(*topic_id, fresh);
                }
            }
        }
    }

    /// `None` for a replica that cannot be here: its directory has failed.
    fn change(
        &mut self,
        core: &Core,
        topic: &Topic,
        index: PartitionId,
        partition: &Partition,
    ) -> Option<ChangedPartition> {
        let key = (topic.id, index);
        let name = TopicPartition { topic: topic.name.to_string(), partition: index };
        let assigned = partition.directory_of(core.node.config.node_id);
        let is_new = !self.places.contains_key(&key);
        let directory = match self.places.get(&key) {
            Some(&known) => known,
            None => self.directory_for(assigned, partition.replicas.len() == 1, &name)?,
        };
        if is_new {
            Arc::make_mut(&mut self.placement).place(key);
            self.places.insert(key, directory);
        }
        let chosen = &mut self.directories[directory];
        let opening = if is_new { chosen.found.remove(&name) } else { None };
        chosen.partition_count += usize::from(is_new);
        if let Some(id) = chosen.id.filter(|_| !chosen.is_offline) {
            self.assignments.note(key, id, assigned);
        }
        let path = chosen.path.join(name.to_string());
        Some(ChangedPartition { key, name, directory, path, opening })
    }

    fn online(&self) -> impl Iterator<Item = (usize, &Directory)> {
        self.directories.iter().enumerate().filter(|(_, directory)| !directory.is_offline)
    }

    /// Where a partition lies: where it was found, where the metadata say, or where the fewest are.
    ///
    /// `None` where its records are, or may be, in a directory that is not online: an empty log
    /// elsewhere would hide them. Kafka's `Partition` says the same of failed directories; of one that
    /// `log.dirs` does not name it makes an empty log, which we leave to where another replica fills it.
    fn directory_for(
        &self,
        assigned: Option<DirectoryId>,
        is_only_replica: bool,
        name: &TopicPartition,
    ) -> Option<usize> {
        let with = |wanted: &dyn Fn(&Directory) -> bool| {
            self.online().find(|(_, directory)| wanted(directory)).map(|(index, _)| index)
        };
        let assigned = assigned.filter(|id| !id.is_zero());
        let known = with(&|directory| directory.found.contains_key(name))
            .or_else(|| with(&|directory| assigned.is_some() && directory.id == assigned));
        if known.is_some() {
            return known;
        }
        let has_offline = self.directories.iter().any(|directory| directory.is_offline);
        if let Some(directory_id) = assigned.filter(|_| has_offline || is_only_replica) {
            reactor::mark!(replica_in_absent_directory);
            tracing::error!(
                topic = %name.topic, partition = %name.partition, %directory_id,
                "the partition's log directory is not online: is a disk not mounted, or missing in \
                 log.dirs? It stays offline"
            );
            return None;
        }
        self.online().min_by_key(|(_, directory)| directory.partition_count).map(|(index, _)| index)
    }
}

/// Says which quotas limit nobody: those of hosts' names, which Apache Kafka looks up when they are set.
fn warn_of_hosts(image: &MetadataImage) {
    for (entity, _) in image.client_quotas().iter() {
        if let Some(EntityName::Named(host)) = &entity.ip
            && host.parse::<IpAddr>().is_err()
        {
            tracing::warn!(%host, "a quota of a host limits nobody; set it for the host's address");
        }
    }
}
