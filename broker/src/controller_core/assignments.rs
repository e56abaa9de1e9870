//! Telling the controller in which log directory each replica of this broker lies, so that it knows what
//! is lost with one, and so that Apache Kafka finds the metadata as it would have left them. Source:
//! KIP-858.

use std::collections::BTreeMap;

use protocol::error_code::ErrorCode;
use protocol::messages::assign_replicas_to_dirs::{
    RequestDirectoryData, RequestPartitionData, RequestTopicData,
};
use protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use protocol::model::{BrokerEpoch, BrokerId, DirectoryId, TopicId};

use crate::replica::PartitionKey;

/// Replicas in one request, as many as Kafka's brokers name.
const PARTITIONS_PER_REQUEST_MAX: usize = 2_250;

/// Replicas of which the metadata say another directory than the one they lie in. One request at a time.
#[derive(Default)]
pub struct Assignments {
    due: BTreeMap<PartitionKey, DirectoryId>,
    asked: Option<BTreeMap<PartitionKey, DirectoryId>>,
}

impl Assignments {
    /// Takes note of where a replica lies, and where the metadata say that it does.
    pub fn note(
        &mut self,
        partition: PartitionKey,
        lies_in: DirectoryId,
        known: Option<DirectoryId>,
    ) {
        if known == Some(lies_in) {
            self.due.remove(&partition);
        } else {
            self.due.insert(partition, lies_in);
        }
    }

    /// Forgets a replica that is gone.
    pub fn forget(&mut self, partition: &PartitionKey) {
        self.due.remove(partition);
    }

    /// What to ask now, unless an answer is still to come; it is to be told to
    /// [`Assignments::answered`].
    pub fn next_request(
        &mut self,
        broker_id: BrokerId,
        broker_epoch: BrokerEpoch,
    ) -> Option<AssignReplicasToDirsRequest> {
        if self.asked.is_some() || self.due.is_empty() {
            return None;
        }
        let asked: BTreeMap<_, _> = self
            .due
            .iter()
            .take(PARTITIONS_PER_REQUEST_MAX)
            .map(|(partition, directory)| (*partition, *directory))
            .collect();
        let mut directories: BTreeMap<DirectoryId, BTreeMap<TopicId, Vec<RequestPartitionData>>> =
            BTreeMap::new();
        for (&(topic_id, index), &directory) in &asked {
            let topics = directories.entry(directory).or_default();
            let data = RequestPartitionData { partition_index: index.0 };
            topics.entry(topic_id).or_default().push(data);
        }
        let directories = directories.into_iter().map(|(id, topics)| {
            let topic = |(topic_id, partitions)| RequestTopicData { topic_id, partitions };
            RequestDirectoryData { id, topics: topics.into_iter().map(topic).collect() }
        });
        let request = AssignReplicasToDirsRequest {
            broker_id: broker_id.0,
            broker_epoch: broker_epoch.0,
            directories: directories.collect(),
        };
        self.asked = Some(asked);
        Some(request)
    }

    /// Takes in the answer; `None` where there was none. Returns whether the next request may be made:
    /// what is refused as a whole waits for the next change of the metadata.
    pub fn answered(&mut self, response: Option<&AssignReplicasToDirsResponse>) -> bool {
        let asked = self.asked.take().unwrap_or_default();
        let is_taken =
            response.is_some_and(|it| ErrorCode::try_from(it.error_code) == Ok(ErrorCode::None));
        if is_taken {
            // A replica that is refused by itself is one of a topic that has gone meanwhile.
            self.due.retain(|partition, directory| asked.get(partition) != Some(directory));
        }
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use protocol::model::{PartitionId, Uuid};

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        (Uuid::ONE, PartitionId(partition))
    }

    fn directory(number: u8) -> DirectoryId {
        Uuid([number; 16])
    }

    fn asked(request: &AssignReplicasToDirsRequest) -> Vec<(DirectoryId, Vec<i32>)> {
        request
            .directories
            .iter()
            .map(|directory| {
                let partitions = directory.topics.iter().flat_map(|topic| &topic.partitions);
                (directory.id, partitions.map(|it| it.partition_index).collect())
            })
            .collect()
    }

    fn next(assignments: &mut Assignments) -> Option<AssignReplicasToDirsRequest> {
        assignments.next_request(BrokerId(1), BrokerEpoch(7))
    }

    #[test]
    fn what_differs_is_told_until_it_is_taken() {
        let mut assignments = Assignments::default();
        assignments.note(key(0), directory(1), Some(DirectoryId::ZERO));
        assignments.note(key(1), directory(2), None);
        assignments.note(key(2), directory(1), Some(directory(1)));
        assignments.note(key(3), directory(1), Some(directory(2)));
        let request = next(&mut assignments).expect("three differ");
        assert_eq!(request.broker_epoch, 7);
        assert_eq!(asked(&request), [(directory(1), vec![0, 3]), (directory(2), vec![1])]);
        assert_eq!(next(&mut assignments), None, "one at a time");

        let refused = AssignReplicasToDirsResponse {
            error_code: ErrorCode::StaleBrokerEpoch.into(),
            ..Default::default()
        };
        assert!(!assignments.answered(Some(&refused)));
        assignments.forget(&key(1));
        let request = next(&mut assignments).expect("once more");
        assert_eq!(asked(&request), [(directory(1), vec![0, 3])]);

        // A replica that comes meanwhile is not in the answer.
        assignments.note(key(4), directory(2), None);
        assert!(assignments.answered(Some(&AssignReplicasToDirsResponse::default())));
        assert_eq!(asked(&next(&mut assignments).expect("one")), [(directory(2), vec![4])]);
        assert!(!assignments.answered(None));
        assignments.note(key(4), directory(2), Some(directory(2)));
        assert_eq!(next(&mut assignments), None, "the metadata know");
    }

    #[test]
    fn a_request_is_bounded() {
        let mut assignments = Assignments::default();
        let count = PARTITIONS_PER_REQUEST_MAX + 10;
        (0..count).for_each(|it| assignments.note(key(it as i32), directory(1), None));
        let first = next(&mut assignments).expect("many");
        assert_eq!(asked(&first)[0].1.len(), PARTITIONS_PER_REQUEST_MAX);
        assert!(assignments.answered(Some(&AssignReplicasToDirsResponse::default())));
        assert_eq!(asked(&next(&mut assignments).expect("the rest"))[0].1.len(), 10);
    }
}
