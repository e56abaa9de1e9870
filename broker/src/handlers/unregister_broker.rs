//! UnregisterBroker (KIP-730): the controller forgets a broker that is gone.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: UnregisterBrokerRequest,
) -> Result<UnregisterBrokerResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::UnregisterBroker(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::UnregisterBroker(response) => Ok(response),
        other => unreachable!("{other:?} answers no UnregisterBroker"),
    }
}
