//! ElectLeaders: the preferred replica leads again, or any replica that lives. Sources: KIP-183, KIP-460,
//! Kafka's `ReplicationControlManager`.

use protocol::error_code::ErrorCode;
use protocol::messages::elect_leaders::{PartitionResult, ReplicaElectionResult};
use protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use protocol::model::PartitionId;
use protocol::records::metadata::MetadataRecord;

use crate::metadata::Topic;

use super::leadership::Rules;
use super::partition_change::ElectionKind;
use super::{Decision, RECORDS_PER_DECISION_MAX, Refusal, View};

pub fn elect_leaders(
    view: &View<'_>,
    request: &ElectLeadersRequest,
) -> Result<Decision<ElectLeadersResponse>, Refusal> {
    let kind = match request.election_type {
        0 => ElectionKind::Preferred,
        1 => ElectionKind::Unclean,
        other => {
            let message = format!("Unknown election type {other}");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
    };
    let mut records = Vec::new();
    let mut results = Vec::new();
    match &request.topic_partitions {
        Some(asked) => {
            for of_topic in asked {
                let topic = view.image.topic_by_name(&of_topic.topic);
                let elect = |&partition: &i32| {
                    let elected = match topic {
                        Some(topic) => elect(view, topic, PartitionId(partition), kind),
                        None => Err(unknown(format!("No topic is called {}", of_topic.topic))),
                    };
                    note(partition, elected, &mut records)
                };
                results.push(ReplicaElectionResult {
                    topic: of_topic.topic.clone(),
                    partition_result: of_topic.partitions.iter().map(elect).collect(),
                });
            }
        }
        // All partitions; those that need no election are not answered.
        None => {
            for topic in view.image.topics().iter() {
                let mut partition_result = Vec::new();
                for &partition in topic.partitions.keys() {
                    let elected = elect(view, topic, partition, kind);
                    let not_needed =
                        |refusal: &Refusal| refusal.error == ErrorCode::ElectionNotNeeded;
                    if !elected.as_ref().is_err_and(not_needed) {
                        partition_result.push(note(partition.0, elected, &mut records));
                    }
                }
                let topic = (*topic.name).into();
                results.push(ReplicaElectionResult { topic, partition_result });
            }
        }
    }
    if records.len() > RECORDS_PER_DECISION_MAX {
        let message = format!("One request may write at most {RECORDS_PER_DECISION_MAX} records");
        return Err(Refusal::new(ErrorCode::PolicyViolation, message));
    }
    let response = ElectLeadersResponse {
        replica_election_results: results,
        ..ElectLeadersResponse::default()
    };
    Ok(Decision { records, response })
}

fn note(
    partition_id: i32,
    elected: Result<MetadataRecord, Refusal>,
    records: &mut Vec<MetadataRecord>,
) -> PartitionResult {
    let (error, error_message) = match elected {
        Ok(record) => {
            records.push(record);
            (ErrorCode::None, None)
        }
        Err(refusal) => (refusal.error, Some(refusal.message.into())),
    };
    PartitionResult { partition_id, error_code: error.into(), error_message }
}

fn elect(
    view: &View<'_>,
    topic: &Topic,
    id: PartitionId,
    kind: ElectionKind,
) -> Result<MetadataRecord, Refusal> {
    let Some(partition) = topic.partitions.get(&id) else {
        return Err(unknown(format!("No partition is called {}-{id}", topic.name)));
    };
    let (is_needed, none) = match kind {
        ElectionKind::Preferred => (
            partition.replicas.first() != partition.leader.as_ref(),
            (ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available"),
        ),
        ElectionKind::Unclean | ElectionKind::Online => (
            partition.leader.is_none(),
            (
                ErrorCode::EligibleLeadersNotAvailable,
                "Eligible topic partition leaders are not available",
            ),
        ),
    };
    if !is_needed {
        let message = "Leader election not needed for topic partition";
        return Err(Refusal::new(ErrorCode::ElectionNotNeeded, message));
    }
    let record = Rules::of(view, topic).elect(view, topic, id, partition, kind);
    record.ok_or_else(|| Refusal::new(none.0, none.1))
}

fn unknown(message: String) -> Refusal {
    Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
}
