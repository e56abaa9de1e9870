//! OffsetFetch (KIP-447, KIP-709, KIP-848): how far groups have read. Source:
//! `KafkaApis.handleOffsetFetchRequest`.
//!
//! What is answered is committed, whether or not the client asks for stable offsets: there are no
//! transactions yet whose offsets could be undecided.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use protocol::wire::WireString;

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 1..=10;

/// The first version in which an error may be that of a whole group.
const GROUP_ERROR_VERSION: i16 = 2;
/// The first version that asks for many groups.
const BATCH_VERSION: i16 = 8;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// What a partition takes in an answer, as a structure and as bytes, beside its note.
const PARTITION_SIZE_BYTES: usize = 128;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Refusal> {
    if head.version >= BATCH_VERSION {
        let mut groups = Vec::with_capacity(request.groups.len());
        let mut size_bytes = 0;
        for group in request.groups {
            groups.push(fetch(context, head.version, group, &mut size_bytes).await?);
        }
        return Ok(OffsetFetchResponse { groups, ..OffsetFetchResponse::default() });
    }
    let topics = request.topics.map(|topics| {
        let renamed = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        renamed.collect()
    });
    let group = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let answer = fetch(context, head.version, group, &mut 0).await?;
    let topics = answer.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    Ok(OffsetFetchResponse {
        topics: topics.collect(),
        error_code: answer.error_code,
        ..OffsetFetchResponse::default()
    })
}

async fn fetch(
    context: &RequestContext,
    version: i16,
    mut group: OffsetFetchRequestGroup,
    size_bytes: &mut usize,
) -> Result<OffsetFetchResponseGroup, Refusal> {
    let view = context.core.view();
    let group_id = group.group_id.clone();
    let mut unknown = Vec::new();
    if version >= TOPIC_ID_VERSION
        && let Some(topics) = &mut group.topics
    {
        for topic in std::mem::take(topics) {
            match view.image.topic_by_id(topic.topic_id) {
                Some(known) => {
                    topics.push(OffsetFetchRequestTopics { name: (*known.name).into(), ..topic });
                }
                None => unknown.push(refused_topic(&topic, ErrorCode::UnknownTopicId)),
            }
        }
    }
    let asked = group.topics.clone();
    let mut answer = match ask(context, &group_id, GroupRequest::Fetch(group)).await? {
        Ok(GroupAnswer::Fetch(answer)) => answer,
        Ok(other) => unreachable!("{other:?} answers no OffsetFetch"),
        Err(error) => return Ok(refused(version, group_id, asked, error)),
    };
    if version >= TOPIC_ID_VERSION {
        for topic in &mut answer.topics {
            if topic.topic_id.is_zero()
                && let Some(known) = view.image.topic_by_name(&topic.name)
            {
                topic.topic_id = known.id;
            }
        }
        // There is no way to name it to the client.
        answer.topics.retain(|topic| !topic.topic_id.is_zero());
    }
    answer.topics.extend(unknown);
    *size_bytes += answer.topics.iter().map(size_of).sum::<usize>();
    context.check_granted(*size_bytes)?;
    Ok(answer)
}

fn size_of(topic: &OffsetFetchResponseTopics) -> usize {
    let notes = topic.partitions.iter().map(|it| it.metadata.as_ref().map_or(0, |it| it.len()));
    topic.name.len() + PARTITION_SIZE_BYTES * (1 + topic.partitions.len()) + notes.sum::<usize>()
}

/// Source: `OffsetFetchResponse.groupError`.
fn refused(
    version: i16,
    group_id: WireString,
    asked: Option<Vec<OffsetFetchRequestTopics>>,
    error: ErrorCode,
) -> OffsetFetchResponseGroup {
    let (error_code, topics) = match version >= GROUP_ERROR_VERSION {
        true => (error.into(), Vec::new()),
        false => {
            let asked = asked.unwrap_or_default();
            (0, asked.iter().map(|topic| refused_topic(topic, error)).collect())
        }
    };
    OffsetFetchResponseGroup { group_id, topics, error_code }
}

fn refused_topic(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let refused = |index: &i32| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        error_code: error.into(),
        metadata: Some(WireString::EMPTY),
        ..OffsetFetchResponsePartitions::default()
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(refused).collect(),
    }
}
