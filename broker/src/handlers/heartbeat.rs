//! Heartbeat (KIP-345): a member is there, and hears whether its group rebalances.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=4;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: HeartbeatRequest,
) -> Result<HeartbeatResponse, Refusal> {
    let group_id = request.group_id.clone();
    Ok(match ask(context, &group_id, GroupRequest::Heartbeat(request)).await? {
        Ok(GroupAnswer::Heartbeat(response)) => response,
        Ok(other) => unreachable!("{other:?} answers no Heartbeat"),
        // Members have a whole session once their group is loaded. Source: `GroupCoordinatorService.heartbeat`.
        Err(ErrorCode::CoordinatorLoadInProgress) => HeartbeatResponse::default(),
        Err(error) => {
            HeartbeatResponse { error_code: error.into(), ..HeartbeatResponse::default() }
        }
    })
}
