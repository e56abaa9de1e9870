//! ListGroups (KIP-518, KIP-848): every group that this broker coordinates.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::coordinator::{partition_count, route_to};
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupQuestion, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// What a group takes in an answer, as a structure and as bytes, beside its name.
const GROUP_SIZE_BYTES: usize = 256;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: ListGroupsRequest,
) -> Result<ListGroupsResponse, Refusal> {
    let count = partition_count(&context.core.view()).unwrap_or(0);
    let mut asked = Vec::with_capacity(count);
    for index in 0..i32::try_from(count).unwrap_or(i32::MAX) {
        // Where somebody else coordinates, they list.
        let Ok(route) = route_to(context, index) else { continue };
        let request = GroupRequest::List(request.clone());
        let question = GroupQuestion { partition: route.key, request };
        asked.push(context.core.ask(route.core, question).await);
    }
    let mut response = ListGroupsResponse::default();
    for answer in asked {
        match answer.await? {
            Ok(GroupAnswer::List(groups)) => response.groups.extend(groups),
            Ok(other) => unreachable!("{other:?} answers no ListGroups"),
            Err(ErrorCode::NotCoordinator) => {}
            Err(error) => response.error_code = error.into(),
        }
    }
    if response.error_code != 0 {
        response.groups.clear();
    }
    let names: usize = response.groups.iter().map(|group| group.group_id.len()).sum();
    context.check_granted(names + GROUP_SIZE_BYTES * response.groups.len())?;
    Ok(response)
}
