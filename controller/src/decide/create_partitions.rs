//! CreatePartitions: more partitions for topics that exist. Source: KIP-195.

use protocol::error_code::ErrorCode;
use protocol::messages::create_partitions::{CreatePartitionsTopic, CreatePartitionsTopicResult};
use protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use protocol::model::{BrokerId, PartitionId};
use protocol::records::metadata::MetadataRecord;

use crate::metadata::Topic;
use crate::quota::Permits;

use super::create_topics::{check_replicas, count_names, new_partition};
use super::placement::place;
use super::{Decision, Draw, RECORDS_PER_DECISION_MAX, Refusal, View};

pub fn create_partitions(
    view: &View<'_>,
    request: &CreatePartitionsRequest,
    draw: &mut Draw,
    permits: &mut Permits,
) -> Decision<CreatePartitionsResponse> {
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(request.topics.len());
    let mut named = count_names(request.topics.iter().map(|topic| &*topic.name));
    for topic in &request.topics {
        let grown = match named.remove(&*topic.name) {
            None => continue,
            Some(1) => {
                let room = RECORDS_PER_DECISION_MAX.saturating_sub(records.len());
                grow(view, topic, room, draw, permits)
            }
            Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name")),
        };
        let (error, message) = match grown {
            Ok(new) => {
                records.extend(new);
                (ErrorCode::None, None)
            }
            Err(refusal) => (refusal.error, Some(refusal.message.into())),
        };
        results.push(CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: error.into(),
            error_message: message,
        });
    }
    if request.validate_only {
        records.clear();
    }
    Decision { records, response: CreatePartitionsResponse { throttle_time_ms: 0, results } }
}

fn grow(
    view: &View<'_>,
    request: &CreatePartitionsTopic,
    room: usize,
    draw: &mut Draw,
    permits: &mut Permits,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let topic = view.image.topic_by_name(&request.name).ok_or_else(|| {
        Refusal::new(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic")
    })?;
    let existing = topic.partitions.len();
    let invalid = |message: String| Refusal::new(ErrorCode::InvalidPartitions, message);
    let wanted = usize::try_from(request.count)
        .map_err(|_| invalid("Number of partitions must be larger than 0".to_owned()))?;
    if wanted == existing {
        return Err(invalid(format!("Topic already has {existing} partition(s)")));
    }
    let additional = wanted.checked_sub(existing).ok_or_else(|| {
        invalid(format!("Topic has {existing} partition(s), which cannot become fewer"))
    })?;
    if additional > room {
        return Err(Refusal::new(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request",
        ));
    }
    let replication_factor =
        topic.partitions.get(&PartitionId(0)).map_or(1, |partition| partition.replicas.len());
    let replicas = match &request.assignments {
        Some(_) => manual(view, topic, request, additional, replication_factor)?,
        None => place(view.image, additional, replication_factor, draw)?,
    };
    let records = replicas.into_iter().enumerate().map(|(index, replicas)| {
        let id = PartitionId((existing + index) as i32);
        let partition = new_partition(view.image, replicas)?;
        Ok(MetadataRecord::Partition(partition.to_record(topic.id, id)))
    });
    let records: Vec<_> = records.collect::<Result<_, Refusal>>()?;
    permits.take(additional)?;
    Ok(records)
}

fn manual(
    view: &View<'_>,
    topic: &Topic,
    request: &CreatePartitionsTopic,
    additional: usize,
    replication_factor: usize,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let invalid = |message: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, message);
    let assignments = request.assignments.as_deref().unwrap_or_default();
    if assignments.len() != additional {
        return Err(invalid(format!(
            "{additional} partition(s) are new, but {} assignments were given",
            assignments.len()
        )));
    }
    let check = |assignment: &protocol::messages::create_partitions::CreatePartitionsAssignment| {
        let replicas = check_replicas(view.image, &assignment.broker_ids)?;
        if replicas.len() != replication_factor {
            return Err(invalid(format!(
                "Topic '{}' has replication factor {replication_factor}, but an assignment has {} \
                 replicas",
                topic.name,
                replicas.len()
            )));
        }
        Ok(replicas)
    };
    assignments.iter().map(check).collect()
}
