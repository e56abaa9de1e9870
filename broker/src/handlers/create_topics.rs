//! CreateTopics (KIP-4, KIP-464, KIP-525): the controller decides; the answer comes when every core
//! shows the topic.

use std::ops::RangeInclusive;
use std::rc::Rc;

use controller::{Request, Response};
use protocol::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;
use crate::cores::Core;

pub const VERSIONS: RangeInclusive<i16> = 2..=7;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, Refusal> {
    create(&context.core, request).await
}

/// Creates topics for a client, or for a Metadata request that names new ones.
pub async fn create(
    core: &Rc<Core>,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, Refusal> {
    let question = ControllerQuestion(Request::CreateTopics(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::CreateTopics(response) => Ok(response),
        other => unreachable!("{other:?} answers no CreateTopics"),
    }
}
