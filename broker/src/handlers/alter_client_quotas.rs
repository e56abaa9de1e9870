//! AlterClientQuotas (KIP-546): the controller decides; the answer comes when every core limits by what
//! is new.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: AlterClientQuotasRequest,
) -> Result<AlterClientQuotasResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::AlterClientQuotas(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::AlterClientQuotas(response) => Ok(response),
        other => unreachable!("{other:?} answers no AlterClientQuotas"),
    }
}
