//! SyncGroup and Heartbeat: members get their assignment, and say that they are there. Source:
//! `GroupMetadataManager.classicGroupSyncToClassicGroup`, `classicGroupHeartbeatToClassicGroup`.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol::wire::WireString;

use super::classic::{ClassicGroup, Phase};
use super::member::kept;
use super::rebalance::{refuse_syncs, refused_sync};
use super::record::GroupRecord;
use super::request::GroupAnswer;
use super::shard::{GroupShard, Now, Outcome, Waiter};
use super::timers::TimerKey;

/// What a member takes in a group's record beside its assignment and its metadata, at most.
const MEMBER_SIZE_BYTES: usize = 64;

impl GroupShard {
    pub(super) fn sync(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: SyncGroupRequest,
        outcome: &mut Outcome,
    ) {
        let (group_id, id) = (kept(&request.group_id), kept(&request.member_id));
        let mut refuse = |error| outcome.answer(waiter, refused_sync(error));
        if group_id.is_empty() {
            return refuse(ErrorCode::InvalidGroupId);
        }
        let Some(group) = self.groups.get_mut(&group_id) else {
            return refuse(ErrorCode::UnknownMemberId);
        };
        let group = &mut group.classic;
        if let Err(error) = check_sync(group, &id, &request) {
            return refuse(error);
        }
        match group.phase {
            Phase::Empty => refuse(ErrorCode::UnknownMemberId),
            Phase::Preparing(_) => refuse(ErrorCode::RebalanceInProgress),
            Phase::Stable => {
                let assignment = group.members.get(&id).map(|member| member.assignment.clone());
                outcome.answer(waiter, assigned(group, assignment.unwrap_or_default()));
                self.has_synced(&group_id, &id);
            }
            Phase::Completing => {
                let is_leader = group.is_leader(&id);
                let before =
                    group.members.get_mut(&id).and_then(|it| it.awaiting_sync.replace(waiter));
                if let Some(before) = before {
                    // It has asked twice; this answer is for nobody, most often.
                    outcome.answer(before, refused_sync(ErrorCode::RebalanceInProgress));
                }
                self.has_synced(&group_id, &id);
                if is_leader {
                    self.assign(now, &group_id, &request, outcome);
                }
            }
        }
    }

    fn has_synced(&mut self, group_id: &WireString, id: &WireString) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        group.classic.pending_syncs.remove(id);
        if group.classic.pending_syncs.is_empty() {
            self.timers.cancel(&TimerKey::Sync(group_id.clone()));
        }
    }

    /// The leader has assigned: the generation is written, and its members go on with it.
    fn assign(
        &mut self,
        now: Now,
        group_id: &WireString,
        request: &SyncGroupRequest,
        outcome: &mut Outcome,
    ) {
        let record_size_bytes_max = self.record_size_bytes_max;
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        // Of a member that is named twice the last one counts, and who is not named gets nothing.
        let assignments: BTreeMap<&WireString, Bytes> = request
            .assignments
            .iter()
            .map(|it| (&it.member_id, Bytes::copy_from_slice(&it.assignment)))
            .collect();
        let protocol = group.protocol.clone().unwrap_or_default();
        let size_bytes: usize = group
            .members
            .iter()
            .map(|(id, member)| {
                let texts = id.len()
                    + member.client_id.len()
                    + member.client_host.len()
                    + member.instance_id.as_ref().map_or(0, |id| id.len());
                let metadata = member.metadata(&protocol).map_or(0, Bytes::len);
                let assignment = assignments.get(id).map_or(0, Bytes::len);
                MEMBER_SIZE_BYTES + texts + metadata + assignment
            })
            .sum();
        if size_bytes > record_size_bytes_max {
            for id in refuse_syncs(group, ErrorCode::UnknownServerError, outcome) {
                self.expect_heartbeat(now, group_id, &id);
            }
            return self.prepare_rebalance(now, group_id, outcome);
        }
        group.enter(Phase::Stable, now.wall);
        let mut synced = Vec::new();
        for (id, member) in &mut group.members {
            member.assignment = assignments.get(id).cloned().unwrap_or_default();
            if let Some(waiter) = member.awaiting_sync.take() {
                synced.push((id.clone(), waiter, member.assignment.clone()));
            }
        }
        let assignment_of = |id: &WireString| {
            group.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default()
        };
        let value = Some(group.to_record(assignment_of));
        outcome.records.push(GroupRecord::Group { group: group_id.clone(), value });
        let answers = synced
            .iter()
            .map(|(_, waiter, assignment)| (*waiter, Ok(assigned(group, assignment.clone()))));
        outcome.answers.extend(answers);
        for (id, _, _) in synced {
            self.expect_heartbeat(now, group_id, &id);
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Now,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatResponse, ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let group = self.groups.get(&request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let group = &group.classic;
        group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let is_preparing = group.is_preparing();
        self.expect_heartbeat(now, &kept(&request.group_id), &kept(&request.member_id));
        match is_preparing {
            // Not a refusal: it was heard of.
            true => Ok(HeartbeatResponse {
                error_code: ErrorCode::RebalanceInProgress.into(),
                ..HeartbeatResponse::default()
            }),
            false => Ok(HeartbeatResponse::default()),
        }
    }
}

fn check_sync(
    group: &ClassicGroup,
    id: &WireString,
    request: &SyncGroupRequest,
) -> Result<(), ErrorCode> {
    if group.is_empty() {
        return Err(ErrorCode::UnknownMemberId);
    }
    group.check_member(id, request.group_instance_id.as_ref())?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs = |named: &Option<WireString>, known: &Option<WireString>| {
        named.as_ref().zip(known.as_ref()).is_some_and(|(named, known)| named != known)
    };
    if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol)
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}

fn assigned(group: &ClassicGroup, assignment: Bytes) -> GroupAnswer {
    GroupAnswer::Sync(SyncGroupResponse {
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        assignment,
        ..SyncGroupResponse::default()
    })
}
