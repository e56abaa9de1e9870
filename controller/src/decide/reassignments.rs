//! AlterPartitionReassignments: which brokers hold a partition. Sources: KIP-455, KIP-860, Kafka's
//! `ReplicationControlManager`.
//!
//! Replicas change their order, and go, at once. A new one would have to be filled by replication, which
//! is not there yet: it is refused.

use protocol::error_code::ErrorCode;
use protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use protocol::model::{BrokerId, PartitionId};
use protocol::records::metadata::MetadataRecord;

use crate::metadata::{Partition, Topic};

use super::create_topics::check_replicas;
use super::leadership::Rules;
use super::{Decision, Refusal, View};

pub fn alter_partition_reassignments(
    view: &View<'_>,
    request: &AlterPartitionReassignmentsRequest,
) -> Decision<AlterPartitionReassignmentsResponse> {
    let mut records = Vec::new();
    let may_resize = request.allow_replication_factor_change;
    let responses = request.topics.iter().map(|of_topic| {
        let topic = view.image.topic_by_name(&of_topic.name);
        let reassigned = |asked: &ReassignablePartition| {
            let reassigned = match topic {
                Some(topic) => reassign(view, topic, asked, may_resize),
                None => Err(unknown(format!("No topic is called {}", of_topic.name))),
            };
            let (error, error_message) = match reassigned {
                Ok(record) => {
                    records.extend(record);
                    (ErrorCode::None, None)
                }
                Err(refusal) => (refusal.error, Some(refusal.message.into())),
            };
            let partition_index = asked.partition_index;
            let error_code = error.into();
            ReassignablePartitionResponse { partition_index, error_code, error_message }
        };
        let partitions = of_topic.partitions.iter().map(reassigned).collect();
        ReassignableTopicResponse { name: of_topic.name.clone(), partitions }
    });
    let responses = responses.collect();
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: may_resize,
        error_message: None,
        responses,
        ..AlterPartitionReassignmentsResponse::default()
    };
    Decision { records, response }
}

fn reassign(
    view: &View<'_>,
    topic: &Topic,
    asked: &ReassignablePartition,
    may_resize: bool,
) -> Result<Option<MetadataRecord>, Refusal> {
    let id = PartitionId(asked.partition_index);
    let Some(partition) = topic.partitions.get(&id) else {
        return Err(unknown(format!("No partition is called {}-{id}", topic.name)));
    };
    let target = match &asked.replicas {
        None => reverted(partition)?,
        Some(replicas) => {
            let replicas = check_replicas(view.image, replicas)?;
            let size = settled(partition).count();
            if !may_resize && replicas.len() != size {
                let message =
                    format!("The replication factor is changed from {size} to {}", replicas.len());
                return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
            }
            replicas
        }
    };
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidReplicaAssignment, message);
    if target.iter().any(|replica| !partition.replicas.contains(replica)) {
        return Err(invalid(
            "A replica would be new: this release has no replication to fill it with",
        ));
    }
    let isr: Vec<_> =
        partition.isr.iter().copied().filter(|replica| target.contains(replica)).collect();
    let rules = Rules::of(view, topic);
    // Whoever is in sync may go only when another one is.
    if isr.is_empty() && !partition.isr.is_empty() && !rules.allows_unclean_election() {
        return Err(invalid("No replica that would be left is in sync"));
    }
    Ok(rules.reassign(view, topic, id, partition, target, isr))
}

/// The replicas as they are without the reassignment that is under way.
fn settled(partition: &Partition) -> impl Iterator<Item = BrokerId> {
    partition.replicas.iter().copied().filter(|it| !partition.adding_replicas.contains(it))
}

fn reverted(partition: &Partition) -> Result<Vec<BrokerId>, Refusal> {
    if partition.adding_replicas.is_empty() && partition.removing_replicas.is_empty() {
        let message = "No partition reassignment is in progress.";
        return Err(Refusal::new(ErrorCode::NoReassignmentInProgress, message));
    }
    Ok(settled(partition).collect())
}

fn unknown(message: String) -> Refusal {
    Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
}
