//! From the owners' results to one answer, within its size.

use protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::model::Offset;
use protocol::wire::Records;

use super::plan::Plan;
use crate::replica::FetchResult;

/// Puts the results into the order of the request. Each owner kept to the size limit alone; together
/// they keep to it here: what comes after it was reached is left for the next fetch.
pub fn merge(plan: Plan, results: Vec<FetchResult>) -> FetchResponse {
    let mut results = results.into_iter();
    let mut size_bytes_left = plan.size_bytes_max;
    let mut nothing_yet = true;
    let mut responses = Vec::with_capacity(plan.topics.len());
    for topic in plan.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (partition, mut result) in topic.partitions.iter().zip(&mut results) {
            if !nothing_yet && result.size_bytes > size_bytes_left {
                result.slices.clear();
                result.aborted.clear();
                result.size_bytes = 0;
            }
            nothing_yet &= result.size_bytes == 0;
            size_bytes_left = size_bytes_left.saturating_sub(result.size_bytes);
            partitions.push(partition_data(partition.partition, result, plan.read_committed));
        }
        responses.push(FetchableTopicResponse {
            topic: topic.topic,
            topic_id: topic.topic_id,
            partitions,
        });
    }
    FetchResponse { responses, ..Default::default() }
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
