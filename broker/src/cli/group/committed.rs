//! What a group has committed.

use std::collections::BTreeMap;

use client::{ClientError, Cluster, check};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};

use super::coordinator;

/// The newest versions that name topics instead of telling their ids.
const FETCH_VERSION_MAX: i16 = 9;
const COMMIT_VERSION_MAX: i16 = 9;

/// Offsets by topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// All that `group` has committed; nothing where it has not, or is not there.
pub fn committed(cluster: &mut Cluster, group: &str) -> Result<Offsets, ClientError> {
    let asked = OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: None,
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![asked],
        topics: Some(Vec::new()),
        ..OffsetFetchRequest::default()
    };
    coordinator::ask(cluster, group, &request, FETCH_VERSION_MAX, |response| {
        let answered = response.groups.into_iter().next().unwrap_or_default();
        check(&format!("offsets of group {group:?}"), answered.error_code, None)?;
        let mut offsets = Offsets::new();
        for topic in answered.topics {
            for partition in topic.partitions {
                let (name, index) = (topic.name.as_str(), partition.partition_index);
                check(&format!("offset of {name}-{index}"), partition.error_code, None)?;
                if partition.committed_offset >= 0 {
                    offsets.insert((name.to_owned(), index), partition.committed_offset);
                }
            }
        }
        Ok(offsets)
    })
}

/// Commits `offsets` for `group`, which has no members now. It may be done twice.
/// Errors: the first partition that was refused; others may have been committed.
pub fn commit(cluster: &mut Cluster, group: &str, offsets: &Offsets) -> Result<(), ClientError> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition_index), &committed_offset) in offsets {
        topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset,
            committed_leader_epoch: -1,
            committed_metadata: Some("".into()),
        });
    }
    let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
        name: name.into(),
        partitions,
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        // Of no member.
        generation_id_or_member_epoch: -1,
        topics: topics.into_iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    };
    coordinator::ask(cluster, group, &request, COMMIT_VERSION_MAX, |response| {
        for topic in &response.topics {
            for partition in &topic.partitions {
                let what = format!("group {group:?}, {}-{}", topic.name, partition.partition_index);
                check(&what, partition.error_code, None)?;
            }
        }
        Ok(())
    })
}
