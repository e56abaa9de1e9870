//! Where the logs of a topic begin, end, or stand at a time.

use std::collections::BTreeMap;

use client::{ClientError, Cluster, check};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::metadata::MetadataResponsePartition;

/// What offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Beginning,
    /// The offset that the next record will get.
    End,
    /// Of the first record with this timestamp or a later one.
    TimestampMs(i64),
}

impl At {
    /// Kafka's special timestamps.
    fn timestamp(self) -> i64 {
        match self {
            At::Beginning => -2,
            At::End => -1,
            At::TimestampMs(timestamp) => timestamp,
        }
    }
}

/// The offsets of those of `partitions` that have a leader, by partition. At a time that is after the
/// last record a partition has none.
pub fn offsets(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[MetadataResponsePartition],
    at: At,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for partition in partitions.iter().filter(|partition| partition.leader_id >= 0) {
        by_leader.entry(partition.leader_id).or_default().push(ListOffsetsPartition {
            partition_index: partition.partition_index,
            current_leader_epoch: -1,
            timestamp: at.timestamp(),
        });
    }
    let mut found = BTreeMap::new();
    for (leader, partitions) in by_leader {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: topic.into(), partitions }],
            ..ListOffsetsRequest::default()
        };
        let response = cluster.call_broker(leader, &request, i16::MAX)?;
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let what = format!("offsets of {topic}-{}", answer.partition_index);
            check(&what, answer.error_code, None)?;
            if answer.offset >= 0 {
                found.insert(answer.partition_index, answer.offset);
            }
        }
    }
    Ok(found)
}
