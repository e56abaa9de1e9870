//! DeleteTopics, by name or by id. Sources: KIP-4, KIP-516, Kafka's `ControllerApis`.

use protocol::error_code::ErrorCode;
use protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use protocol::model::TopicId;
use protocol::records::metadata::{MetadataRecord, RemoveTopicRecord};
use protocol::wire::WireString;

use crate::metadata::MetadataImage;

use super::{Decision, RECORDS_PER_DECISION_MAX, Refusal, View};

/// From this version on, a disabled deletion has an error code of its own.
const TOPIC_DELETION_DISABLED_VERSION: i16 = 3;
/// From this version on, topics are named by [`DeleteTopicState`].
const TOPIC_STATES_VERSION: i16 = 6;

const SUPPLIED_TWICE: &str = "The topic is named both by its name and by its id";

pub fn delete_topics(
    view: &View<'_>,
    version: i16,
    request: &DeleteTopicsRequest,
) -> Decision<DeleteTopicsResponse> {
    let states = states(version, request);
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
            find(view.image, &states, state)
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

fn find(
    image: &MetadataImage,
    all: &[DeleteTopicState],
    state: &DeleteTopicState,
) -> Result<(WireString, TopicId), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    match (&state.name, state.topic_id) {
        (Some(_), id) if !id.is_zero() => {
            invalid("You may not specify both topic name and topic id")
        }
        (None, id) if id.is_zero() => invalid("Neither topic name nor id were specified"),
        (Some(name), _) => {
            if all.iter().filter(|other| other.name.as_ref() == Some(name)).count() > 1 {
                return invalid("Duplicate topic name");
            }
            let topic = image.topic_by_name(name).ok_or_else(|| {
                Refusal::new(
                    ErrorCode::UnknownTopicOrPartition,
                    "This server does not host this topic",
                )
            })?;
            if all.iter().any(|other| other.topic_id == topic.id) {
                return invalid(SUPPLIED_TWICE);
            }
            Ok((name.clone(), topic.id))
        }
        (None, id) => {
            if all.iter().filter(|other| other.topic_id == id).count() > 1 {
                return invalid("Duplicate topic id");
            }
            let topic = image.topic_by_id(id).ok_or_else(|| {
                Refusal::new(ErrorCode::UnknownTopicId, "This server does not host this topic id")
            })?;
            if all.iter().any(|other| other.name.as_deref() == Some(&*topic.name)) {
                return invalid(SUPPLIED_TWICE);
            }
            Ok(((*topic.name).into(), id))
        }
    }
}
