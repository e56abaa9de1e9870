//! Metadata (KIP-4, KIP-516, KIP-1102): brokers and topics, which it makes where it may.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use controller::decide::check_topic_name;
use controller::metadata::{Broker, MetadataImage, Partition, Topic};
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::model::BrokerId;

use super::create_topics;
use super::operations;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::cores::ClusterView;

pub const VERSIONS: RangeInclusive<i16> = 0..=13;

/// The first version in which an empty list asks for nothing; before, it asked for all.
const EMPTY_IS_NONE_VERSION: i16 = 1;
/// The first version whose requests may name topics by id.
const TOPIC_ID_VERSION: i16 = 12;

/// What a topic and a partition take in an answer, as structures and as bytes.
const TOPIC_SIZE_BYTES: usize = 256;
const PARTITION_SIZE_BYTES: usize = 256;

/// Kafka's own topics. Source: `Topic.INTERNAL_TOPICS`.
pub const INTERNAL_TOPICS: [&str; 3] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state"];

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: MetadataRequest,
) -> Result<MetadataResponse, Refusal> {
    let core = &context.core;
    let with_operations = request.include_topic_authorized_operations;
    let asked = request
        .topics
        .filter(|topics| !(topics.is_empty() && head.version < EMPTY_IS_NONE_VERSION));
    if let Some(asked) = &asked
        && !may_name(head.version, asked)
    {
        return Ok(refused(asked));
    }
    let view = core.view();
    let size_bytes: usize = match &asked {
        None => view.image.topics().iter().map(described_size_bytes).sum(),
        Some(asked) => {
            let found = asked.iter().filter_map(|topic| find(&view, head.version, topic));
            found.map(described_size_bytes).sum()
        }
    };
    context.check_granted(size_bytes)?;
    let topics = match asked {
        None => {
            let topics = view.image.topics();
            topics.iter().map(|topic| describe(&view.image, topic, with_operations)).collect()
        }
        Some(mut asked) => {
            // Where one topic is named by id, names count for nothing.
            if asked.iter().any(|topic| !topic.topic_id.is_zero()) {
                asked.retain(|topic| !topic.topic_id.is_zero());
            }
            // A topic that is named twice is answered, and made, once.
            let mut seen = BTreeSet::new();
            asked.retain(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
            let mut topics = Vec::with_capacity(asked.len());
            let created =
                create_missing(context, head, &asked, request.allow_auto_topic_creation).await?;
            let view = core.view();
            for topic in asked {
                topics.push(answer(&view, head.version, topic, &created, with_operations));
            }
            topics
        }
    };
    let view = core.view();
    let listener = &core.node.config.listener.name;
    let brokers: Vec<MetadataResponseBroker> = view
        .image
        .brokers()
        .values()
        .filter(|broker| !broker.fenced)
        .filter_map(|broker| describe_broker(broker, listener))
        .collect();
    // In KRaft any live broker takes the controller's requests and forwards them; this one does.
    Ok(MetadataResponse {
        brokers,
        cluster_id: Some((*view.cluster_id).into()),
        controller_id: core.node.config.node_id.0,
        topics,
        cluster_authorized_operations: operations::asked(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Default::default()
    })
}

/// Whether a request of `version` may name its topics so: an older one has names alone, and each has one.
fn may_name(version: i16, asked: &[MetadataRequestTopic]) -> bool {
    version >= TOPIC_ID_VERSION
        || asked.iter().all(|topic| topic.name.is_some() && topic.topic_id.is_zero())
}

fn refused(asked: &[MetadataRequestTopic]) -> MetadataResponse {
    let error_code = ErrorCode::InvalidRequest.into();
    let topics = asked.iter().map(|topic| MetadataResponseTopic {
        error_code,
        // These versions know no null.
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        topic_authorized_operations: operations::UNKNOWN,
        ..Default::default()
    });
    MetadataResponse { error_code, topics: topics.collect(), ..Default::default() }
}

/// Who asks for metadata is never refused to make topics by it: it only counts.
const NEVER: i16 = i16::MAX;

/// Topics that were to be made, and what became of them.
type Created = BTreeMap<protocol::wire::WireString, ErrorCode>;

/// Makes the topics that do not exist, where client and broker allow it, and returns what failed.
async fn create_missing(
    context: &RequestContext,
    head: &RequestHead,
    asked: &[MetadataRequestTopic],
    allowed_by_client: bool,
) -> Result<Created, Refusal> {
    let core = &context.core;
    if !allowed_by_client || !core.node.config.auto_create_topics {
        return Ok(Created::new());
    }
    let view = core.view();
    let missing: Vec<CreatableTopic> = asked
        .iter()
        .filter(|topic| topic.topic_id.is_zero())
        .filter_map(|topic| topic.name.as_ref())
        .filter(|name| view.image.topic_by_name(name).is_none())
        .map(|name| CreatableTopic {
            name: name.clone(),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        })
        .collect();
    if missing.is_empty() {
        return Ok(Created::new());
    }
    let request = CreateTopicsRequest { topics: missing, ..Default::default() };
    let response = create_topics::create(core, request, head.mutator(NEVER)).await?;
    Ok(response
        .topics
        .into_iter()
        .filter_map(|topic| {
            let error = ErrorCode::try_from(topic.error_code).ok()?;
            // Someone else was faster: then it exists.
            (error != ErrorCode::TopicAlreadyExists).then_some((topic.name, error))
        })
        .collect())
}

fn answer(
    view: &ClusterView,
    version: i16,
    asked: MetadataRequestTopic,
    created: &Created,
    with_operations: bool,
) -> MetadataResponseTopic {
    let by_id = version >= TOPIC_ID_VERSION && !asked.topic_id.is_zero();
    if let Some(topic) = find(view, version, &asked) {
        return describe(&view.image, topic, with_operations);
    }
    let refused = asked.name.as_ref().and_then(|name| created.get(name)).copied();
    let refused = refused.filter(|error| *error != ErrorCode::None);
    let error = match refused {
        Some(error) => error,
        None if by_id => ErrorCode::UnknownTopicId,
        None => match asked.name.as_deref() {
            Some(name) if check_topic_name(name).is_ok() => ErrorCode::UnknownTopicOrPartition,
            _ => ErrorCode::InvalidTopicException,
        },
    };
    MetadataResponseTopic {
        error_code: error.into(),
        name: asked.name,
        topic_id: asked.topic_id,
        topic_authorized_operations: operations::UNKNOWN,
        ..Default::default()
    }
}

fn find<'a>(
    view: &'a ClusterView,
    version: i16,
    asked: &MetadataRequestTopic,
) -> Option<&'a Arc<Topic>> {
    if version >= TOPIC_ID_VERSION && !asked.topic_id.is_zero() {
        return view.image.topic_by_id(asked.topic_id);
    }
    view.image.topic_by_name(asked.name.as_ref()?)
}

/// What the description of a topic may take, as structures and as bytes.
fn described_size_bytes(topic: &Arc<Topic>) -> usize {
    TOPIC_SIZE_BYTES + topic.partitions.len() * PARTITION_SIZE_BYTES
}

fn describe(image: &MetadataImage, topic: &Topic, with_operations: bool) -> MetadataResponseTopic {
    let nodes = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    MetadataResponseTopic {
        error_code: ErrorCode::None.into(),
        name: Some((*topic.name).into()),
        topic_id: topic.id,
        is_internal: INTERNAL_TOPICS.contains(&&*topic.name),
        partitions: topic
            .partitions
            .iter()
            .map(|(index, partition)| MetadataResponsePartition {
                error_code: match partition.leader {
                    Some(_) => ErrorCode::None.into(),
                    None => ErrorCode::LeaderNotAvailable.into(),
                },
                partition_index: index.0,
                leader_id: BrokerId::to_wire(partition.leader),
                leader_epoch: partition.leader_epoch.0,
                replica_nodes: nodes(&partition.replicas),
                isr_nodes: nodes(&partition.isr),
                offline_replicas: partition
                    .replicas
                    .iter()
                    .filter(|&&replica| is_offline(image, partition, replica))
                    .map(|replica| replica.0)
                    .collect(),
            })
            .collect(),
        topic_authorized_operations: operations::asked(with_operations, operations::TOPIC),
    }
}

/// Whether a replica cannot be read: its broker is away, or its log directory.
pub fn is_offline(image: &MetadataImage, partition: &Partition, replica: BrokerId) -> bool {
    let is_online = |broker: &Broker| {
        let directory = partition.directory_of(replica);
        !broker.fenced && directory.is_none_or(|directory| broker.has_directory(directory))
    };
    !image.broker(replica).is_some_and(|broker| is_online(broker))
}

/// A broker as clients of `listener` reach it.
fn describe_broker(broker: &Broker, listener: &str) -> Option<MetadataResponseBroker> {
    let endpoint = broker.listeners.iter().find(|known| &*known.name == listener)?;
    Some(MetadataResponseBroker {
        node_id: broker.id.0,
        host: (*endpoint.host).into(),
        port: i32::from(endpoint.port),
        rack: broker.rack.as_deref().map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use protocol::model::TopicId;

    use super::*;

    #[test]
    fn ids_and_null_names_are_for_version_12_and_later() {
        for (name, topic_id, version, want) in [
            (Some("orders"), TopicId::ZERO, 0, true),
            (Some("orders"), TopicId::ZERO, 11, true),
            (Some("orders"), TopicId::ONE, 11, false),
            (None, TopicId::ZERO, 10, false),
            (None, TopicId::ONE, 11, false),
            (None, TopicId::ONE, 12, true),
            (Some("orders"), TopicId::ONE, 13, true),
        ] {
            let topic = MetadataRequestTopic { name: name.map(Into::into), topic_id };
            let taken = may_name(version, std::slice::from_ref(&topic));
            assert_eq!(taken, want, "version {version}: {topic:?}");
            if !want {
                let answer = refused(&[topic]);
                assert_eq!(answer.topics[0].error_code, answer.error_code);
                assert!(answer.topics[0].name.is_some());
            }
        }
    }
}
