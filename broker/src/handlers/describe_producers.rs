//! DescribeProducers (KIP-664): who has written to partitions, and whose transactions are open in them.

use std::ops::RangeInclusive;

use controller::decide::check_topic_name;
use protocol::error_code::ErrorCode;
use protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use protocol::model::Offset;
use storage::ActiveProducer;

use super::request::{Refusal, RequestContext, RequestHead};
use super::route::{self, ByCore};
use crate::replica::{ProducersParts, ProducersResult};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeProducersRequest,
) -> Result<DescribeProducersResponse, Refusal> {
    let core = &context.core;
    let view = core.view();
    let mut results: Vec<ProducersResult> = Vec::new();
    let mut parts = ByCore::new();
    for topic in &request.topics {
        let name = &*topic.name;
        let is_valid = check_topic_name(name).is_ok();
        for &index in &topic.partition_indexes {
            let slot = results.len();
            results.push(Err(ErrorCode::UnknownServerError));
            match route::by_name(&view, core.node.config.node_id, name, index) {
                _ if !is_valid => results[slot] = Err(ErrorCode::InvalidTopicException),
                Ok(route) => parts.push(route.core, slot, route.key),
                Err(error) => results[slot] = Err(error),
            }
        }
    }
    let mut asked = Vec::with_capacity(parts.core_count());
    for (owner, slots, partitions) in parts.into_parts() {
        asked.push((slots, core.ask(owner, ProducersParts { partitions }).await));
    }
    for (slots, answer) in asked {
        for (slot, result) in slots.into_iter().zip(answer.await?) {
            results[slot] = result;
        }
    }
    Ok(merge(request, results))
}

fn merge(
    request: DescribeProducersRequest,
    results: Vec<ProducersResult>,
) -> DescribeProducersResponse {
    let mut results = results.into_iter();
    let topics = request.topics.into_iter().map(|topic| TopicResponse {
        name: topic.name,
        partitions: topic
            .partition_indexes
            .iter()
            .zip(&mut results)
            .map(|(&partition_index, result)| {
                let (error, producers) = match result {
                    Ok(producers) => (ErrorCode::None, producers),
                    Err(error) => (error, Vec::new()),
                };
                PartitionResponse {
                    partition_index,
                    error_code: error.into(),
                    error_message: None,
                    active_producers: producers.iter().map(state).collect(),
                }
            })
            .collect(),
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: i32::from(producer.producer_epoch.map_or(-1, |epoch| epoch.0)),
        last_sequence: producer.last_sequence.map_or(-1, |sequence| sequence.0),
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: Offset::to_wire(producer.current_txn_first_offset),
    }
}
