//! ListPartitionReassignments (KIP-455): partitions whose replicas are being moved. This broker moves none,
//! but may have taken over a directory in which some are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use controller::metadata::{Partition, Topic};
use protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use protocol::model::{BrokerId, PartitionId};

use super::request::{Refusal, RequestContext, RequestHead};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: ListPartitionReassignmentsRequest,
) -> Result<ListPartitionReassignmentsResponse, Refusal> {
    let view = context.core.view();
    let mut topics = Vec::new();
    match request.topics {
        None => {
            for topic in view.image.topics().iter() {
                topics.extend(ongoing(topic, topic.partitions.iter()));
            }
        }
        Some(asked) => {
            for of_topic in asked {
                let Some(topic) = view.image.topic_by_name(&of_topic.name) else { continue };
                let indexes = of_topic.partition_indexes.into_iter().map(PartitionId);
                let partitions = indexes.filter_map(|index| topic.partitions.get_key_value(&index));
                topics.extend(ongoing(topic, partitions));
            }
        }
    }
    Ok(ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() })
}

fn ongoing<'a>(
    topic: &Topic,
    partitions: impl Iterator<Item = (&'a PartitionId, &'a Arc<Partition>)>,
) -> Option<OngoingTopicReassignment> {
    let is_moving = |partition: &Partition| {
        !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty()
    };
    let wire = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    let partitions: Vec<_> = partitions
        .filter(|(_, partition)| is_moving(partition))
        .map(|(index, partition)| OngoingPartitionReassignment {
            partition_index: index.0,
            replicas: wire(&partition.replicas),
            adding_replicas: wire(&partition.adding_replicas),
            removing_replicas: wire(&partition.removing_replicas),
        })
        .collect();
    let name = (*topic.name).into();
    (!partitions.is_empty()).then_some(OngoingTopicReassignment { name, partitions })
}
