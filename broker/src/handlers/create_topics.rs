//! CreateTopics (KIP-4, KIP-464, KIP-525): the controller decides; the answer comes when every core
//! shows the topic.

use std::ops::RangeInclusive;
use std::rc::Rc;

use controller::{Request, Response};
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;
use crate::cores::Core;

pub const VERSIONS: RangeInclusive<i16> = 2..=7;

/// Whether a value asks for what is not implemented.
type AsksForIt = fn(&str) -> bool;

/// Topic configurations whose meaning is not implemented: a value that asks for it is refused, since a
/// topic that silently lacks it would break what its owner counts on.
const UNIMPLEMENTED: [(&str, AsksForIt); 2] = [
    ("compression.type", |value| value != "producer"),
    ("remote.storage.enable", |value| value.eq_ignore_ascii_case("true")),
];

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
    mut request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, Refusal> {
    let mut refused = Vec::new();
    request.topics.retain(|topic| {
        let unimplemented = topic.configs.iter().find(|config| {
            let value = config.value.as_deref().unwrap_or_default();
            UNIMPLEMENTED.iter().any(|(name, asks)| config.name == *name && asks(value))
        });
        if let Some(config) = unimplemented {
            let value = config.value.as_deref().unwrap_or_default();
            let message = format!("{}={value} is not implemented by this broker", config.name);
            refused.push(CreatableTopicResult {
                name: topic.name.clone(),
                error_code: ErrorCode::InvalidConfig.into(),
                error_message: Some(message.into()),
                num_partitions: -1,
                replication_factor: -1,
                ..Default::default()
            });
        }
        unimplemented.is_none()
    });
    let question = ControllerQuestion(Request::CreateTopics(request));
    let answer = core.ask(core.node.controller_core, question).await.await?;
    let mut response = match answer {
        Response::CreateTopics(response) => response,
        other => unreachable!("{other:?} answers no CreateTopics"),
    };
    response.topics.extend(refused);
    Ok(response)
}
