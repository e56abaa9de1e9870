//! What the controller can be asked, and its answers: Kafka's messages, one variant for each API.

use protocol::error_code::ErrorCode;
use protocol::messages::alter_client_quotas::{ResponseEntityData, ResponseEntryData};
use protocol::messages::create_partitions::CreatePartitionsTopicResult;
use protocol::messages::create_topics::CreatableTopicResult;
use protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterClientQuotasRequest,
    AlterClientQuotasResponse, AlterConfigsRequest, AlterConfigsResponse,
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    ElectLeadersRequest, ElectLeadersResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, UnregisterBrokerRequest, UnregisterBrokerResponse,
    UpdateFeaturesRequest, UpdateFeaturesResponse, alter_configs, incremental_alter_configs,
};
use protocol::model::TopicId;

/// A request to the active controller. Who may ask was checked before.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    CreateTopics(CreateTopicsRequest),
    /// What a request means depends on its version.
    DeleteTopics {
        version: i16,
        request: DeleteTopicsRequest,
    },
    CreatePartitions(CreatePartitionsRequest),
    AlterConfigs(AlterConfigsRequest),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    AlterClientQuotas(AlterClientQuotasRequest),
    ElectLeaders(ElectLeadersRequest),
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    UpdateFeatures {
        version: i16,
        request: UpdateFeaturesRequest,
    },
    UnregisterBroker(UnregisterBrokerRequest),
    DescribeQuorum {
        version: i16,
        request: DescribeQuorumRequest,
    },
    BrokerRegistration(BrokerRegistrationRequest),
    BrokerHeartbeat(BrokerHeartbeatRequest),
    AllocateProducerIds(AllocateProducerIdsRequest),
    AssignReplicasToDirs(AssignReplicasToDirsRequest),
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    CreateTopics(CreateTopicsResponse),
    DeleteTopics(DeleteTopicsResponse),
    CreatePartitions(CreatePartitionsResponse),
    AlterConfigs(AlterConfigsResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    AlterClientQuotas(AlterClientQuotasResponse),
    ElectLeaders(ElectLeadersResponse),
    AlterPartitionReassignments(AlterPartitionReassignmentsResponse),
    UpdateFeatures(UpdateFeaturesResponse),
    UnregisterBroker(UnregisterBrokerResponse),
    DescribeQuorum(DescribeQuorumResponse),
    BrokerRegistration(BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatResponse),
    AllocateProducerIds(AllocateProducerIdsResponse),
    AssignReplicasToDirs(AssignReplicasToDirsResponse),
}

impl Response {
    /// Its client has to wait for so long, in milliseconds.
    pub(crate) fn throttle(&mut self, throttle_time_ms: i32) {
        match self {
            Response::CreateTopics(response) => response.throttle_time_ms = throttle_time_ms,
            Response::DeleteTopics(response) => response.throttle_time_ms = throttle_time_ms,
            Response::CreatePartitions(response) => response.throttle_time_ms = throttle_time_ms,
            other => assert!(throttle_time_ms == 0, "{other:?} is not limited"),
        }
    }
}

impl Request {
    /// The answer when all of the request fails with `error`.
    pub fn refuse(&self, error: ErrorCode) -> Response {
        self.refuse_because(error, None)
    }

    /// The same, with a word about why, where the answer has a place for it.
    pub(crate) fn refuse_because(&self, error: ErrorCode, message: Option<&str>) -> Response {
        let error_code = error.into();
        let error_message = message.map(Into::into);
        match self {
            Request::CreateTopics(request) => {
                let topics = request.topics.iter().map(|topic| CreatableTopicResult {
                    name: topic.name.clone(),
                    error_code,
                    error_message: None,
                    ..CreatableTopicResult::default()
                });
                Response::CreateTopics(CreateTopicsResponse {
                    topics: topics.collect(),
                    ..CreateTopicsResponse::default()
                })
            }
            Request::DeleteTopics { request, .. } => refuse_deletion(request, error_code),
            Request::CreatePartitions(request) => {
                let results = request.topics.iter().map(|topic| CreatePartitionsTopicResult {
                    name: topic.name.clone(),
                    error_code,
                    ..CreatePartitionsTopicResult::default()
                });
                Response::CreatePartitions(CreatePartitionsResponse {
                    results: results.collect(),
                    ..CreatePartitionsResponse::default()
                })
            }
            Request::AlterConfigs(request) => {
                let responses = request.resources.iter().map(|resource| {
                    alter_configs::AlterConfigsResourceResponse {
                        error_code,
                        resource_type: resource.resource_type,
                        resource_name: resource.resource_name.clone(),
                        ..Default::default()
                    }
                });
                let responses = responses.collect();
                Response::AlterConfigs(AlterConfigsResponse { responses, ..Default::default() })
            }
            Request::IncrementalAlterConfigs(request) => {
                let responses = request.resources.iter().map(|resource| {
                    incremental_alter_configs::AlterConfigsResourceResponse {
                        error_code,
                        resource_type: resource.resource_type,
                        resource_name: resource.resource_name.clone(),
                        ..Default::default()
                    }
                });
                Response::IncrementalAlterConfigs(IncrementalAlterConfigsResponse {
                    responses: responses.collect(),
                    ..Default::default()
                })
            }
            Request::AlterClientQuotas(request) => {
                let entries = request.entries.iter().map(|entry| ResponseEntryData {
                    error_code,
                    error_message: message.map(Into::into),
                    entity: entry
                        .entity
                        .iter()
                        .map(|part| ResponseEntityData {
                            entity_type: part.entity_type.clone(),
                            entity_name: part.entity_name.clone(),
                        })
                        .collect(),
                });
                let entries = entries.collect();
                Response::AlterClientQuotas(AlterClientQuotasResponse {
                    entries,
                    ..AlterClientQuotasResponse::default()
                })
            }
            Request::ElectLeaders(_) => Response::ElectLeaders(ElectLeadersResponse {
                error_code,
                ..ElectLeadersResponse::default()
            }),
            Request::AlterPartitionReassignments(_) => {
                Response::AlterPartitionReassignments(AlterPartitionReassignmentsResponse {
                    error_code,
                    error_message,
                    ..AlterPartitionReassignmentsResponse::default()
                })
            }
            Request::UpdateFeatures { .. } => Response::UpdateFeatures(UpdateFeaturesResponse {
                error_code,
                error_message,
                ..UpdateFeaturesResponse::default()
            }),
            Request::UnregisterBroker(_) => Response::UnregisterBroker(UnregisterBrokerResponse {
                error_code,
                error_message,
                ..UnregisterBrokerResponse::default()
            }),
            Request::DescribeQuorum { .. } => Response::DescribeQuorum(DescribeQuorumResponse {
                error_code,
                error_message,
                ..DescribeQuorumResponse::default()
            }),
            Request::BrokerRegistration(_) => {
                Response::BrokerRegistration(BrokerRegistrationResponse {
                    error_code,
                    ..BrokerRegistrationResponse::default()
                })
            }
            Request::BrokerHeartbeat(_) => Response::BrokerHeartbeat(BrokerHeartbeatResponse {
                error_code,
                ..BrokerHeartbeatResponse::default()
            }),
            Request::AllocateProducerIds(_) => {
                Response::AllocateProducerIds(AllocateProducerIdsResponse {
                    error_code,
                    ..AllocateProducerIdsResponse::default()
                })
            }
            Request::AssignReplicasToDirs(_) => {
                Response::AssignReplicasToDirs(AssignReplicasToDirsResponse {
                    error_code,
                    ..AssignReplicasToDirsResponse::default()
                })
            }
        }
    }
}

/// Topics are in one of two fields, by the request's version.
fn refuse_deletion(request: &DeleteTopicsRequest, error_code: i16) -> Response {
    let named = request
        .topic_names
        .iter()
        .map(|name| DeleteTopicState { name: Some(name.clone()), topic_id: TopicId::ZERO });
    let responses = request.topics.iter().cloned().chain(named).map(|topic| DeletableTopicResult {
        name: topic.name,
        topic_id: topic.topic_id,
        error_code,
        error_message: None,
    });
    Response::DeleteTopics(DeleteTopicsResponse {
        responses: responses.collect(),
        ..DeleteTopicsResponse::default()
    })
}
