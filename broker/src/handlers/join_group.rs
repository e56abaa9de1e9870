//! JoinGroup (KIP-345, KIP-394, KIP-559, KIP-800, KIP-814): answered when the group has its next generation.

use std::ops::RangeInclusive;

use protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use protocol::model::Uuid;
use protocol::wire::WireString;

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{Asker, GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=9;

/// The first version that says how long a rebalance may take.
const REBALANCE_TIMEOUT_VERSION: i16 = 1;
/// The first version in which the name of a protocol may be null.
const NULL_PROTOCOL_VERSION: i16 = 7;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    mut request: JoinGroupRequest,
) -> Result<JoinGroupResponse, Refusal> {
    if head.version < REBALANCE_TIMEOUT_VERSION {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    let asker = Asker {
        client_id: head.client_id.clone().unwrap_or_default(),
        client_host: WireString::from(&*context.client_host),
        version: head.version,
        unique: unique(),
    };
    let group_id = request.group_id.clone();
    let answer = ask(context, &group_id, GroupRequest::Join(asker, request)).await?;
    let mut response = match answer {
        Ok(GroupAnswer::Join(response)) => response,
        Ok(other) => unreachable!("{other:?} answers no JoinGroup"),
        Err(error) => JoinGroupResponse {
            error_code: error.into(),
            generation_id: -1,
            ..JoinGroupResponse::default()
        },
    };
    let name = response.protocol_name.filter(|name| !name.is_empty());
    response.protocol_name = match head.version < NULL_PROTOCOL_VERSION {
        true => Some(name.unwrap_or_default()),
        false => name,
    };
    Ok(response)
}

/// What tells a member id from all others, as Java writes a random UUID.
fn unique() -> WireString {
    let mut bytes = [0; 16];
    reactor::random::fill(&mut bytes);
    let number = u128::from_be_bytes(Uuid::from_random(bytes).0);
    let hex = format!("{number:032x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    WireString::from(format!("{a}-{b}-{c}-{d}-{e}"))
}
