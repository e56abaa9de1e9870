//! IncrementalAlterConfigs (KIP-339): the controller decides; the answer comes when every core serves by what is new.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::IncrementalAlterConfigs(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::IncrementalAlterConfigs(response) => Ok(response),
        other => unreachable!("{other:?} answers no IncrementalAlterConfigs"),
    }
}
