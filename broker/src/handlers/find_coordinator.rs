//! FindCoordinator (KIP-699): there are no coordinators yet, and each key is told so. librdkafka takes
//! the API's presence for a sign that LZ4 may be used.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use super::request::{Refusal, RequestContext, RequestHead};

pub const VERSIONS: RangeInclusive<i16> = 0..=6;

/// The first version that asks for many keys.
const BATCH_VERSION: i16 = 4;

/// Groups, transactions and share groups. Source: `FindCoordinatorRequest.CoordinatorType`.
const KEY_TYPE_MAX: i8 = 2;

const MESSAGE: &str = "this broker has no group or transaction coordinator yet";

pub async fn serve(
    _context: &RequestContext,
    head: &RequestHead,
    request: FindCoordinatorRequest,
) -> Result<FindCoordinatorResponse, Refusal> {
    let error = match request.key_type {
        0..=KEY_TYPE_MAX => ErrorCode::CoordinatorNotAvailable,
        _ => ErrorCode::InvalidRequest,
    };
    let error_code = error.into();
    if head.version < BATCH_VERSION {
        return Ok(FindCoordinatorResponse {
            error_code,
            error_message: Some(MESSAGE.into()),
            node_id: -1,
            port: -1,
            ..Default::default()
        });
    }
    let coordinators = request
        .coordinator_keys
        .into_iter()
        .map(|key| Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code,
            error_message: Some(MESSAGE.into()),
            ..Default::default()
        })
        .collect();
    Ok(FindCoordinatorResponse { coordinators, ..Default::default() })
}
