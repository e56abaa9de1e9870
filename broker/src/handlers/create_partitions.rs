//! CreatePartitions (KIP-195): the controller decides; the answer comes when every core serves
//! the new partitions.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=3;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion(Request::CreatePartitions(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::CreatePartitions(response) => Ok(response),
        other => unreachable!("{other:?} answers no CreatePartitions"),
    }
}
