//! DescribeGroups (KIP-430, KIP-1043): classic groups with their members.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::describe_groups::DescribedGroup;
use protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::coordinator::ask_each;
use super::operations;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=6;

/// The first version that can ask for what may be done.
const OPERATIONS_VERSION: i16 = 3;

/// What a member takes in an answer, as a structure and as bytes, beside what it consists of.
const MEMBER_SIZE_BYTES: usize = 256;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: DescribeGroupsRequest,
) -> Result<DescribeGroupsResponse, Refusal> {
    let version = head.version;
    let mut groups = vec![DescribedGroup::default(); request.groups.len()];
    let answers =
        ask_each(context, &request.groups, |names| GroupRequest::Describe(version, names)).await?;
    for answer in answers {
        match answer.result {
            Ok(GroupAnswer::Describe(described)) => {
                for (slot, described) in answer.slots.into_iter().zip(described) {
                    groups[slot] = described;
                }
            }
            Ok(other) => unreachable!("{other:?} answers no DescribeGroups"),
            Err(error) => {
                for slot in answer.slots {
                    groups[slot] = DescribedGroup {
                        group_id: request.groups[slot].clone(),
                        error_code: error.into(),
                        ..DescribedGroup::default()
                    };
                }
            }
        }
    }
    context.check_granted(groups.iter().map(size_of).sum())?;
    let is_asked = version >= OPERATIONS_VERSION && request.include_authorized_operations;
    for group in &mut groups {
        let is_asked = is_asked && group.error_code == ErrorCode::None.code();
        group.authorized_operations = operations::asked(is_asked, operations::GROUP);
    }
    Ok(DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() })
}

fn size_of(group: &DescribedGroup) -> usize {
    let members = group.members.iter().map(|member| {
        2 * (MEMBER_SIZE_BYTES + member.member_metadata.len() + member.member_assignment.len())
    });
    MEMBER_SIZE_BYTES + group.group_id.len() + members.sum::<usize>()
}
