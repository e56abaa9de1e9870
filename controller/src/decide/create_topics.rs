//! CreateTopics: names, configurations and replicas of new topics. Each topic succeeds or fails on
//! its own. Auto-creation takes the same way. Sources: KIP-4, KIP-525, Kafka's
//! `ReplicationControlManager`.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
};
use protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use protocol::model::{BrokerId, LeaderEpoch, PartitionEpoch, PartitionId, TopicId};
use protocol::records::metadata::{ConfigRecord, MetadataRecord, TopicRecord};
use protocol::wire::WireString;

use crate::config::{InvalidConfig, TopicValue, check_topic};
use crate::metadata::{Configs, LeaderRecoveryState, MetadataImage, Partition, ResourceType};

use crate::quota::Permits;

use super::placement::place;
use super::topic_name::check_topic_name;
use super::{Decision, Draw, RECORDS_PER_DECISION_MAX, Refusal, View};

/// The metadata log's own name: no topic may take it.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// A topic that can be created.
struct NewTopic {
    records: Vec<MetadataRecord>,
    result: CreatableTopicResult,
}

pub fn create_topics(
    view: &View<'_>,
    request: &CreateTopicsRequest,
    draw: &mut Draw,
    permits: &mut Permits,
) -> Decision<CreateTopicsResponse> {
    let mut records = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut named = count_names(request.topics.iter().map(|topic| &*topic.name));
    for topic in &request.topics {
        // The first of several says that they are; the others are not answered, as in Kafka.
        let created = match named.remove(&*topic.name) {
            None => continue,
            Some(1) => {
                let room = RECORDS_PER_DECISION_MAX.saturating_sub(records.len());
                create_topic(view, topic, room, draw, permits)
            }
            Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name")),
        };
        topics.push(match created {
            Ok(created) => {
                records.extend(created.records);
                created.result
            }
            Err(refusal) => refused(topic, refusal),
        });
    }
    if request.validate_only {
        records.clear();
    }
    Decision { records, response: CreateTopicsResponse { throttle_time_ms: 0, topics } }
}

/// How often each name is in a request.
pub(super) fn count_names<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn refused(topic: &CreatableTopic, refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: refusal.error.into(),
        error_message: Some(refusal.message.into()),
        ..CreatableTopicResult::default()
    }
}

fn create_topic(
    view: &View<'_>,
    topic: &CreatableTopic,
    room: usize,
    draw: &mut Draw,
    permits: &mut Permits,
) -> Result<NewTopic, Refusal> {
    check_name(view.image, &topic.name)?;
    let configs = check_configs(view, topic)?;
    let replicas = if topic.assignments.is_empty() {
        automatic_assignment(view, topic, draw)?
    } else {
        manual_assignment(view.image, topic)?
    };
    let replication_factor = replicas.first().map_or(0, Vec::len);
    if replicas.len() + configs.len() + 1 > room {
        return Err(Refusal::new(
            ErrorCode::PolicyViolation,
            format!("One request may write at most {RECORDS_PER_DECISION_MAX} records"),
        ));
    }

    let partitions = replicas.into_iter().enumerate().map(|(index, replicas)| {
        let id = PartitionId(index as i32);
        let partition = new_partition(view.image, replicas).map_err(|refusal| {
            Refusal::new(refusal.error, format!("Partition {id}: {}", refusal.message))
        })?;
        Ok((id, partition))
    });
    let partitions = partitions.collect::<Result<Vec<_>, Refusal>>()?;
    permits.take(partitions.len())?;

    let topic_id = new_topic_id(view.image, draw);
    let mut records = vec![MetadataRecord::Topic(TopicRecord {
        // Not a clone of the request's: that would keep the whole frame in memory.
        name: (*topic.name).into(),
        topic_id,
    })];
    records.extend(configs.iter().map(|(name, value)| {
        MetadataRecord::Config(ConfigRecord {
            resource_type: ResourceType::Topic.to_wire(),
            resource_name: (*topic.name).into(),
            name: (**name).into(),
            value: Some((**value).into()),
        })
    }));
    let partition_count = partitions.len();
    for (id, partition) in partitions {
        records.push(MetadataRecord::Partition(partition.to_record(topic_id, id)));
    }
    let result = CreatableTopicResult {
        name: topic.name.clone(),
        topic_id,
        error_message: None,
        num_partitions: partition_count as i32,
        replication_factor: replication_factor as i16,
        configs: Some(described_configs(view, &configs)),
        ..CreatableTopicResult::default()
    };
    Ok(NewTopic { records, result })
}

fn check_name(image: &MetadataImage, name: &str) -> Result<(), Refusal> {
    let invalid = |message: String| Refusal::new(ErrorCode::InvalidTopicException, message);
    if name == CLUSTER_METADATA_TOPIC {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited"),
        ));
    }
    check_topic_name(name).map_err(|error| invalid(error.to_string()))?;
    if image.topic_by_name(name).is_some() {
        return Err(Refusal::new(
            ErrorCode::TopicAlreadyExists,
            format!("Topic '{name}' already exists"),
        ));
    }
    match image.topics().colliding_with(name) {
        Some(other) => Err(invalid(format!(
            "Topic '{name}' collides with existing topic '{other}': \
             metrics cannot tell '.' and '_' apart"
        ))),
        None => Ok(()),
    }
}

/// What the topic sets itself, as it will be stored.
fn check_configs(view: &View<'_>, topic: &CreatableTopic) -> Result<Configs, Refusal> {
    let invalid = |error: InvalidConfig| Refusal::new(ErrorCode::InvalidConfig, error.to_string());
    let mut own = Configs::new();
    let mut null_names = Vec::new();
    for config in &topic.configs {
        match &config.value {
            Some(value) => drop(own.insert(Arc::from(&*config.name), Arc::from(&**value))),
            None => null_names.push(&*config.name),
        }
    }
    if !null_names.is_empty() {
        return Err(invalid(InvalidConfig::NullTopicValue { names: null_names.join(",") }));
    }
    check_topic(&own, &view.settings.layers(view.image)).map_err(invalid)?;
    Ok(own)
}

fn automatic_assignment(
    view: &View<'_>,
    topic: &CreatableTopic,
    draw: &mut Draw,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let replication_factor = match topic.replication_factor {
        -1 => view.settings.replication_factor_default,
        factor => factor,
    };
    if replication_factor <= 0 {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 for the default",
        ));
    }
    let partition_count = match topic.num_partitions {
        -1 => view.settings.partitions_default,
        count => count,
    };
    if partition_count <= 0 {
        return Err(Refusal::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions must be larger than 0, or -1 for the default",
        ));
    }
    let partition_count = partition_count as usize;
    // Before placing them: a claim of two billion partitions must cost nothing.
    if partition_count > RECORDS_PER_DECISION_MAX {
        return Err(Refusal::new(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request",
        ));
    }
    place(view.image, partition_count, replication_factor as usize, draw)
}

fn manual_assignment(
    image: &MetadataImage,
    topic: &CreatableTopic,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let must_be_unset = |what: &str| {
        Refusal::new(
            ErrorCode::InvalidRequest,
            format!("With a manual partition assignment, {what} must be -1"),
        )
    };
    if topic.replication_factor != -1 {
        return Err(must_be_unset("the replication factor"));
    }
    if topic.num_partitions != -1 {
        return Err(must_be_unset("the number of partitions"));
    }
    let mut assignments: Vec<&CreatableReplicaAssignment> = topic.assignments.iter().collect();
    assignments.sort_by_key(|assignment| assignment.partition_index);
    let mut replicas = Vec::with_capacity(assignments.len());
    for (index, assignment) in assignments.into_iter().enumerate() {
        if usize::try_from(assignment.partition_index) != Ok(index) {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                "Partition ids must count up from 0 without gaps",
            ));
        }
        let brokers = check_replicas(image, &assignment.broker_ids)?;
        if replicas.first().is_some_and(|first: &Vec<_>| first.len() != brokers.len()) {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                format!("Partition {index} has another replication factor than partition 0"),
            ));
        }
        replicas.push(brokers);
    }
    Ok(replicas)
}

/// The replicas of a manual assignment: registered brokers, each once.
pub(super) fn check_replicas(
    image: &MetadataImage,
    broker_ids: &[i32],
) -> Result<Vec<BrokerId>, Refusal> {
    let invalid = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    if broker_ids.is_empty() {
        return invalid("The manual partition assignment has an empty replica list".to_owned());
    }
    let mut replicas = Vec::with_capacity(broker_ids.len());
    for &id in broker_ids {
        if image.broker(BrokerId(id)).is_none() {
            return invalid(format!(
                "The manual partition assignment names broker {id}, which is not registered"
            ));
        }
        if replicas.contains(&BrokerId(id)) {
            return invalid(format!("The manual partition assignment names broker {id} twice"));
        }
        replicas.push(BrokerId(id));
    }
    Ok(replicas)
}

/// A new partition on `replicas`: those that are active make its first ISR.
pub(super) fn new_partition(
    image: &MetadataImage,
    replicas: Vec<BrokerId>,
) -> Result<Partition, Refusal> {
    let brokers = || replicas.iter().filter_map(|&id| image.broker(id));
    let isr: Vec<_> =
        brokers().filter(|broker| broker.is_active()).map(|broker| broker.id).collect();
    let Some(&leader) = isr.first() else {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            "All brokers of the assignment are fenced or shutting down",
        ));
    };
    Ok(Partition {
        directories: brokers().map(|broker| broker.default_directory()).collect(),
        leader: Some(leader),
        isr,
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        eligible_leader_replicas: Vec::new(),
        last_known_elr: Vec::new(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        replicas,
    })
}

fn new_topic_id(image: &MetadataImage, draw: &mut Draw) -> TopicId {
    loop {
        let id = draw.uuid();
        if image.topic_by_id(id).is_none() {
            return id;
        }
    }
}

fn described_configs(view: &View<'_>, own: &Configs) -> Vec<CreatableTopicConfigs> {
    let described = |config: TopicValue| CreatableTopicConfigs {
        name: WireString::from_static(config.name),
        value: Some(config.value.into()),
        read_only: false,
        config_source: config.source as i8,
        is_sensitive: false,
    };
    view.settings.layers(view.image).topic_values(Some(own)).into_iter().map(described).collect()
}
