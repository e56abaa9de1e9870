//! OffsetCommit (KIP-211, KIP-320, KIP-848): how far a group has read. Answered when it is flushed. Source:
//! `KafkaApis.handleOffsetCommitRequest`.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use protocol::model::PartitionId;

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};
use crate::cores::ClusterView;

pub const VERSIONS: RangeInclusive<i16> = 2..=10;

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// A topic of the answer, and where in it those partitions stand that the coordinator is asked for.
struct Planned {
    response: OffsetCommitResponseTopic,
    asked: Vec<usize>,
}

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    mut request: OffsetCommitRequest,
) -> Result<OffsetCommitResponse, Refusal> {
    let view = context.core.view();
    let mut planned = Vec::with_capacity(request.topics.len());
    let mut known = Vec::with_capacity(request.topics.len());
    for topic in std::mem::take(&mut request.topics) {
        let (plan, asked) = plan(&view, head.version, topic);
        planned.push(plan);
        known.extend(asked);
    }
    if !known.is_empty() {
        let group_id = request.group_id.clone();
        request.topics = known;
        let request = GroupRequest::Commit(head.version, request);
        let codes: Vec<i16> = match ask(context, &group_id, request).await? {
            Ok(GroupAnswer::Commit(response)) => {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|partition| partition.error_code).collect()
            }
            Ok(other) => unreachable!("{other:?} answers no OffsetCommit"),
            Err(error) => {
                let count = planned.iter().map(|plan| plan.asked.len()).sum();
                vec![error.into(); count]
            }
        };
        let mut codes = codes.into_iter();
        for Planned { response, asked } in &mut planned {
            for (slot, code) in asked.iter().zip(&mut codes) {
                response.partitions[*slot].error_code = code;
            }
        }
    }
    let topics = planned.into_iter().map(|plan| plan.response).collect();
    Ok(OffsetCommitResponse { topics, ..OffsetCommitResponse::default() })
}

/// What is answered of a topic, and what of it the coordinator is asked for: partitions that exist.
fn plan(
    view: &ClusterView,
    version: i16,
    topic: OffsetCommitRequestTopic,
) -> (Planned, Option<OffsetCommitRequestTopic>) {
    let OffsetCommitRequestTopic { name, topic_id, partitions } = topic;
    let (known, unknown) = match version >= TOPIC_ID_VERSION {
        true => (view.image.topic_by_id(topic_id), ErrorCode::UnknownTopicId),
        false => (view.image.topic_by_name(&name), ErrorCode::UnknownTopicOrPartition),
    };
    let exists = |partition: &OffsetCommitRequestPartition| {
        let index = PartitionId(partition.partition_index);
        known.is_some_and(|topic| topic.partitions.contains_key(&index))
    };
    let error = |partition: &OffsetCommitRequestPartition| match known {
        None => unknown,
        Some(_) if exists(partition) => ErrorCode::None,
        Some(_) => ErrorCode::UnknownTopicOrPartition,
    };
    let answered = partitions.iter().map(|partition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: error(partition).into(),
    });
    let answered = answered.collect();
    let asked = (0..partitions.len()).filter(|slot| exists(&partitions[*slot])).collect();
    let wanted = known.map(|topic| OffsetCommitRequestTopic {
        name: (*topic.name).into(),
        topic_id: topic.id,
        partitions: partitions.iter().filter(|it| exists(it)).cloned().collect(),
    });
    let response = OffsetCommitResponseTopic { name, topic_id, partitions: answered };
    (Planned { response, asked }, wanted.filter(|wanted| !wanted.partitions.is_empty()))
}
