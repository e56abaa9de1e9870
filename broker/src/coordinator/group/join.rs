//! JoinGroup: who may come in, under which id, and whether the group rebalances for it. Source:
//! `GroupMetadataManager.classicGroupJoinToClassicGroup`, KIP-345, KIP-394, KIP-814.

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse};
use protocol::records::group::GroupMetadataValue;
use protocol::wire::WireString;

use super::classic::{ClassicGroup, JoinStep, Phase};
use super::config::NEW_MEMBER_JOIN_TIMEOUT;
use super::member::{Member, kept, kept_protocols};
use super::record::GroupRecord;
use super::request::{Asker, GroupAnswer};
use super::shard::{Group, GroupShard, Now, Outcome, Waiter};
use super::timers::TimerKey;

/// From this version on a new member is given its id first, and then joins (KIP-394).
const MEMBER_ID_REQUIRED_VERSION: i16 = 4;
/// From this version on a leader can be told that it need not assign anything (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

/// A join under way: who asks, and for what.
struct Joining<'a> {
    now: Now,
    waiter: Waiter,
    asker: &'a Asker,
    request: &'a JoinGroupRequest,
    group: &'a WireString,
}

impl GroupShard {
    pub(super) fn join(
        &mut self,
        now: Now,
        waiter: Waiter,
        asker: &Asker,
        request: JoinGroupRequest,
        outcome: &mut Outcome,
    ) {
        let group_id = kept(&request.group_id);
        let member_id = kept(&request.member_id);
        let mut refuse =
            |member: &WireString, error| outcome.answer(waiter, refused(member, error));
        if group_id.is_empty() {
            return refuse(&member_id, ErrorCode::InvalidGroupId);
        }
        let sessions = self.config.session_timeout_ms_min..=self.config.session_timeout_ms_max;
        if !sessions.contains(&request.session_timeout_ms) {
            return refuse(&member_id, ErrorCode::InvalidSessionTimeout);
        }
        let is_new_group = !self.groups.contains_key(&group_id);
        if is_new_group {
            // Only who has no id yet may make a group.
            if !member_id.is_empty() {
                return refuse(&member_id, ErrorCode::UnknownMemberId);
            }
            if !supports(&ClassicGroup::empty(None), &request) {
                return refuse(&WireString::EMPTY, ErrorCode::InconsistentGroupProtocol);
            }
            self.groups.insert(group_id.clone(), Group::new(Some(now.wall)));
        }
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        let group = &mut group.classic;
        if !accepts(group, &member_id, self.config.member_count_max) {
            // The last ones to rejoin a group that is too large must go.
            group.remove(&member_id);
            return refuse(&WireString::EMPTY, ErrorCode::GroupMaxSizeReached);
        }
        if !supports(group, &request) {
            return refuse(&member_id, ErrorCode::InconsistentGroupProtocol);
        }
        let joining = Joining { now, waiter, asker, request: &request, group: &group_id };
        match member_id.is_empty() {
            true => self.join_new(&joining, outcome),
            false => self.join_again(&joining, &member_id, outcome),
        }
        if is_new_group && outcome.records.is_empty() {
            // The group is there from now on, also after a restart.
            let value = GroupMetadataValue {
                protocol_type: WireString::EMPTY,
                generation: 0,
                protocol: None,
                leader: None,
                current_state_timestamp: now.wall.0,
                members: Vec::new(),
            };
            outcome.records.push(GroupRecord::Group { group: group_id, value: Some(value) });
        }
    }

    fn join_new(&mut self, joining: &Joining<'_>, outcome: &mut Outcome) {
        let Joining { now, waiter, asker, request, group: group_id } = *joining;
        let instance_id = request.group_instance_id.as_ref().map(kept);
        let begins_with = instance_id.as_ref().unwrap_or(&asker.client_id);
        let new_id = WireString::from(format!("{begins_with}-{}", asker.unique));
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        if let Some(instance_id) = instance_id {
            return match group.static_members.get(&instance_id).cloned() {
                Some(old_id) => self.replace_static_member(joining, &old_id, &new_id, outcome),
                None => self.add_member(joining, new_id, outcome),
            };
        }
        if asker.version < MEMBER_ID_REQUIRED_VERSION {
            return self.add_member(joining, new_id, outcome);
        }
        group.pending_joins.insert(new_id.clone());
        let session = session_of(request.session_timeout_ms);
        let key = TimerKey::Session { group: group_id.clone(), member: new_id.clone() };
        self.timers.schedule(key, now.monotonic + session);
        outcome.answer(waiter, refused(&new_id, ErrorCode::MemberIdRequired));
    }

    fn add_member(&mut self, joining: &Joining<'_>, id: WireString, outcome: &mut Outcome) {
        let Joining { now, waiter, asker, request, group: group_id } = *joining;
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        let member = Member {
            instance_id: request.group_instance_id.as_ref().map(kept),
            client_id: kept(&asker.client_id),
            client_host: kept(&asker.client_host),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: kept_protocols(&request.protocols),
            assignment: Bytes::new(),
            awaiting_join: Some(waiter),
            awaiting_sync: None,
            is_new: true,
        };
        if let Phase::Preparing(JoinStep::Initial { .. } | JoinStep::InitialPostponed) = group.phase
        {
            group.has_new_member = true;
        }
        group.add(id.clone(), member, kept(&request.protocol_type));
        // It may have gone away: nobody hears of a connection that ends while its join is parked. If it is
        // still there, it asks again.
        let key = TimerKey::Session { group: group_id.clone(), member: id };
        self.timers.schedule(key, now.monotonic + NEW_MEMBER_JOIN_TIMEOUT);
        self.rebalance_or_complete_join(now, group_id, outcome);
    }

    /// A member that says its id: one that was just given it, or one that joins again.
    fn join_again(&mut self, joining: &Joining<'_>, id: &WireString, outcome: &mut Outcome) {
        let Joining { now, waiter, request, group: group_id, .. } = *joining;
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        if group.pending_joins.contains(id) {
            if request.group_instance_id.is_some() {
                // Static members are never pending: no client sends it.
                return outcome
                    .answer(waiter, refused(&WireString::EMPTY, ErrorCode::UnknownServerError));
            }
            return self.add_member(joining, id.clone(), outcome);
        }
        if let Err(error) = group.check_member(id, request.group_instance_id.as_ref()) {
            return outcome.answer(waiter, refused(id, error));
        }
        let protocols = kept_protocols(&request.protocols);
        let is_same = group.members.get(id).is_some_and(|it| it.protocols == protocols);
        match group.phase {
            Phase::Preparing(_) => {}
            // It has not got the answer to its last join, perhaps.
            Phase::Completing if is_same => {
                return outcome.answer(waiter, GroupAnswer::Join(joined(group, id)));
            }
            Phase::Completing => {}
            Phase::Stable if group.is_leader(id) => {
                // A leader joins again where something has changed that only it knows of.
            }
            Phase::Stable if is_same => {
                let answer = JoinGroupResponse { members: Vec::new(), ..joined(group, id) };
                return outcome.answer(waiter, GroupAnswer::Join(answer));
            }
            Phase::Stable => {}
            Phase::Empty => {
                return outcome.answer(waiter, refused(id, ErrorCode::UnknownMemberId));
            }
        }
        update_member(group, id, request, waiter, outcome);
        self.rebalance_or_complete_join(now, group_id, outcome);
    }

    /// A static member has come back under a new id; the old one is fenced. Source:
    /// `GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin`.
    fn replace_static_member(
        &mut self,
        joining: &Joining<'_>,
        old_id: &WireString,
        new_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let Joining { now, waiter, asker, request, group: group_id } = *joining;
        let record_size_bytes_max = self.record_size_bytes_max;
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        let added: usize = request.protocols.iter().map(|protocol| protocol.metadata.len()).sum();
        if group.phase == Phase::Stable && group.size_bytes() + added > record_size_bytes_max {
            let answer = refused(&WireString::EMPTY, ErrorCode::UnknownServerError);
            return outcome.answer(waiter, answer);
        }
        let leader_before = group.leader.clone();
        if let Some(old) = group.rename(old_id, new_id) {
            if let Some(waiter) = old.awaiting_join {
                outcome.answer(waiter, refused(old_id, ErrorCode::FencedInstanceId));
            }
            if let Some(waiter) = old.awaiting_sync {
                let error_code = ErrorCode::FencedInstanceId.into();
                let fenced = SyncGroupResponse { error_code, ..SyncGroupResponse::default() };
                outcome.answer(waiter, GroupAnswer::Sync(fenced));
            }
        }
        self.timers.cancel(&TimerKey::Session { group: group_id.clone(), member: old_id.clone() });
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        update_member(group, new_id, request, waiter, outcome);
        let is_same_protocol = group.select_protocol() == group.protocol;
        match group.phase {
            Phase::Stable if is_same_protocol => {
                if let Some(member) = group.members.get_mut(new_id) {
                    member.awaiting_join = None;
                }
                let is_leader = group.is_leader(new_id);
                let answer = match asker.version >= SKIP_ASSIGNMENT_VERSION {
                    true => {
                        JoinGroupResponse { skip_assignment: is_leader, ..joined(group, new_id) }
                    }
                    // It shall not take itself for the leader: it would assign anew.
                    false => JoinGroupResponse {
                        leader: leader_before.unwrap_or_default(),
                        members: Vec::new(),
                        ..joined(group, new_id)
                    },
                };
                let members = group.members.clone();
                let assigned = |id: &WireString| {
                    members.get(id).map(|member| member.assignment.clone()).unwrap_or_default()
                };
                let value = Some(group.to_record(assigned));
                outcome.records.push(GroupRecord::Group { group: group_id.clone(), value });
                outcome.answer(waiter, GroupAnswer::Join(answer));
                self.expect_heartbeat(now, group_id, new_id);
            }
            Phase::Stable => {
                self.expect_heartbeat(now, group_id, new_id);
                self.rebalance_or_complete_join(now, group_id, outcome);
            }
            // The leader may be assigning to the old id just now.
            Phase::Completing => {
                self.expect_heartbeat(now, group_id, new_id);
                self.prepare_rebalance(now, group_id, outcome);
            }
            Phase::Preparing(_) => {
                self.expect_heartbeat(now, group_id, new_id);
                self.maybe_complete_join(now, group_id, outcome);
            }
            Phase::Empty => unreachable!("an empty group has no static member"),
        }
    }
}

/// The member is as its join says now, and waits for the end of the rebalance.
fn update_member(
    group: &mut ClassicGroup,
    id: &WireString,
    request: &JoinGroupRequest,
    waiter: Waiter,
    outcome: &mut Outcome,
) {
    group.set_protocols(id, kept_protocols(&request.protocols));
    let Some(member) = group.members.get_mut(id) else { return };
    member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    member.session_timeout_ms = request.session_timeout_ms;
    if let Some(before) = member.awaiting_join.replace(waiter) {
        // It has asked twice; this answer is for nobody, most often.
        outcome.answer(before, refused(id, ErrorCode::RebalanceInProgress));
    }
}

fn supports(group: &ClassicGroup, request: &JoinGroupRequest) -> bool {
    let names = request.protocols.iter().map(|protocol| &protocol.name);
    group.supports(&request.protocol_type, names)
}

/// Whether there is room for the member. Source: `GroupMetadataManager.acceptJoiningMember`.
fn accepts(group: &ClassicGroup, id: &WireString, member_count_max: usize) -> bool {
    match group.phase {
        Phase::Empty => true,
        // Those who wait count: the group may have been larger than it may be now.
        Phase::Preparing(_) => {
            let member = group.members.get(id);
            member.is_some_and(|member| member.awaiting_join.is_some())
                || group.awaiting_join_count() < member_count_max
        }
        Phase::Completing | Phase::Stable => {
            group.members.contains_key(id) || group.members.len() < member_count_max
        }
    }
}

/// What `id` is told of this generation; the leader is told of all members.
pub(super) fn joined(group: &ClassicGroup, id: &WireString) -> JoinGroupResponse {
    let members = if group.is_leader(id) { group.described_members() } else { Vec::new() };
    JoinGroupResponse {
        generation_id: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        leader: group.leader.clone().unwrap_or_default(),
        member_id: id.clone(),
        members,
        ..JoinGroupResponse::default()
    }
}

pub(super) fn refused(member_id: &WireString, error: ErrorCode) -> GroupAnswer {
    GroupAnswer::Join(JoinGroupResponse {
        error_code: error.into(),
        generation_id: -1,
        member_id: member_id.clone(),
        ..JoinGroupResponse::default()
    })
}

/// A time that a client has named.
pub(super) fn session_of(timeout_ms: i32) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}
