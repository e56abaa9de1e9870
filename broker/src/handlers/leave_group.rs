//! LeaveGroup (KIP-345, KIP-800): members go, by themselves or by an administrator.

use std::ops::RangeInclusive;

use protocol::messages::leave_group::MemberIdentity;
use protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version that names many members, each with an error of its own.
const BATCH_VERSION: i16 = 3;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    mut request: LeaveGroupRequest,
) -> Result<LeaveGroupResponse, Refusal> {
    let is_batch = head.version >= BATCH_VERSION;
    if !is_batch {
        let member_id = request.member_id.clone();
        request.members = vec![MemberIdentity { member_id, ..MemberIdentity::default() }];
    }
    let group_id = request.group_id.clone();
    Ok(match ask(context, &group_id, GroupRequest::Leave(request)).await? {
        Ok(GroupAnswer::Leave(response)) if is_batch => response,
        Ok(GroupAnswer::Leave(response)) => LeaveGroupResponse {
            error_code: response.members.first().map_or(0, |member| member.error_code),
            ..LeaveGroupResponse::default()
        },
        Ok(other) => unreachable!("{other:?} answers no LeaveGroup"),
        Err(error) => {
            LeaveGroupResponse { error_code: error.into(), ..LeaveGroupResponse::default() }
        }
    })
}
