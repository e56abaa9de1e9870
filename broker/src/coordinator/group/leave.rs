//! LeaveGroup (KIP-345, KIP-800). Source: `GroupMetadataManager.classicGroupLeaveToClassicGroup`.

use protocol::error_code::ErrorCode;
use protocol::messages::leave_group::{MemberIdentity, MemberResponse};
use protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use protocol::wire::WireString;

use super::member::kept;
use super::request::GroupAnswer;
use super::shard::{GroupShard, Now, Outcome, Waiter};
use super::timers::TimerKey;

impl GroupShard {
    pub(super) fn leave(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: LeaveGroupRequest,
        outcome: &mut Outcome,
    ) {
        let group_id = kept(&request.group_id);
        if group_id.is_empty() {
            return outcome.refuse(waiter, ErrorCode::InvalidGroupId);
        }
        let mut has_left = false;
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let left = self.leave_one(&group_id, &leaving, outcome);
            has_left |= left.is_ok();
            members.push(MemberResponse {
                member_id: leaving.member_id,
                group_instance_id: leaving.group_instance_id,
                error_code: left.err().unwrap_or(ErrorCode::None).into(),
            });
        }
        if has_left {
            self.someone_has_gone(now, &group_id, outcome);
        }
        let response = LeaveGroupResponse { members, ..LeaveGroupResponse::default() };
        outcome.answer(waiter, GroupAnswer::Leave(response));
    }

    fn leave_one(
        &mut self,
        group_id: &WireString,
        leaving: &MemberIdentity,
        outcome: &mut Outcome,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let group = &mut group.classic;
        let instance_id = leaving.group_instance_id.as_ref();
        let id = if leaving.member_id.is_empty() {
            // An administrator removes a static member.
            let known = instance_id.and_then(|instance_id| group.static_members.get(instance_id));
            known.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else if group.pending_joins.contains(&leaving.member_id) {
            let id = kept(&leaving.member_id);
            group.remove(&id);
            self.timers.cancel(&TimerKey::Session { group: group_id.clone(), member: id });
            return Ok(());
        } else {
            group.check_member(&leaving.member_id, instance_id)?;
            kept(&leaving.member_id)
        };
        self.remove_member(group_id, &id, outcome);
        Ok(())
    }
}
