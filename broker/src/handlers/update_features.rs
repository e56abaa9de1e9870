//! UpdateFeatures (KIP-584, KIP-778): the controller decides; the answer comes when ApiVersions
//! tells the new levels.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: UpdateFeaturesRequest,
) -> Result<UpdateFeaturesResponse, Refusal> {
    let core = &context.core;
    let question =
        ControllerQuestion::of(Request::UpdateFeatures { version: head.version, request });
    match core.ask(core.node.controller_core, question).await.await? {
        Response::UpdateFeatures(response) => Ok(response),
        other => unreachable!("{other:?} answers no UpdateFeatures"),
    }
}
