//! OffsetForLeaderEpoch (KIP-101, KIP-279, KIP-320): where a leader epoch ends in each partition's log.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};
use protocol::model::{LeaderEpoch, Offset};

use super::request::{Refusal, RequestContext, RequestHead};
use super::route::{self, ByCore};
use crate::replica::{EpochEndPart, EpochEndParts, EpochEndResult};

pub const VERSIONS: RangeInclusive<i16> = 2..=4;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: OffsetForLeaderEpochRequest,
) -> Result<OffsetForLeaderEpochResponse, Refusal> {
    let core = &context.core;
    let view = core.view();
    let mut results: Vec<EpochEndResult> = Vec::new();
    let mut parts = ByCore::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let slot = results.len();
            results.push(Err(ErrorCode::UnknownServerError));
            let broker = core.node.config.node_id;
            match route::by_name(&view, broker, &topic.topic, partition.partition) {
                Ok(route) => {
                    let part = EpochEndPart {
                        partition: route.key,
                        current_leader_epoch: LeaderEpoch::from_wire(
                            partition.current_leader_epoch,
                        ),
                        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
                    };
                    parts.push(route.core, slot, part);
                }
                Err(error) => results[slot] = Err(error),
            }
        }
    }
    let mut asked = Vec::with_capacity(parts.core_count());
    for (owner, slots, parts) in parts.into_parts() {
        asked.push((slots, core.ask(owner, EpochEndParts { parts }).await));
    }
    for (slots, answer) in asked {
        for (slot, result) in slots.into_iter().zip(answer.await?) {
            results[slot] = result;
        }
    }
    Ok(merge(request, results))
}

fn merge(
    request: OffsetForLeaderEpochRequest,
    results: Vec<EpochEndResult>,
) -> OffsetForLeaderEpochResponse {
    let mut results = results.into_iter();
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        topic: topic.topic,
        partitions: topic
            .partitions
            .iter()
            .zip(&mut results)
            .map(|(asked, result)| {
                let (error, found) = match result {
                    Ok(found) => (ErrorCode::None, found),
                    Err(error) => (error, None),
                };
                EpochEndOffset {
                    error_code: error.into(),
                    partition: asked.partition,
                    leader_epoch: LeaderEpoch::to_wire(found.map(|end| end.leader_epoch)),
                    end_offset: Offset::to_wire(found.map(|end| end.end_offset)),
                }
            })
            .collect(),
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}
