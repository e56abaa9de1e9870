//! DeleteTopics, by name or by id. Sources: KIP-4, KIP-516, Kafka's `ControllerApis`.

use std::collections::BTreeMap;

use protocol::error_code::ErrorCode;
use protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use protocol::model::TopicId;
use protocol::records::metadata::{MetadataRecord, RemoveTopicRecord};
use protocol::wire::WireString;

use crate::metadata::MetadataImage;
use crate::quota::Permits;

use super::create_topics::count_names;
use super::{Decision, RECORDS_PER_DECISION_MAX, Refusal, View};

/// From this version on, a disabled deletion has an error code of its own.
const TOPIC_DELETION_DISABLED_VERSION: i16 = 3;
/// From this version on, topics are named by [`DeleteTopicState`].
const TOPIC_STATES_VERSION: i16 = 6;

pub fn delete_topics(
    view: &View<'_>,
    version: i16,
    request: &DeleteTopicsRequest,
    permits: &mut Permits,
) -> Decision<DeleteTopicsResponse> {
    let states = states(version, request);
    let named = Named::of(&states);
    let mut records = Vec::new();
    let mut responses = Vec::with_capacity(states.len());
    for state in &states {
        let deleted = if !view.settings.delete_topic_enable {
            Err(disabled(version))
        } else if records.len() >= RECORDS_PER_DECISION_MAX {
            Err(Refusal::new(
                ErrorCode::PolicyViolation,
                format!("One request may delete at most {RECORDS_PER_DECISION_MAX} topics"),
            ))
        } else {
            find(view.image, &named, state).and_then(|(name, topic_id)| {
                let topic = view.image.topic_by_id(topic_id);
                permits.take(topic.map_or(0, |topic| topic.partitions.len()))?;
                Ok((name, topic_id))
            })
        };
        responses.push(match deleted {
            Ok((name, topic_id)) => {
                records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
                DeletableTopicResult {
                    name: Some(name),
                    topic_id,
                    ..DeletableTopicResult::default()
                }
            }
            Err(refusal) => DeletableTopicResult {
                name: state.name.clone(),
                topic_id: state.topic_id,
                error_code: refusal.error.into(),
                error_message: Some(refusal.message.into()),
            },
        });
    }
    Decision { records, response: DeleteTopicsResponse { throttle_time_ms: 0, responses } }
}

/// The request's topics in the form of its newest version.
fn states(version: i16, request: &DeleteTopicsRequest) -> Vec<DeleteTopicState> {
    let by_name =
        |name: &WireString| DeleteTopicState { name: Some(name.clone()), topic_id: TopicId::ZERO };
    if version < TOPIC_STATES_VERSION {
        request.topic_names.iter().map(by_name).collect()
    } else {
        request.topics.clone()
    }
}

fn disabled(version: i16) -> Refusal {
    let error = if version < TOPIC_DELETION_DISABLED_VERSION {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TopicDeletionDisabled
    };
    Refusal::new(error, "Topic deletion is disabled (delete.topic.enable)")
}

/// How often each topic is in a request, by name and by id.
struct Named<'a> {
    names: BTreeMap<&'a str, usize>,
    ids: BTreeMap<TopicId, usize>,
}

impl<'a> Named<'a> {
    fn of(states: &'a [DeleteTopicState]) -> Self {
        let mut ids = BTreeMap::new();
        for state in states.iter().filter(|state| state.name.is_none()) {
            *ids.entry(state.topic_id).or_default() += 1;
        }
        Named { names: count_names(states.iter().filter_map(|state| state.name.as_deref())), ids }
    }
}

fn find(
    image: &MetadataImage,
    named: &Named<'_>,
    state: &DeleteTopicState,
) -> Result<(WireString, TopicId), Refusal> {
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidRequest, message);
    let unknown = |error| Refusal::new(error, "This server does not host this topic");
    let (topic, count) = match (&state.name, state.topic_id) {
        (Some(_), id) if !id.is_zero() => {
            return Err(invalid("You may not specify both topic name and topic id"));
        }
        (None, id) if id.is_zero() => {
            return Err(invalid("Neither topic name nor id were specified"));
        }
        (Some(name), _) => {
            let topic = image.topic_by_name(name);
            let count = named.names.get(&**name);
            (topic.ok_or_else(|| unknown(ErrorCode::UnknownTopicOrPartition)), count)
        }
        (None, id) => {
            let topic = image.topic_by_id(id);
            (topic.ok_or_else(|| unknown(ErrorCode::UnknownTopicId)), named.ids.get(&id))
        }
    };
    if count.is_some_and(|&count| count > 1) {
        return Err(invalid("Duplicate topic name or id"));
    }
    let topic = topic?;
    if named.names.contains_key(&*topic.name) && named.ids.contains_key(&topic.id) {
        return Err(invalid("The topic is named both by its name and by its id"));
    }
    Ok(((*topic.name).into(), topic.id))
}
