//! DeleteGroups (KIP-229): groups without members, with their offsets.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use protocol::messages::delete_groups::DeletableGroupResult;
use protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::coordinator::ask_each;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DeleteGroupsRequest,
) -> Result<DeleteGroupsResponse, Refusal> {
    // Who is named twice is deleted once.
    let mut names = request.groups_names;
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut results = vec![DeletableGroupResult::default(); names.len()];
    for answer in ask_each(context, &names, GroupRequest::Delete).await? {
        match answer.result {
            Ok(GroupAnswer::Delete(deleted)) => {
                for (slot, deleted) in answer.slots.into_iter().zip(deleted) {
                    results[slot] = deleted;
                }
            }
            Ok(other) => unreachable!("{other:?} answers no DeleteGroups"),
            Err(error) => {
                for slot in answer.slots {
                    results[slot] = DeletableGroupResult {
                        group_id: names[slot].clone(),
                        error_code: error.into(),
                    };
                }
            }
        }
    }
    Ok(DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() })
}
