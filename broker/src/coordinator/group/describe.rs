//! ListGroups, DescribeGroups, DeleteGroups. Source: `GroupMetadataManager.listGroups`, `describeGroups`,
//! `GroupCoordinatorShard.deleteGroups`.

use protocol::error_code::ErrorCode;
use protocol::messages::delete_groups::DeletableGroupResult;
use protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use protocol::messages::list_groups::{ListGroupsRequest, ListedGroup};
use protocol::wire::WireString;

use super::classic::Phase;
use super::commit::tombstone;
use super::member::kept;
use super::record::GroupRecord;
use super::request::GroupAnswer;
use super::shard::{GroupShard, Outcome, Waiter};

/// The type of every group that is here, as Kafka names it.
const CLASSIC: &str = "classic";
const DEAD: &str = "Dead";

/// From this version on a client knows that a group may not exist.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 6;

impl GroupShard {
    pub(super) fn list(&self, request: &ListGroupsRequest) -> Vec<ListedGroup> {
        let is_wanted = |wanted: &[WireString], name: &str| {
            wanted.is_empty() || wanted.iter().any(|it| it.trim().eq_ignore_ascii_case(name))
        };
        if !is_wanted(&request.types_filter, CLASSIC) {
            return Vec::new();
        }
        let groups = self.groups.iter();
        let groups =
            groups.filter(|(_, it)| is_wanted(&request.states_filter, it.classic.state_name()));
        let listed = groups.map(|(id, group)| ListedGroup {
            group_id: id.clone(),
            protocol_type: group.classic.protocol_type.clone().unwrap_or_default(),
            group_state: WireString::from_static(group.classic.state_name()),
            group_type: WireString::from_static(CLASSIC),
        });
        listed.collect()
    }

    pub(super) fn describe(&self, version: i16, group_id: WireString) -> DescribedGroup {
        let Some(group) = self.groups.get(&group_id) else {
            let is_told = version >= GROUP_ID_NOT_FOUND_VERSION;
            let message = format!("Group {group_id} not found.");
            return DescribedGroup {
                group_state: WireString::from_static(DEAD),
                error_code: match is_told {
                    true => ErrorCode::GroupIdNotFound.into(),
                    false => ErrorCode::None.into(),
                },
                error_message: is_told.then(|| message.into()),
                group_id,
                ..DescribedGroup::default()
            };
        };
        let group = &group.classic;
        // What members are assigned by is only certain when they are.
        let protocol = group.protocol.clone().filter(|_| group.phase == Phase::Stable);
        let members = group.members.iter().map(|(id, member)| {
            let metadata = protocol.as_ref().and_then(|protocol| member.metadata(protocol));
            DescribedGroupMember {
                member_id: id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                member_metadata: metadata.cloned().unwrap_or_default(),
                member_assignment: member.assignment.clone(),
            }
        });
        DescribedGroup {
            group_state: WireString::from_static(group.state_name()),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol_data: protocol.unwrap_or_default(),
            group_id,
            ..DescribedGroup::default()
        }
    }

    /// Deletes groups without members, with their offsets.
    pub(super) fn delete(&self, waiter: Waiter, groups: Vec<WireString>, outcome: &mut Outcome) {
        let mut results = Vec::with_capacity(groups.len());
        for group_id in groups {
            let error = match self.groups.get(&group_id) {
                None => ErrorCode::GroupIdNotFound,
                Some(group) if !group.classic.is_empty() => ErrorCode::NonEmptyGroup,
                Some(_) => {
                    self.delete_one(&group_id, outcome);
                    ErrorCode::None
                }
            };
            results.push(DeletableGroupResult { group_id, error_code: error.into() });
        }
        outcome.answer(waiter, GroupAnswer::Delete(results));
    }

    pub(super) fn delete_one(&self, group_id: &WireString, outcome: &mut Outcome) {
        let Some(group) = self.groups.get(group_id) else { return };
        let group_id = kept(group_id);
        for (topic, offsets) in &group.offsets {
            let tombstones = offsets.keys().map(|index| tombstone(&group_id, topic, *index));
            outcome.records.extend(tombstones);
        }
        outcome.records.push(GroupRecord::Group { group: group_id, value: None });
    }
}
