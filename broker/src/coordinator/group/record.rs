//! The records of `__consumer_offsets`, as far as this broker has their groups. Source:
//! `GroupCoordinatorRecordHelpers`.

use bytes::Bytes;
use protocol::model::{LeaderEpoch, TimestampMs};
use protocol::records::group::{
    GroupKey, GroupMetadataKey, GroupMetadataValue, GroupValue, OffsetCommitKey, OffsetCommitValue,
};
use protocol::wire::{DecodeError, EncodeError, WireString};

use super::committed_offset::CommittedOffset;
use super::member::kept;

/// Of the values as Kafka 4.3 writes them.
const GROUP_METADATA_VERSION: i16 = 3;
const OFFSET_COMMIT_VERSION: i16 = 4;
/// The version that says when an offset expires.
const OFFSET_COMMIT_EXPIRING_VERSION: i16 = 1;

/// A record; without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecord {
    Group { group: WireString, value: Option<GroupMetadataValue> },
    Offset { group: WireString, topic: WireString, partition: i32, value: Option<CommittedOffset> },
}

impl GroupRecord {
    pub fn is_tombstone(&self) -> bool {
        match self {
            GroupRecord::Group { value, .. } => value.is_none(),
            GroupRecord::Offset { value, .. } => value.is_none(),
        }
    }

    /// Key and value as they are in the log. Errors: a string is too long for its field.
    pub fn encode(&self) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        match self {
            GroupRecord::Group { group, value } => {
                let key = GroupKey::GroupMetadata(GroupMetadataKey { group: group.clone() });
                let value = value.clone().map(GroupValue::GroupMetadata);
                let value = value.map(|value| value.encode(GROUP_METADATA_VERSION));
                Ok((key.encode()?, value.transpose()?))
            }
            GroupRecord::Offset { group, topic, partition, value } => {
                let key = GroupKey::OffsetCommit(OffsetCommitKey {
                    group: group.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                });
                let value = value.as_ref().map(|value| {
                    let version = match value.expire_timestamp {
                        Some(_) => OFFSET_COMMIT_EXPIRING_VERSION,
                        None => OFFSET_COMMIT_VERSION,
                    };
                    GroupValue::OffsetCommit(OffsetCommitValue {
                        offset: value.offset,
                        leader_epoch: LeaderEpoch::to_wire(value.leader_epoch),
                        metadata: value.metadata.clone(),
                        commit_timestamp: value.commit_timestamp.0,
                        expire_timestamp: value.expire_timestamp.map_or(-1, |at| at.0),
                        topic_id: value.topic_id,
                    })
                    .encode(version)
                });
                Ok((key.encode()?, value.transpose()?))
            }
        }
    }

    /// The record of `key` and `value`; `None` where it belongs to a kind of group that is not served here:
    /// it stays in the log.
    ///
    /// Errors: the bytes are no record of Kafka's.
    pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<Self>, DecodeError> {
        let key = match GroupKey::decode(key) {
            Ok(key) => key,
            Err(DecodeError::UnknownRecordType { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let value = value.map(|value| GroupValue::decode(key.record_type(), value)).transpose()?;
        Ok(match (key, value) {
            (GroupKey::GroupMetadata(key), value) => {
                let value = value.and_then(|value| match value {
                    GroupValue::GroupMetadata(value) => Some(keep(value)),
                    _ => None,
                });
                Some(GroupRecord::Group { group: kept(&key.group), value })
            }
            (GroupKey::OffsetCommit(key), value) => {
                let value = value.and_then(|value| match value {
                    GroupValue::OffsetCommit(value) => Some(offset_of(&value)),
                    _ => None,
                });
                let (group, topic) = (kept(&key.group), kept(&key.topic));
                Some(GroupRecord::Offset { group, topic, partition: key.partition, value })
            }
            (GroupKey::LegacyOffsetCommit(key), value) => {
                let value = value.and_then(|value| match value {
                    GroupValue::LegacyOffsetCommit(value) => Some(CommittedOffset {
                        offset: value.offset,
                        metadata: kept(&value.metadata),
                        commit_timestamp: TimestampMs(value.commit_timestamp),
                        ..CommittedOffset::default()
                    }),
                    _ => None,
                });
                let (group, topic) = (kept(&key.group), kept(&key.topic));
                Some(GroupRecord::Offset { group, topic, partition: key.partition, value })
            }
            _ => None,
        })
    }
}

fn offset_of(value: &OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: LeaderEpoch::from_wire(value.leader_epoch),
        metadata: kept(&value.metadata),
        commit_timestamp: TimestampMs(value.commit_timestamp),
        expire_timestamp: Some(TimestampMs(value.expire_timestamp)).filter(|at| at.0 != -1),
        topic_id: value.topic_id,
    }
}

/// The same, of memory of its own.
fn keep(mut value: GroupMetadataValue) -> GroupMetadataValue {
    value.protocol_type = kept(&value.protocol_type);
    value.protocol = value.protocol.as_ref().map(kept);
    value.leader = value.leader.as_ref().map(kept);
    for member in &mut value.members {
        member.member_id = kept(&member.member_id);
        member.group_instance_id = member.group_instance_id.as_ref().map(kept);
        member.client_id = kept(&member.client_id);
        member.client_host = kept(&member.client_host);
        member.subscription = Bytes::copy_from_slice(&member.subscription);
        member.assignment = Bytes::copy_from_slice(&member.assignment);
    }
    value
}
