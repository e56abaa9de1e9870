//! Every version of the APIs of topics, quotas and clusters: what each field of an answer says, and which
//! version has it. A question that succeeds and one that does not.

use super::talk::Talk;
use anyhow::Result;
use protocol::error_code::ErrorCode;
use protocol::messages::alter_client_quotas::{OpData, RequestEntityData, RequestEntryData};
use protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use protocol::messages::create_partitions::CreatePartitionsTopic;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::describe_client_quotas::ComponentData;
use protocol::messages::describe_configs::DescribeConfigsResource;
use protocol::messages::describe_log_dirs::DescribableLogDirTopic;
use protocol::messages::describe_quorum::{RequestPartitionData, RequestTopicData};
use protocol::messages::elect_leaders::TopicPartitions;
use protocol::messages::list_partition_reassignments::ListPartitionReassignmentsTopics;
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use protocol::messages::update_features::FeatureUpdateKey;
use protocol::messages::{
    AlterClientQuotasRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClientQuotasRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeProducersRequest, DescribeQuorumRequest,
    DescribeTopicPartitionsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, ListConfigResourcesRequest, ListPartitionReassignmentsRequest,
    MetadataRequest, OffsetForLeaderEpochRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
    alter_configs, describe_producers, describe_topic_partitions, incremental_alter_configs,
};
use protocol::model::Uuid;
use protocol::wire::{Message, Request, WireString};
use std::ops::RangeInclusive;
use std::time::Duration;

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
const TIMEOUT_MS: i32 = 30_000;
/// Of config resources, a topic.
const TOPIC: i8 = 2;

/// What differs from broker to broker and from run to run: its value is not written down. Messages are
/// each broker's own sentences.
const VARYING: [&str; 18] = [
    "cluster_id",
    "error_message",
    "high_watermark",
    "host",
    "last_caught_up_timestamp",
    "last_fetch_timestamp",
    "last_timestamp",
    "leader_epoch",
    "log_dir",
    "log_end_offset",
    "partition_size",
    "port",
    "producer_id",
    "replica_directory_id",
    "documentation",
    "topic_id",
    "total_bytes",
    "usable_bytes",
];

pub fn talk(talk: &mut Talk) -> Result<()> {
    talk.create("a", 2, &[("retention.ms", "3600000")])?;
    talk.fill("a", 0, 5)?;
    await_producer_ids(talk)?;
    of_metadata(talk)?;
    of_topics(talk)?;
    of_configs(talk)?;
    of_logs(talk)?;
    of_leaders(talk)?;
    of_quotas(talk)?;
    of_the_cluster(talk)
}

/// Asks `request` in each of `versions`, and writes down the whole answer.
fn each<R: Request>(
    talk: &mut Talk,
    what: &str,
    versions: RangeInclusive<i16>,
    request: impl Fn(i16) -> R,
) -> Result<()>
where
    R::Response: std::fmt::Debug,
{
    for version in versions {
        let answer = talk.connection.call(version, &request(version))?;
        let answer = without_varying(&format!("{answer:?}"));
        talk.say(format_args!("v{version} {what}"), answer);
    }
    Ok(())
}

/// `debugged` without the values of fields that vary.
fn without_varying(debugged: &str) -> String {
    let mut text = debugged.to_owned();
    for field in VARYING {
        let start = format!(" {field}: ");
        let mut rest = text.as_str();
        let mut masked = String::new();
        while let Some((before, after)) = rest.split_once(&start) {
            let end = value_end(after);
            // A cluster's id is not in every version; a message is never needed.
            let is_absent = &after[..end] == "None" && field != "error_message";
            masked += &format!("{before}{start}{}", if is_absent { "None" } else { "_" });
            rest = &after[end..];
        }
        text = masked + rest;
    }
    without_settings(&text)
}

/// Settings that lists of them are written down without: those that millrace has more than Apache Kafka,
/// and those that other tests alter for the whole broker.
const LEFT_OUT: [&str; 3] = ["millrace.", "index.interval.bytes", "segment.jitter.ms"];

/// `text` without the settings that are left out.
fn without_settings(text: &str) -> String {
    let mut text = text.to_owned();
    for name in LEFT_OUT {
        let start = format!(", CreatableTopicConfigs {{ name: \"{name}");
        let mut parts = text.split(start.as_str());
        let first = parts.next().unwrap_or_default().to_owned();
        text =
            parts.fold(first, |kept, one| kept + one.split_once('}').map_or(one, |(_, rest)| rest));
    }
    text
}

/// Where the value that `text` begins with ends: at a comma or a bracket outside of quotes.
fn value_end(text: &str) -> usize {
    let (mut is_quoted, mut depth) = (false, 0);
    for (at, character) in text.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted && depth > 0 => depth -= 1,
            ',' | ' ' | '}' | ']' if !is_quoted && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn of_metadata(talk: &mut Talk) -> Result<()> {
    // Those before version 4 would have the topic created.
    for (what, topic, first) in [("a topic", "a", 0), ("no topic", "missing", 4)] {
        let name: WireString = talk.topic(topic).as_str().into();
        each(talk, &format!("metadata of {what}"), first..=13, |version| {
            let asked = MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
            let topics = Some(vec![asked]);
            let allow_auto_topic_creation = version < 4;
            MetadataRequest { topics, allow_auto_topic_creation, ..Default::default() }
        })?;
        each(talk, &format!("partitions of {what}"), 0..=0, |_| DescribeTopicPartitionsRequest {
            topics: vec![describe_topic_partitions::TopicRequest { name: name.clone() }],
            response_partition_limit: 1,
            cursor: None,
        })?;
    }
    Ok(())
}

fn of_topics(talk: &mut Talk) -> Result<()> {
    for (what, num_partitions) in [("a topic", 3), ("too few partitions", 0)] {
        let name: WireString = talk.topic("b").as_str().into();
        each(talk, &format!("validate {what}"), CreateTopicsRequest::VERSIONS, |_| {
            let config = CreatableTopicConfig {
                name: "segment.bytes".into(),
                value: Some("1048576".into()),
            };
            CreateTopicsRequest {
                topics: vec![CreatableTopic {
                    name: name.clone(),
                    num_partitions,
                    replication_factor: 1,
                    configs: vec![config],
                    ..Default::default()
                }],
                timeout_ms: TIMEOUT_MS,
                validate_only: true,
            }
        })?;
    }
    let name: WireString = talk.topic("a").as_str().into();
    for (what, count) in [("more partitions", 4), ("fewer partitions", 1)] {
        each(talk, &format!("validate {what}"), CreatePartitionsRequest::VERSIONS, |_| {
            let topic = CreatePartitionsTopic { name: name.clone(), count, assignments: None };
            CreatePartitionsRequest {
                topics: vec![topic],
                timeout_ms: TIMEOUT_MS,
                validate_only: true,
            }
        })?;
    }
    let missing: WireString = talk.topic("missing").as_str().into();
    each(talk, "delete no topic", DeleteTopicsRequest::VERSIONS, |version| {
        let named = DeleteTopicState { name: Some(missing.clone()), topic_id: Uuid::ZERO };
        DeleteTopicsRequest {
            topics: if version >= 6 { vec![named] } else { Vec::new() },
            topic_names: if version >= 6 { Vec::new() } else { vec![missing.clone()] },
            timeout_ms: TIMEOUT_MS,
        }
    })
}

fn of_configs(talk: &mut Talk) -> Result<()> {
    for (what, topic) in [("a topic", "a"), ("no topic", "missing")] {
        let name: WireString = talk.topic(topic).as_str().into();
        each(talk, &format!("configs of {what}"), DescribeConfigsRequest::VERSIONS, |version| {
            DescribeConfigsRequest {
                resources: vec![DescribeConfigsResource {
                    resource_type: TOPIC,
                    resource_name: name.clone(),
                    configuration_keys: Some(vec!["retention.ms".into()]),
                }],
                include_synonyms: true,
                include_documentation: version >= 3,
            }
        })?;
        each(talk, &format!("validate all of {what}"), AlterConfigsRequest::VERSIONS, |_| {
            let config = alter_configs::AlterableConfig {
                name: "retention.ms".into(),
                value: Some("5000".into()),
            };
            AlterConfigsRequest {
                resources: vec![alter_configs::AlterConfigsResource {
                    resource_type: TOPIC,
                    resource_name: name.clone(),
                    configs: vec![config],
                }],
                validate_only: true,
            }
        })?;
        let versions = IncrementalAlterConfigsRequest::VERSIONS;
        each(talk, &format!("validate one of {what}"), versions, |_| {
            let config = incremental_alter_configs::AlterableConfig {
                name: "retention.ms".into(),
                config_operation: 0,
                value: Some("5000".into()),
            };
            IncrementalAlterConfigsRequest {
                resources: vec![incremental_alter_configs::AlterConfigsResource {
                    resource_type: TOPIC,
                    resource_name: name.clone(),
                    configs: vec![config],
                }],
                validate_only: true,
            }
        })?;
    }
    each(talk, "resources of no type", 1..=1, |_| ListConfigResourcesRequest {
        resource_types: vec![99],
    })
}

fn of_logs(talk: &mut Talk) -> Result<()> {
    for (what, topic, partition) in [("a log", "a", 0), ("no log", "missing", 0)] {
        let name: WireString = talk.topic(topic).as_str().into();
        each(talk, &format!("directory of {what}"), DescribeLogDirsRequest::VERSIONS, |_| {
            let topic = DescribableLogDirTopic { topic: name.clone(), partitions: vec![partition] };
            DescribeLogDirsRequest { topics: Some(vec![topic]) }
        })?;
        each(talk, &format!("producers of {what}"), 0..=0, |_| DescribeProducersRequest {
            topics: vec![describe_producers::TopicRequest {
                name: name.clone(),
                partition_indexes: vec![partition],
            }],
        })?;
        each(talk, &format!("delete records of {what}"), DeleteRecordsRequest::VERSIONS, |_| {
            let partition = DeleteRecordsPartition { partition_index: partition, offset: 2 };
            let topic = DeleteRecordsTopic { name: name.clone(), partitions: vec![partition] };
            DeleteRecordsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS }
        })?;
        each(talk, &format!("epoch's end of {what}"), 2..=4, |_| OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic: name.clone(),
                partitions: vec![OffsetForLeaderPartition {
                    partition,
                    current_leader_epoch: -1,
                    leader_epoch: 0,
                }],
            }],
        })?;
    }
    // Version 6 is of transactions.
    each(talk, "a producer's id", 0..=5, |_| producer_id())
}

fn producer_id() -> InitProducerIdRequest {
    InitProducerIdRequest { transaction_timeout_ms: TIMEOUT_MS, ..Default::default() }
}

/// A broker has no block of producer ids until it is asked for one.
fn await_producer_ids(talk: &mut Talk) -> Result<()> {
    let loading = ErrorCode::CoordinatorLoadInProgress.code();
    while talk.connection.call(4, &producer_id())?.error_code == loading {
        std::thread::park_timeout(LOOK_AGAIN_AFTER);
    }
    Ok(())
}

fn of_leaders(talk: &mut Talk) -> Result<()> {
    for (what, topic) in [("a partition", "a"), ("no partition", "missing")] {
        let name: WireString = talk.topic(topic).as_str().into();
        each(talk, &format!("elect the leader of {what}"), ElectLeadersRequest::VERSIONS, |_| {
            let topic = TopicPartitions { topic: name.clone(), partitions: vec![0] };
            ElectLeadersRequest {
                election_type: 0,
                topic_partitions: Some(vec![topic]),
                timeout_ms: TIMEOUT_MS,
            }
        })?;
        let versions = AlterPartitionReassignmentsRequest::VERSIONS;
        each(talk, &format!("end the reassignment of {what}"), versions, |_| {
            let partition = ReassignablePartition { partition_index: 0, replicas: None };
            let topic = ReassignableTopic { name: name.clone(), partitions: vec![partition] };
            AlterPartitionReassignmentsRequest {
                timeout_ms: TIMEOUT_MS,
                topics: vec![topic],
                ..Default::default()
            }
        })?;
        each(talk, &format!("reassignments of {what}"), 0..=0, |_| {
            let partition_indexes = vec![0];
            let topic = ListPartitionReassignmentsTopics { name: name.clone(), partition_indexes };
            ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: Some(vec![topic]) }
        })?;
    }
    Ok(())
}

fn of_quotas(talk: &mut Talk) -> Result<()> {
    for (what, key) in [("a quota", "producer_byte_rate"), ("no quota", "nothing_rate")] {
        each(talk, &format!("validate {what}"), AlterClientQuotasRequest::VERSIONS, |_| {
            let entity =
                RequestEntityData { entity_type: "user".into(), entity_name: Some("ann".into()) };
            let operation = OpData { key: key.into(), value: 1e6, remove: false };
            AlterClientQuotasRequest {
                entries: vec![RequestEntryData { entity: vec![entity], ops: vec![operation] }],
                validate_only: true,
            }
        })?;
    }
    for (what, entity_type) in [("a user", "user"), ("nobody", "nothing")] {
        each(talk, &format!("quotas of {what}"), DescribeClientQuotasRequest::VERSIONS, |_| {
            let component = ComponentData {
                entity_type: entity_type.into(),
                match_type: 0,
                r#match: Some("ann".into()),
            };
            DescribeClientQuotasRequest { components: vec![component], strict: true }
        })?;
    }
    Ok(())
}

fn of_the_cluster(talk: &mut Talk) -> Result<()> {
    for (what, endpoint_type) in [("brokers", 1), ("controllers", 2), ("others", 9)] {
        let versions = DescribeClusterRequest::VERSIONS;
        each(talk, &format!("the cluster's {what}"), versions, |version| DescribeClusterRequest {
            include_cluster_authorized_operations: true,
            endpoint_type: if version >= 1 { endpoint_type } else { 1 },
            include_fenced_brokers: version >= 2,
        })?;
    }
    for (what, topic) in [("the quorum", "__cluster_metadata"), ("no quorum", "missing")] {
        each(talk, what, DescribeQuorumRequest::VERSIONS, |_| DescribeQuorumRequest {
            topics: vec![RequestTopicData {
                topic_name: topic.into(),
                partitions: vec![RequestPartitionData { partition_index: 0 }],
            }],
        })?;
    }
    for (what, feature) in [("a feature", "metadata.version"), ("no feature", "nothing")] {
        each(talk, &format!("validate {what}"), UpdateFeaturesRequest::VERSIONS, |version| {
            let update = FeatureUpdateKey {
                feature: feature.into(),
                max_version_level: 99,
                upgrade_type: 1,
                ..Default::default()
            };
            UpdateFeaturesRequest {
                timeout_ms: TIMEOUT_MS,
                feature_updates: vec![update],
                validate_only: version >= 1,
            }
        })?;
    }
    each(talk, "unregister no broker", 0..=0, |_| UnregisterBrokerRequest { broker_id: 77 })
}
