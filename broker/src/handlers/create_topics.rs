//! CreateTopics (KIP-4, KIP-464, KIP-525): the controller decides; the answer comes when every core
//! shows the topic.

use std::ops::RangeInclusive;
use std::rc::Rc;

use controller::quota::Mutator;
use controller::{Request, Response};
use protocol::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;
use crate::cores::Core;

pub const VERSIONS: RangeInclusive<i16> = 2..=7;

/// From this version on clients know that a quota is exceeded. Source: KIP-599.
const QUOTA_VERSION: i16 = 6;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, Refusal> {
    let mutator = head.mutator(QUOTA_VERSION);
    let response = create(&context.core, request, mutator).await?;
    head.wait(&context.core, response.throttle_time_ms);
    Ok(response)
}

/// Creates topics for a client, or for a Metadata request that names new ones.
pub async fn create(
    core: &Rc<Core>,
    request: CreateTopicsRequest,
    mutator: Option<Box<Mutator>>,
) -> Result<CreateTopicsResponse, Refusal> {
    let question = ControllerQuestion::of(Request::CreateTopics(request)).asked_by(mutator);
    match core.ask(core.node.controller_core, question).await.await? {
        Response::CreateTopics(response) => Ok(response),
        other => unreachable!("{other:?} answers no CreateTopics"),
    }
}
