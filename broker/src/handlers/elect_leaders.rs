//! ElectLeaders (KIP-183, KIP-460): the controller decides; the answer comes when every core knows
//! the leaders.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: ElectLeadersRequest,
) -> Result<ElectLeadersResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::ElectLeaders(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::ElectLeaders(response) => Ok(response),
        other => unreachable!("{other:?} answers no ElectLeaders"),
    }
}
