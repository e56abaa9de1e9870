//! ListOffsets (KIP-79, KIP-320, KIP-734): offsets by time, and the ends of a log.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use protocol::model::{LeaderEpoch, Offset};

use super::request::{Refusal, RequestContext, RequestHead};
use super::route::{self, ByCore};
use crate::replica::{ListOffsetsPart, ListOffsetsParts, ListOffsetsResult, OffsetSpec};

pub const VERSIONS: RangeInclusive<i16> = 1..=11;

/// The first version that tells the leader epoch of a record.
const LEADER_EPOCH_VERSION: i16 = 4;
/// The lowest version that may ask for each special time.
const MAX_TIMESTAMP_VERSION: i16 = 7;
const EARLIEST_LOCAL_VERSION: i16 = 8;
const LATEST_TIERED_VERSION: i16 = 9;
const EARLIEST_PENDING_UPLOAD_VERSION: i16 = 11;

const READ_COMMITTED: i8 = 1;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: ListOffsetsRequest,
) -> Result<ListOffsetsResponse, Refusal> {
    let core = &context.core;
    let view = core.view();
    let mut results = Vec::new();
    let mut parts = ByCore::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let slot = results.len();
            results.push(ListOffsetsResult::refused(ErrorCode::UnknownServerError));
            let index = partition.partition_index;
            let routed = spec(partition.timestamp, head.version).and_then(|spec| {
                let node_id = core.node.config.node_id;
                Ok((route::by_name(&view, node_id, &topic.name, index)?, spec))
            });
            match routed {
                Ok((route, spec)) => {
                    let part = ListOffsetsPart {
                        partition: route.key,
                        current_leader_epoch: LeaderEpoch::from_wire(
                            partition.current_leader_epoch,
                        ),
                        spec,
                        read_committed: request.isolation_level == READ_COMMITTED,
                    };
                    parts.push(route.core, slot, part);
                }
                Err(error) => results[slot] = ListOffsetsResult::refused(error),
            }
        }
    }
    let mut asked = Vec::with_capacity(parts.core_count());
    for (owner, slots, parts) in parts.into_parts() {
        asked.push((slots, core.ask(owner, ListOffsetsParts { parts }).await));
    }
    for (slots, answer) in asked {
        for (slot, result) in slots.into_iter().zip(answer.await?) {
            results[slot] = result;
        }
    }
    Ok(merge(head.version, request, results))
}

fn spec(timestamp: i64, version: i16) -> Result<OffsetSpec, ErrorCode> {
    let lowest = match timestamp {
        -3 => MAX_TIMESTAMP_VERSION,
        -4 => EARLIEST_LOCAL_VERSION,
        -5 => LATEST_TIERED_VERSION,
        -6 => EARLIEST_PENDING_UPLOAD_VERSION,
        _ => *VERSIONS.start(),
    };
    if version < lowest {
        return Err(ErrorCode::UnsupportedVersion);
    }
    OffsetSpec::from_wire(timestamp).ok_or(ErrorCode::UnsupportedVersion)
}

fn merge(
    version: i16,
    request: ListOffsetsRequest,
    results: Vec<ListOffsetsResult>,
) -> ListOffsetsResponse {
    let mut results = results.into_iter();
    let topics = request
        .topics
        .into_iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name,
            partitions: topic
                .partitions
                .iter()
                .zip(&mut results)
                .map(|(partition, result)| ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    error_code: result.error.into(),
                    timestamp: result.timestamp.map_or(-1, |timestamp| timestamp.0),
                    offset: Offset::to_wire(result.offset),
                    leader_epoch: LeaderEpoch::to_wire(
                        result.leader_epoch.filter(|_| version >= LEADER_EPOCH_VERSION),
                    ),
                })
                .collect(),
        })
        .collect();
    ListOffsetsResponse { topics, ..Default::default() }
}
