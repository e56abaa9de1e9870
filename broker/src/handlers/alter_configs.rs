//! AlterConfigs (KIP-133): the controller decides; the answer comes when every core serves by what is new.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::AlterConfigs(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::AlterConfigs(response) => Ok(response),
        other => unreachable!("{other:?} answers no AlterConfigs"),
    }
}
