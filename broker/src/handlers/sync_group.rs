//! SyncGroup (KIP-345, KIP-559): the leader gives each member its assignment; answered when it has.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version that has to name the protocol.
const PROTOCOL_VERSION: i16 = 5;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: SyncGroupRequest,
) -> Result<SyncGroupResponse, Refusal> {
    let is_named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if head.version >= PROTOCOL_VERSION && !is_named {
        return Ok(refused(ErrorCode::InconsistentGroupProtocol));
    }
    let group_id = request.group_id.clone();
    Ok(match ask(context, &group_id, GroupRequest::Sync(request)).await? {
        Ok(GroupAnswer::Sync(response)) => response,
        Ok(other) => unreachable!("{other:?} answers no SyncGroup"),
        Err(error) => refused(error),
    })
}

fn refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.into(), ..SyncGroupResponse::default() }
}
