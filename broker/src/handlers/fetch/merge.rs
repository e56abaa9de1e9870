//! From the owners' results to one answer, within its size.

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use protocol::model::Offset;
use protocol::wire::Records;

use super::super::current_leader::{CurrentLeaders, LeaderEndpoint};
use super::plan::Plan;
use super::wanted::{TopicRef, Wanted};
use crate::cores::ClusterView;
use crate::replica::FetchResult;

/// The first version that tells of the current leader, with an error that asks for it (KIP-951).
const CURRENT_LEADER_VERSION: i16 = 16;
/// The last version whose clients need not know KAFKA_STORAGE_ERROR.
const NO_STORAGE_ERROR_VERSION: i16 = 5;

/// Puts the results into the order of the request. Each owner kept to the size limit alone; together
/// they keep to it here: what comes after it was reached is left for the next fetch. So is the batch that
/// each was free to bring whatever its size, but for the first one of all.
pub fn merge(version: i16, plan: Plan, results: Vec<FetchResult>) -> Vec<(Wanted, PartitionData)> {
    let mut size_bytes_left = plan.size_bytes_max;
    let mut nothing_yet = true;
    let mut answered = Vec::with_capacity(plan.wanted.len());
    for (wanted, mut result) in plan.wanted.into_iter().zip(results) {
        let partition_size_bytes_max = usize::try_from(wanted.size_bytes_max).unwrap_or(0);
        if !nothing_yet && result.size_bytes > size_bytes_left.min(partition_size_bytes_max) {
            result.slices.clear();
            result.aborted.clear();
            result.size_bytes = 0;
        }
        nothing_yet &= result.size_bytes == 0;
        size_bytes_left = size_bytes_left.saturating_sub(result.size_bytes);
        if version <= NO_STORAGE_ERROR_VERSION && result.error == ErrorCode::KafkaStorageError {
            result.error = ErrorCode::NotLeaderOrFollower;
        }
        let data = partition_data(wanted.partition, result, plan.read_committed);
        answered.push((wanted, data));
    }
    answered
}

/// One response of all partitions, in order.
pub fn response(
    version: i16,
    view: &ClusterView,
    listener: &str,
    answered: Vec<(Wanted, PartitionData)>,
) -> FetchResponse {
    let mut leaders = CurrentLeaders::new(view, listener);
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut last: Option<TopicRef> = None;
    for (Wanted { topic, partition, .. }, mut data) in answered {
        if version >= CURRENT_LEADER_VERSION && asks_for_leader(data.error_code) {
            let topic = match &topic {
                TopicRef::Id(topic_id) => view.image.topic_by_id(*topic_id),
                TopicRef::Name(name) => view.image.topic_by_name(name),
            };
            let (leader_id, leader_epoch) = leaders.name(topic.map(|it| &**it), partition);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
        }
        match responses.last_mut() {
            Some(response) if last.as_ref() == Some(&topic) => response.partitions.push(data),
            _ => {
                let (topic_id, name) = topic.clone().into_parts();
                let partitions = vec![data];
                responses.push(FetchableTopicResponse { topic: name, topic_id, partitions });
                last = Some(topic);
            }
        }
    }
    let endpoint = |leader: LeaderEndpoint| NodeEndpoint {
        node_id: leader.node_id,
        host: leader.host.into(),
        port: i32::from(leader.port),
        rack: leader.rack.map(Into::into),
    };
    let node_endpoints = leaders.into_endpoints().map(endpoint).collect();
    FetchResponse { responses, node_endpoints, ..Default::default() }
}

fn asks_for_leader(error_code: i16) -> bool {
    [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch]
        .into_iter()
        .any(|error| i16::from(error) == error_code)
}

fn aborted(transactions: &[storage::AbortedTransaction]) -> Vec<AbortedTransaction> {
    let on_the_wire = |transaction: &storage::AbortedTransaction| AbortedTransaction {
        producer_id: transaction.producer_id.0,
        first_offset: transaction.first_offset.0,
    };
    transactions.iter().map(on_the_wire).collect()
}

fn partition_data(
    partition_index: i32,
    result: FetchResult,
    read_committed: bool,
) -> PartitionData {
    let diverging_epoch = result.diverging.map_or_else(EpochEndOffset::default, |diverging| {
        let (leader_epoch, end_offset) = diverging;
        EpochEndOffset { epoch: leader_epoch.0, end_offset: end_offset.0 }
    });
    PartitionData {
        partition_index,
        error_code: result.error.into(),
        high_watermark: Offset::to_wire(result.high_watermark),
        last_stable_offset: Offset::to_wire(result.last_stable_offset),
        log_start_offset: Offset::to_wire(result.log_start_offset),
        diverging_epoch,
        // Null says that nobody asked.
        aborted_transactions: read_committed.then(|| aborted(&result.aborted)),
        preferred_read_replica: -1,
        records: Some(result.slices.into_iter().collect::<Records>()),
        ..Default::default()
    }
}
