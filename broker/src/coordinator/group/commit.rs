//! OffsetCommit, OffsetFetch, OffsetDelete. Source: `OffsetMetadataManager`.

use protocol::error_code::ErrorCode;
use protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::messages::offset_delete::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};
use protocol::model::{LeaderEpoch, TimestampMs, TopicId};
use protocol::wire::WireString;

use super::classic::Phase;
use super::committed_offset::CommittedOffset;
use super::member::kept;
use super::record::GroupRecord;
use super::request::GroupAnswer;
use super::shard::{Group, GroupShard, Now, Outcome, Waiter};

/// From this version on a client knows that a group may not exist.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 9;

/// The generation of who is no member.
const NO_GENERATION: i32 = -1;

/// The time of a client that does not say how long its offsets are kept.
const NO_RETENTION: i64 = -1;

impl GroupShard {
    pub(super) fn commit(
        &mut self,
        now: Now,
        waiter: Waiter,
        version: i16,
        request: OffsetCommitRequest,
        outcome: &mut Outcome,
    ) {
        let group_id = kept(&request.group_id);
        let is_heard_of = match self.check_commit(version, &request) {
            Ok(is_heard_of) => is_heard_of,
            Err(error) => return outcome.refuse(waiter, error),
        };
        if is_heard_of {
            self.expect_heartbeat(now, &group_id, &kept(&request.member_id));
        }
        let expire_timestamp = (request.retention_time_ms != NO_RETENTION)
            .then(|| TimestampMs(now.wall.0.saturating_add(request.retention_time_ms)));
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let name = kept(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let error = match self.is_metadata_too_large(&partition) {
                    true => ErrorCode::OffsetMetadataTooLarge,
                    false => {
                        let metadata = partition.committed_metadata.as_ref();
                        let value = CommittedOffset {
                            offset: partition.committed_offset,
                            leader_epoch: LeaderEpoch::from_wire(partition.committed_leader_epoch),
                            metadata: metadata.map(kept).unwrap_or_default(),
                            commit_timestamp: now.wall,
                            expire_timestamp,
                            topic_id: topic.topic_id,
                        };
                        outcome.records.push(GroupRecord::Offset {
                            group: group_id.clone(),
                            topic: name.clone(),
                            partition: partition.partition_index,
                            value: Some(value),
                        });
                        ErrorCode::None
                    }
                };
                partitions.push(OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.into(),
                });
            }
            let (name, topic_id) = (topic.name, topic.topic_id);
            topics.push(OffsetCommitResponseTopic { name, topic_id, partitions });
        }
        let response = OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
        outcome.answer(waiter, GroupAnswer::Commit(response));
    }

    /// Whether the request may commit for its group; with it, whether its member is heard of by it.
    fn check_commit(&self, version: i16, request: &OffsetCommitRequest) -> Result<bool, ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let Some(group) = self.groups.get(&request.group_id) else {
            return match version {
                // The group comes with its first offset.
                _ if generation < 0 => Ok(false),
                GROUP_ID_NOT_FOUND_VERSION.. => Err(ErrorCode::GroupIdNotFound),
                _ => Err(ErrorCode::IllegalGeneration),
            };
        };
        let group = &group.classic;
        if generation < 0 && group.is_empty() {
            return Ok(false);
        }
        let instance_id = request.group_instance_id.as_ref();
        if generation > NO_GENERATION || !request.member_id.is_empty() || instance_id.is_some() {
            group.check_member(&request.member_id, instance_id)?;
            if generation != group.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else {
            return Err(ErrorCode::UnknownMemberId);
        }
        match group.phase {
            // It has heard of the generation, and will get its assignment first.
            Phase::Completing => Err(ErrorCode::RebalanceInProgress),
            Phase::Stable | Phase::Preparing(_) => Ok(true),
            Phase::Empty => Ok(false),
        }
    }

    fn is_metadata_too_large(&self, partition: &OffsetCommitRequestPartition) -> bool {
        let length_max = self.config.metadata_length_max;
        partition.committed_metadata.as_ref().is_some_and(|metadata| {
            metadata.len() > length_max && metadata.encode_utf16().count() > length_max
        })
    }

    /// What a group has committed of the partitions that are asked for, or of all.
    pub(super) fn fetch(&self, request: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
        let group = self.groups.get(&request.group_id);
        let topics = match request.topics {
            Some(topics) => topics.into_iter().map(|topic| fetch_topic(group, topic)).collect(),
            None => group.map(fetch_all).unwrap_or_default(),
        };
        OffsetFetchResponseGroup {
            group_id: request.group_id,
            topics,
            ..OffsetFetchResponseGroup::default()
        }
    }

    pub(super) fn delete_offsets(
        &self,
        waiter: Waiter,
        request: OffsetDeleteRequest,
        outcome: &mut Outcome,
    ) {
        let group_id = kept(&request.group_id);
        if group_id.is_empty() {
            return outcome.refuse(waiter, ErrorCode::InvalidGroupId);
        }
        let Some(group) = self.groups.get(&group_id) else {
            return outcome.refuse(waiter, ErrorCode::GroupIdNotFound);
        };
        if !group.classic.is_empty() && !group.classic.uses_consumer_protocol() {
            return outcome.refuse(waiter, ErrorCode::NonEmptyGroup);
        }
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let error = match group.classic.is_subscribed_to(&topic.name) {
                true => ErrorCode::GroupSubscribedToTopic,
                false => ErrorCode::None,
            };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let partition_index = partition.partition_index;
                let known = group.offsets.get(&topic.name);
                if error == ErrorCode::None
                    && known.is_some_and(|known| known.contains_key(&partition_index))
                {
                    outcome.records.push(tombstone(&group_id, &kept(&topic.name), partition_index));
                }
                let error_code = error.into();
                partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
            }
            topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
        }
        let response = OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() };
        outcome.answer(waiter, GroupAnswer::DeleteOffsets(response));
    }

    /// Offsets of topics that are gone go, too: but not those of another topic that has the name now.
    pub(super) fn forget_topics(&self, topics: &[(WireString, TopicId)], outcome: &mut Outcome) {
        for (group_id, group) in &self.groups {
            for (topic, topic_id) in topics {
                let Some(of_topic) = group.offsets.get(topic) else { continue };
                for (partition, known) in of_topic {
                    if !known.is_of_another_topic(*topic_id) {
                        outcome.records.push(tombstone(group_id, topic, *partition));
                    }
                }
            }
        }
    }
}

pub(super) fn tombstone(group: &WireString, topic: &WireString, partition: i32) -> GroupRecord {
    let (group, topic) = (group.clone(), topic.clone());
    GroupRecord::Offset { group, topic, partition, value: None }
}

fn fetch_topic(
    group: Option<&Group>,
    topic: OffsetFetchRequestTopics,
) -> OffsetFetchResponseTopics {
    let offsets = group.and_then(|group| group.offsets.get(&topic.name));
    let partitions = topic.partition_indexes.iter().map(|index| {
        let known = offsets.and_then(|offsets| offsets.get(index));
        answer_of(*index, known.filter(|known| !known.is_of_another_topic(topic.topic_id)))
    });
    let partitions = partitions.collect();
    OffsetFetchResponseTopics { name: topic.name, topic_id: topic.topic_id, partitions }
}

fn fetch_all(group: &Group) -> Vec<OffsetFetchResponseTopics> {
    let of_topic = |(name, offsets): (&WireString, &std::collections::BTreeMap<_, _>)| {
        let partitions = offsets.iter().map(|(index, known)| answer_of(*index, Some(known)));
        OffsetFetchResponseTopics {
            name: name.clone(),
            topic_id: TopicId::ZERO,
            partitions: partitions.collect(),
        }
    };
    group.offsets.iter().map(of_topic).collect()
}

fn answer_of(
    partition_index: i32,
    known: Option<&CommittedOffset>,
) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: known.map_or(-1, |known| known.offset),
        committed_leader_epoch: LeaderEpoch::to_wire(known.and_then(|known| known.leader_epoch)),
        metadata: Some(known.map(|known| known.metadata.clone()).unwrap_or_default()),
        ..OffsetFetchResponsePartitions::default()
    }
}
