//! DescribeTopicPartitions (KIP-966): topics a part at a time, with their eligible leader replicas.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use controller::decide::check_topic_name;
use controller::metadata::{MetadataImage, Topic};
use protocol::error_code::ErrorCode;
use protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, ResponseCursor,
};
use protocol::model::{BrokerId, PartitionId, TopicId};

use super::metadata::{INTERNAL_TOPICS, is_offline};
use super::operations;
use super::request::{Refusal, RequestContext, RequestHead};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeTopicPartitionsRequest,
) -> Result<DescribeTopicPartitionsResponse, Refusal> {
    let core = &context.core;
    let limit = core.node.config.request_partition_count_max;
    Ok(answer(&core.view().image, &request, limit))
}

/// Source: `DescribeTopicPartitionsRequestHandler`, `KRaftMetadataCache.describeTopicResponse`.
fn answer(
    image: &MetadataImage,
    request: &DescribeTopicPartitionsRequest,
    partition_count_max: usize,
) -> DescribeTopicPartitionsResponse {
    let cursor = request.cursor.as_ref();
    let from = cursor.map_or("", |cursor| &*cursor.topic_name);
    let all = request.topics.is_empty();
    let named: BTreeSet<&str> = match all {
        true => image.topics().iter().map(|topic| &*topic.name).collect(),
        false => request.topics.iter().map(|topic| &*topic.name).collect(),
    };
    let is_valid = |(name, partition): (&str, i32)| partition >= 0 && (all || named.contains(name));
    if cursor.is_some_and(|it| !is_valid((&it.topic_name, it.partition_index))) {
        return refused(request);
    }
    let asked = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = asked.min(partition_count_max).max(1);
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in named.range(from..) {
        if left == 0 {
            next_cursor = Some((*name, 0));
            break;
        }
        let Some(topic) = image.topic_by_name(name) else {
            // A topic that went meanwhile is no error for who asks for all.
            topics.extend((!all).then(|| unknown(name)));
            continue;
        };
        let first = cursor.filter(|it| it.topic_name == *name).map_or(0, |it| it.partition_index);
        let described = describe(image, topic, first, left);
        let next = first + described.partitions.len() as i32;
        left -= described.partitions.len();
        topics.push(described);
        if (next as usize) < topic.partitions.len() {
            next_cursor = Some((*name, next));
            break;
        }
    }
    DescribeTopicPartitionsResponse {
        topics,
        next_cursor: next_cursor.map(|(name, partition_index)| ResponseCursor {
            topic_name: name.into(),
            partition_index,
        }),
        ..Default::default()
    }
}

/// The answer has no error of its own: each topic carries it.
fn refused(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.into(),
        name: Some(topic.name.clone()),
        topic_authorized_operations: operations::UNKNOWN,
        ..Default::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match check_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.into(),
        name: Some(name.into()),
        topic_id: TopicId::ZERO,
        is_internal: INTERNAL_TOPICS.contains(&name),
        partitions: Vec::new(),
        topic_authorized_operations: operations::TOPIC,
    }
}

fn describe(
    image: &MetadataImage,
    topic: &Topic,
    first: i32,
    count_max: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let wire = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    let partitions = topic.partitions.range(PartitionId(first)..).take(count_max);
    let partitions =
        partitions.map(|(index, partition)| DescribeTopicPartitionsResponsePartition {
            error_code: ErrorCode::None.into(),
            partition_index: index.0,
            leader_id: BrokerId::to_wire(partition.leader),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: wire(&partition.replicas),
            isr_nodes: wire(&partition.isr),
            eligible_leader_replicas: Some(wire(&partition.eligible_leader_replicas)),
            last_known_elr: Some(wire(&partition.last_known_elr)),
            offline_replicas: partition
                .replicas
                .iter()
                .filter(|&&replica| is_offline(image, partition, replica))
                .map(|replica| replica.0)
                .collect(),
        });
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None.into(),
        name: Some((*topic.name).into()),
        topic_id: topic.id,
        is_internal: INTERNAL_TOPICS.contains(&&*topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: operations::TOPIC,
    }
}
