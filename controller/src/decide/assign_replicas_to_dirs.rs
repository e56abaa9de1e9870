//! AssignReplicasToDirs: a broker with several log directories tells where it put its replicas.
//! Source: KIP-858.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error_code::ErrorCode;
use protocol::messages::assign_replicas_to_dirs::{
    RequestDirectoryData, ResponseDirectoryData, ResponsePartitionData, ResponseTopicData,
};
use protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use protocol::model::{BrokerEpoch, BrokerId, DirectoryId, PartitionId, TopicId};
use protocol::records::metadata::MetadataRecord;

use crate::metadata::{Broker, PartitionChange};

use super::brokers::check_broker_epoch;
use super::leadership::move_away;
use super::{Decision, RECORDS_PER_DECISION_MAX, Refusal, View};

/// Records by partition, so that one that is named twice goes where it was named last.
type Assigned = BTreeMap<(TopicId, PartitionId), PartitionChange>;

pub fn assign_replicas_to_dirs(
    view: &View<'_>,
    request: &AssignReplicasToDirsRequest,
) -> Result<Decision<AssignReplicasToDirsResponse>, Refusal> {
    let id = BrokerId(request.broker_id);
    let broker = check_broker_epoch(view, id, BrokerEpoch(request.broker_epoch))?;
    let mut assigned = Assigned::new();
    let mut offline = BTreeSet::new();
    let mut directories = Vec::with_capacity(request.directories.len());
    for directory in &request.directories {
        directories.push(assign(view, broker, directory, &mut assigned));
        if !broker.has_directory(directory.id) {
            offline.extend(directory.topics.iter().flat_map(|topic| {
                let ids = topic.partitions.iter().map(|p| PartitionId(p.partition_index));
                ids.map(|partition_id| (topic.topic_id, partition_id))
            }));
        }
    }
    if assigned.len() > RECORDS_PER_DECISION_MAX {
        return Err(Refusal::new(
            ErrorCode::PolicyViolation,
            format!("One request may write at most {RECORDS_PER_DECISION_MAX} records"),
        ));
    }
    // What was put into a directory that has failed meanwhile cannot be led or followed there.
    offline.retain(|partition| assigned.contains_key(partition));
    let mut records: Vec<_> = assigned
        .into_iter()
        .filter(|(_, change)| !change.is_empty())
        .map(|((topic_id, partition_id), change)| {
            MetadataRecord::PartitionChange(change.to_record(topic_id, partition_id))
        })
        .collect();
    if !offline.is_empty() {
        records.extend(move_away(view, id, &offline));
    }
    let response =
        AssignReplicasToDirsResponse { directories, ..AssignReplicasToDirsResponse::default() };
    Ok(Decision { records, response })
}

fn assign(
    view: &View<'_>,
    broker: &Broker,
    directory: &RequestDirectoryData,
    assigned: &mut Assigned,
) -> ResponseDirectoryData {
    let mut topics = Vec::with_capacity(directory.topics.len());
    for topic in &directory.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let id = PartitionId(partition.partition_index);
            let error = match change(view, broker.id, topic.topic_id, id, directory.id) {
                Ok(change) => {
                    assigned.insert((topic.topic_id, id), change);
                    ErrorCode::None
                }
                Err(error) => error,
            };
            partitions
                .push(ResponsePartitionData { partition_index: id.0, error_code: error.into() });
        }
        topics.push(ResponseTopicData { topic_id: topic.topic_id, partitions });
    }
    ResponseDirectoryData { id: directory.id, topics }
}

fn change(
    view: &View<'_>,
    broker: BrokerId,
    topic_id: TopicId,
    partition_id: PartitionId,
    directory: DirectoryId,
) -> Result<PartitionChange, ErrorCode> {
    let topic = view.image.topic_by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    let partition =
        topic.partitions.get(&partition_id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let index = partition.replicas.iter().position(|&replica| replica == broker);
    let index = index.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let mut directories = partition.directories.clone();
    directories.resize(partition.replicas.len(), DirectoryId::ZERO);
    directories[index] = directory;
    let directories = (directories != partition.directories).then_some(directories);
    Ok(PartitionChange { directories, ..PartitionChange::default() })
}
