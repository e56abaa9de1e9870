//! DescribeQuorum: the voters, and how far each is. Sources: KIP-595, KIP-836, KIP-853.

use protocol::error_code::ErrorCode;
use protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node as ListedNode, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};
use protocol::model::{Offset, TimestampMs, Uuid};

use super::Node;

const METADATA_TOPIC: &str = "__cluster_metadata";

/// The version from which voters are named with their directories, and listed with their listeners.
const DIRECTORIES_VERSION_MIN: i16 = 2;

/// What `node`, which leads, says of its quorum at `now`.
pub fn describe_quorum(
    node: &Node,
    now: TimestampMs,
    version: i16,
    request: &DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let is_metadata = match request.topics.as_slice() {
        [topic] => {
            topic.topic_name == METADATA_TOPIC
                && matches!(topic.partitions.as_slice(), [one] if one.partition_index == 0)
        }
        _ => false,
    };
    if !is_metadata {
        return unknown(request);
    }
    let config = node.config();
    let with_directories = version >= DIRECTORIES_VERSION_MIN;
    let directory = |id: Option<Uuid>| id.filter(|_| with_directories).unwrap_or_default();
    let current_voters = config.voters.iter().map(|voter| ReplicaState {
        replica_id: voter.key.id.0,
        replica_directory_id: directory(voter.key.directory_id),
        log_end_offset: node.log_end_offset().0,
        // The leader has always just heard of itself.
        last_fetch_timestamp: now.0,
        last_caught_up_timestamp: now.0,
    });
    let partition = ResponsePartitionData {
        leader_id: config.replica.id.0,
        leader_epoch: node.leader_epoch().0,
        high_watermark: Offset::to_wire(node.high_watermark()),
        current_voters: current_voters.collect(),
        ..ResponsePartitionData::default()
    };
    let nodes = config.voters.iter().filter(|_| with_directories).map(|voter| ListedNode {
        node_id: voter.key.id.0,
        listeners: voter
            .endpoints
            .iter()
            .map(|endpoint| Listener {
                name: endpoint.name.as_str().into(),
                host: endpoint.host.as_str().into(),
                port: endpoint.port,
            })
            .collect(),
    });
    DescribeQuorumResponse {
        topics: vec![ResponseTopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
        }],
        nodes: nodes.collect(),
        ..DescribeQuorumResponse::default()
    }
}

fn unknown(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| ResponseTopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| ResponsePartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.into(),
                ..ResponsePartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..DescribeQuorumResponse::default() }
}
