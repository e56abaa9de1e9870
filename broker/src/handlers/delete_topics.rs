//! DeleteTopics (KIP-4, KIP-516): the controller decides; the answer comes when every core has let go.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 1..=6;

/// From this version on clients know that a quota is exceeded. Source: KIP-599.
const QUOTA_VERSION: i16 = 5;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::DeleteTopics { version: head.version, request })
        .asked_by(head.mutator(QUOTA_VERSION));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::DeleteTopics(response) => {
            head.wait(core, response.throttle_time_ms);
            Ok(response)
        }
        other => unreachable!("{other:?} answers no DeleteTopics"),
    }
}
