//! CreatePartitions (KIP-195): the controller decides; the answer comes when every core serves
//! the new partitions.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=3;

/// From this version on clients know that a quota is exceeded. Source: KIP-599.
const QUOTA_VERSION: i16 = 3;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::CreatePartitions(request))
        .asked_by(head.mutator(QUOTA_VERSION));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::CreatePartitions(response) => {
            head.wait(core, response.throttle_time_ms);
            Ok(response)
        }
        other => unreachable!("{other:?} answers no CreatePartitions"),
    }
}
