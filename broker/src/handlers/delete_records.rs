//! DeleteRecords (KIP-107): the log start of partitions moves; what lies below is never read again.
//!
//! Its time-out bounds the wait for other replicas to follow, of which there are none yet.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use protocol::model::Offset;

use super::metadata::INTERNAL_TOPICS;
use super::request::{Refusal, RequestContext, RequestHead};
use super::route::{self, ByCore, Route};
use crate::cores::ClusterView;
use crate::replica::{DeleteRecordsPart, DeleteRecordsParts, DeleteRecordsResult};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DeleteRecordsRequest,
) -> Result<DeleteRecordsResponse, Refusal> {
    let core = &context.core;
    let view = core.view();
    let mut results = Vec::new();
    let mut parts = ByCore::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let slot = results.len();
            results.push(DeleteRecordsResult::refused(ErrorCode::UnknownServerError));
            let routed = route(&view, context, &topic.name, partition.partition_index);
            let part = routed.and_then(|route| {
                let before = before(partition.offset)?;
                Ok((route, DeleteRecordsPart { partition: route.key, before }))
            });
            match part {
                Ok((route, part)) => parts.push(route.core, slot, part),
                Err(error) => results[slot] = DeleteRecordsResult::refused(error),
            }
        }
    }
    let mut asked = Vec::with_capacity(parts.core_count());
    for (owner, slots, parts) in parts.into_parts() {
        asked.push((slots, core.ask(owner, DeleteRecordsParts { parts }).await));
    }
    for (slots, answer) in asked {
        for (slot, result) in slots.into_iter().zip(answer.await?) {
            results[slot] = result;
        }
    }
    Ok(merge(request, results))
}

/// Source: `KafkaApis.handleDeleteRecordsRequest`, `ReplicaManager.deleteRecordsOnLocalLog`.
fn route(
    view: &ClusterView,
    context: &RequestContext,
    topic: &str,
    partition: i32,
) -> Result<Route, ErrorCode> {
    let route = route::by_name(view, context.core.node.config.node_id, topic, partition)?;
    if INTERNAL_TOPICS.contains(&topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(route)
}

fn before(offset: i64) -> Result<Option<Offset>, ErrorCode> {
    match offset {
        HIGH_WATERMARK => Ok(None),
        0.. => Ok(Some(Offset(offset))),
        _ => Err(ErrorCode::OffsetOutOfRange),
    }
}

fn merge(
    request: DeleteRecordsRequest,
    results: Vec<DeleteRecordsResult>,
) -> DeleteRecordsResponse {
    let mut results = results.into_iter();
    let topics = request
        .topics
        .into_iter()
        .map(|topic| DeleteRecordsTopicResult {
            name: topic.name,
            partitions: topic
                .partitions
                .iter()
                .zip(&mut results)
                .map(|(partition, result)| DeleteRecordsPartitionResult {
                    partition_index: partition.partition_index,
                    low_watermark: Offset::to_wire(result.low_watermark),
                    error_code: result.error.into(),
                })
                .collect(),
        })
        .collect();
    DeleteRecordsResponse { topics, ..Default::default() }
}
