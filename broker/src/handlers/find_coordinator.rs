//! FindCoordinator (KIP-699): who coordinates a group. The topic of committed offsets is made when somebody
//! first asks. Transactions and share groups have no coordinator yet.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::CreateTopicsRequest;
use protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use protocol::model::Uuid;
use protocol::wire::WireString;

use super::request::{Refusal, RequestContext, RequestHead};
use super::{coordinator, create_topics};
use crate::coordinator::group::{offsets_topic, partition_of};

pub const VERSIONS: RangeInclusive<i16> = 0..=6;

/// The first version that asks for many keys.
const BATCH_VERSION: i16 = 4;
/// The first version that asks for coordinators of share groups.
const SHARE_VERSION: i16 = 6;

/// What keys are. Source: `FindCoordinatorRequest.CoordinatorType`.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

const UNKNOWN_KIND: &str = "this type of coordinator is unknown";

/// A node that clients can reach.
struct Found {
    node_id: i32,
    host: WireString,
    port: i32,
}

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: FindCoordinatorRequest,
) -> Result<FindCoordinatorResponse, Refusal> {
    let key_type = request.key_type;
    let kind = match key_type {
        GROUP => make_topic(context, head).await?,
        TRANSACTION => Err(ErrorCode::CoordinatorNotAvailable),
        SHARE if head.version >= SHARE_VERSION => Err(ErrorCode::CoordinatorNotAvailable),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let find = |key: &WireString| match key_type {
        SHARE if kind == Err(ErrorCode::CoordinatorNotAvailable) && !is_share_key(key) => {
            Err(ErrorCode::InvalidRequest)
        }
        _ => kind.and_then(|()| find(context, key)),
    };
    if head.version < BATCH_VERSION {
        return Ok(match find(&request.key) {
            Ok(Found { node_id, host, port }) => FindCoordinatorResponse {
                // As Kafka says it.
                error_message: Some("NONE".into()),
                node_id,
                host,
                port,
                ..Default::default()
            },
            Err(error) => FindCoordinatorResponse {
                error_code: error.into(),
                error_message: Some(message(error).into()),
                node_id: -1,
                port: -1,
                ..Default::default()
            },
        });
    }
    // Of a kind that nobody knows the whole request is refused, and that comes with a message.
    let refusal = (!(GROUP..=SHARE).contains(&key_type)).then(|| UNKNOWN_KIND.into());
    let of_key = |key: WireString| match find(&key) {
        Ok(Found { node_id, host, port }) => {
            Coordinator { key, node_id, host, port, ..Default::default() }
        }
        Err(error) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.into(),
            error_message: refusal.clone().or(Some(WireString::EMPTY)),
            ..Default::default()
        },
    };
    let coordinators = request.coordinator_keys.into_iter().map(of_key).collect();
    Ok(FindCoordinatorResponse { coordinators, ..Default::default() })
}

fn message(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        _ => UNKNOWN_KIND,
    }
}

/// Whether `key` is `group:topic id:partition`. Source: `SharePartitionKey.getInstance`.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.split(':');
    let (group, topic_id, partition) = (parts.next(), parts.next(), parts.next());
    group.is_some_and(|group| !group.trim().is_empty())
        && topic_id.is_some_and(|id| id.parse::<Uuid>().is_ok())
        && partition.is_some_and(|partition| partition.parse::<i32>().is_ok())
        && parts.next().is_none()
}

/// Makes the topic of committed offsets where it is missing.
async fn make_topic(
    context: &RequestContext,
    head: &RequestHead,
) -> Result<Result<(), ErrorCode>, Refusal> {
    let core = &context.core;
    if coordinator::partition_count(&core.view()).is_some() {
        return Ok(Ok(()));
    }
    let topics = vec![offsets_topic(core.groups.config())];
    let request = CreateTopicsRequest { topics, ..Default::default() };
    // Who asks for a coordinator is never refused to make topics by it: it only counts.
    let response = create_topics::create(core, request, head.mutator(i16::MAX)).await?;
    let Some(topic) = response.topics.first() else { return Ok(Ok(())) };
    let error = ErrorCode::try_from(topic.error_code).unwrap_or(ErrorCode::UnknownServerError);
    if [ErrorCode::None, ErrorCode::TopicAlreadyExists].contains(&error) {
        return Ok(Ok(()));
    }
    if core.groups.warns_first() {
        let reason = topic.error_message.as_deref().unwrap_or_default();
        tracing::warn!(
            topic = %topic.name.as_str(), ?error, reason,
            "no group can be coordinated: the topic of committed offsets cannot be made; on one node it \
             takes offsets.topic.replication.factor=1"
        );
    }
    Ok(Err(ErrorCode::CoordinatorNotAvailable))
}

fn find(context: &RequestContext, group_id: &str) -> Result<Found, ErrorCode> {
    let core = &context.core;
    let (view, config) = (core.view(), &core.node.config);
    let unavailable = ErrorCode::CoordinatorNotAvailable;
    let count = coordinator::partition_count(&view).ok_or(unavailable)?;
    coordinator::route_to(context, partition_of(group_id, count)).map_err(|_| unavailable)?;
    let broker = view.image.broker(config.node_id).ok_or(unavailable)?;
    let is_asked = |name: &str| name == config.listener.name;
    let endpoint =
        broker.listeners.iter().find(|known| is_asked(&known.name)).ok_or(unavailable)?;
    Ok(Found {
        node_id: broker.id.0,
        host: (*endpoint.host).into(),
        port: i32::from(endpoint.port),
    })
}
