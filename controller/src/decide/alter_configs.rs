//! AlterConfigs and IncrementalAlterConfigs: what topics, brokers and all brokers set. Each resource
//! succeeds or fails on its own. Sources: KIP-133, KIP-226, KIP-339, Kafka's `ConfigAdminManager`,
//! `ConfigurationControlManager` and `ControllerConfigurationValidator`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs as whole, incremental_alter_configs as single,
};
use protocol::records::metadata::{ClearElrRecord, ConfigRecord, MetadataRecord};

use crate::config::{Kind, NodeLayers, check_topic, node_key, topic_key};
use crate::metadata::{ConfigResource, Configs, ELR_VERSION, ResourceType};

use super::check_broker_configs::check_broker_configs;
use super::{Decision, RECORDS_PER_DECISION_MAX, Refusal, View, check_topic_name};

/// The longest value. Kafka's `Short.MAX_VALUE`.
const VALUE_LENGTH_MAX: usize = i16::MAX as usize;

const MIN_ISR: &str = "min.insync.replicas";

/// The type of a broker's loggers. Their levels are no metadata.
const BROKER_LOGGER: i8 = 8;

/// What is to become of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change<'a> {
    Set(&'a str),
    Delete,
    Append(&'a str),
    Subtract(&'a str),
}

/// One resource of a request, in the form that both APIs share.
struct Asked<'a> {
    kind: i8,
    name: &'a str,
    /// What is not named goes.
    replaces_all: bool,
    /// Key, number of the operation, value.
    entries: Vec<(&'a str, i8, Option<&'a str>)>,
}

/// A resource that can be altered.
struct Altered {
    records: Vec<MetadataRecord>,
}

pub fn alter_configs(
    view: &View<'_>,
    request: &AlterConfigsRequest,
) -> Decision<AlterConfigsResponse> {
    let asked = request.resources.iter().map(|resource| Asked {
        kind: resource.resource_type,
        name: &resource.resource_name,
        replaces_all: true,
        entries: resource
            .configs
            .iter()
            .map(|config| (&*config.name, SET, config.value.as_deref()))
            .collect(),
    });
    let (records, outcomes) = alter(view, &asked.collect::<Vec<_>>(), request.validate_only);
    let responses = request.resources.iter().zip(outcomes).map(|(resource, outcome)| {
        whole::AlterConfigsResourceResponse {
            error_code: outcome.as_ref().map_or_else(|refusal| refusal.error, |()| NONE).into(),
            error_message: outcome.err().map(|refusal| refusal.message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    let response = AlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() };
    Decision { records, response }
}

pub fn incremental_alter_configs(
    view: &View<'_>,
    request: &IncrementalAlterConfigsRequest,
) -> Decision<IncrementalAlterConfigsResponse> {
    let asked = request.resources.iter().map(|resource| Asked {
        kind: resource.resource_type,
        name: &resource.resource_name,
        replaces_all: false,
        entries: resource
            .configs
            .iter()
            .map(|config| (&*config.name, config.config_operation, config.value.as_deref()))
            .collect(),
    });
    let (records, outcomes) = alter(view, &asked.collect::<Vec<_>>(), request.validate_only);
    let responses = request.resources.iter().zip(outcomes).map(|(resource, outcome)| {
        single::AlterConfigsResourceResponse {
            error_code: outcome.as_ref().map_or_else(|refusal| refusal.error, |()| NONE).into(),
            error_message: outcome.err().map(|refusal| refusal.message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    let response =
        IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() };
    Decision { records, response }
}

const NONE: ErrorCode = ErrorCode::None;
/// Numbers of the operations. Source: `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Outcome = Result<(), Refusal>;

/// The records of all resources that can be altered, and what came of each.
fn alter(
    view: &View<'_>,
    asked: &[Asked<'_>],
    validate_only: bool,
) -> (Vec<MetadataRecord>, Vec<Outcome>) {
    let mut named: BTreeMap<(i8, &str), usize> = BTreeMap::new();
    for resource in asked {
        *named.entry((resource.kind, resource.name)).or_default() += 1;
    }
    let mut records = Vec::new();
    let outcomes: Vec<Outcome> = asked
        .iter()
        .map(|resource| {
            if named.get(&(resource.kind, resource.name)) != Some(&1) {
                return Err(invalid("Each resource must appear at most once."));
            }
            let altered = alter_resource(view, resource)?;
            if records.len() + altered.records.len() > RECORDS_PER_DECISION_MAX {
                return Err(Refusal::new(
                    ErrorCode::PolicyViolation,
                    format!("One request may write at most {RECORDS_PER_DECISION_MAX} records"),
                ));
            }
            records.extend(altered.records);
            Ok(())
        })
        .collect();
    if view.image.feature_level(ELR_VERSION) > 0 {
        records.extend(clear_elr(&records));
    }
    if validate_only {
        records.clear();
    }
    (records, outcomes)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn invalid_config(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidConfig, message)
}

fn alter_resource(view: &View<'_>, asked: &Asked<'_>) -> Result<Altered, Refusal> {
    let mut seen = BTreeSet::new();
    if !asked.entries.iter().all(|(key, ..)| seen.insert(*key)) {
        return Err(invalid("Error due to duplicate config keys"));
    }
    let is_null = |&&(_, operation, value): &&(&str, i8, Option<&str>)| {
        operation != DELETE && value.is_none()
    };
    let null: Vec<_> = asked.entries.iter().filter(is_null).map(|(key, ..)| *key).collect();
    if !null.is_empty() {
        return Err(invalid(format!("Null value not supported for : {}", null.join(", "))));
    }
    let kind = match ResourceType::from_wire(asked.kind) {
        Some(kind @ (ResourceType::Topic | ResourceType::Broker)) => kind,
        Some(ResourceType::Group) => {
            return Err(invalid("Configurations of groups are not implemented by this broker"));
        }
        Some(ResourceType::ClientMetrics) => {
            return Err(invalid("Subscriptions to metrics are not implemented by this broker"));
        }
        None if asked.kind == BROKER_LOGGER && !asked.replaces_all => {
            return Err(invalid("Levels of loggers are set by RUST_LOG at the start"));
        }
        None => return Err(invalid(format!("Unknown resource type {}", asked.kind))),
    };
    if kind == ResourceType::Broker {
        check_broker_name(view, asked.name)?;
    }
    let resource = ConfigResource { kind, name: Arc::from(asked.name) };
    let before = view.image.config(&resource).map(|configs| (**configs).clone());
    let before = before.unwrap_or_default();
    let changes = changes(asked, &before)?;
    let after = applied(kind, &before, &changes)?;
    match kind {
        ResourceType::Broker => {
            check_broker(view, &resource, &changes, &before, &after)?;
        }
        _ => check_topic_configs(view, asked.name, &after)?,
    }
    Ok(Altered { records: records(&resource, &changes, &before, &after) })
}

/// The default of all brokers, or this one.
fn check_broker_name(view: &View<'_>, name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Ok(());
    }
    let id = name
        .parse::<i32>()
        .map_err(|_| invalid(format!("Node id must be an integer, but it is: {name}")))?;
    if let Some(local) = view.settings.local_broker
        && local.0 != id
    {
        return Err(invalid(format!(
            "Unexpected broker id, expected {local}, but received {name}"
        )));
    }
    if !view.image.brokers().keys().any(|broker| broker.0 == id) {
        return Err(Refusal::new(
            ErrorCode::BrokerIdNotRegistered,
            format!("No node with id {id} found."),
        ));
    }
    Ok(())
}

/// What the request asks for, key by key: with what it does not name, if that goes.
fn changes<'a>(
    asked: &Asked<'a>,
    before: &'a Configs,
) -> Result<BTreeMap<&'a str, Change<'a>>, Refusal> {
    let mut changes = BTreeMap::new();
    if asked.replaces_all {
        changes.extend(before.keys().map(|key| (&**key, Change::Delete)));
    }
    for &(key, operation, value) in &asked.entries {
        let value = value.unwrap_or_default();
        let change = match operation {
            SET => Change::Set(value),
            DELETE => Change::Delete,
            APPEND => Change::Append(value),
            SUBTRACT => Change::Subtract(value),
            other => return Err(invalid(format!("Unknown operations type {other}"))),
        };
        changes.insert(key, change);
    }
    Ok(changes)
}

/// What the resource sets when `changes` are done.
fn applied(
    kind: ResourceType,
    before: &Configs,
    changes: &BTreeMap<&str, Change<'_>>,
) -> Result<Configs, Refusal> {
    let mut after = before.clone();
    for (&name, &change) in changes {
        let value = match change {
            Change::Set(value) => value.to_owned(),
            Change::Delete => {
                after.remove(name);
                continue;
            }
            Change::Append(items) | Change::Subtract(items) => {
                let key = match kind {
                    ResourceType::Broker => node_key(name),
                    _ => topic_key(name),
                };
                let key = key.filter(|key| key.kind == Kind::List).ok_or_else(|| {
                    invalid_config(format!(
                        "Can't append to or subtract from key {name}, since its type is not LIST"
                    ))
                })?;
                let list = before.get(name).map(|value| &**value).or(key.default);
                let list = list.unwrap_or_default().split(',').filter(|item| !item.is_empty());
                let mut list: Vec<&str> = list.collect();
                for item in items.split(',') {
                    match (change, list.iter().position(|known| *known == item)) {
                        (Change::Subtract(_), Some(known)) => drop(list.remove(known)),
                        (Change::Append(_), None) => list.push(item),
                        _ => {}
                    }
                }
                list.join(",")
            }
        };
        if value.len() > VALUE_LENGTH_MAX {
            return Err(invalid_config(format!(
                "The value of {name} is longer than {VALUE_LENGTH_MAX} bytes"
            )));
        }
        after.insert(Arc::from(name), Arc::from(value));
    }
    Ok(after)
}

fn check_topic_configs(view: &View<'_>, topic: &str, after: &Configs) -> Result<(), Refusal> {
    if topic.is_empty() {
        return Err(invalid("Default topic resources are not allowed."));
    }
    check_topic_name(topic)
        .map_err(|error| Refusal::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    check_topic(after, &view.settings.layers(view.image))
        .map_err(|error| invalid_config(error.to_string()))?;
    if view.image.topic_by_name(topic).is_none() {
        return Err(Refusal::new(
            ErrorCode::UnknownTopicOrPartition,
            format!("The topic '{topic}' does not exist."),
        ));
    }
    Ok(())
}

fn check_broker(
    view: &View<'_>,
    resource: &ConfigResource,
    changes: &BTreeMap<&str, Change<'_>>,
    before: &Configs,
    after: &Configs,
) -> Result<(), Refusal> {
    let layers = view.settings.layers(view.image);
    let is_cluster = resource.name.is_empty();
    let (now, then) = match is_cluster {
        true => (
            NodeLayers { cluster: Some(before), ..layers },
            NodeLayers { cluster: Some(after), ..layers },
        ),
        false => (
            NodeLayers { broker: Some(before), ..layers },
            NodeLayers { broker: Some(after), ..layers },
        ),
    };
    let set = changes.iter().filter(|(_, change)| **change != Change::Delete);
    let set = set.filter_map(|(name, _)| Some((*name, &**after.get(*name)?)));
    check_broker_configs(set, &now, &then).map_err(invalid)?;
    // With eligible leader replicas the least number of replicas in sync belongs to the cluster.
    let min_isr = changes.get(MIN_ISR).filter(|_| view.image.feature_level(ELR_VERSION) > 0);
    match min_isr {
        Some(_) if !is_cluster => Err(invalid_config(format!(
            "Broker-level {MIN_ISR} cannot be altered while ELR is enabled."
        ))),
        Some(Change::Delete) => Err(invalid_config(format!(
            "Cluster-level {MIN_ISR} cannot be removed while ELR is enabled."
        ))),
        _ => Ok(()),
    }
}

/// What is to be written. Of a broker also what stays as it is, so that it looks again (KAFKA-14136).
fn records(
    resource: &ConfigResource,
    changes: &BTreeMap<&str, Change<'_>>,
    before: &Configs,
    after: &Configs,
) -> Vec<MetadataRecord> {
    let is_needed =
        |name: &str| resource.kind == ResourceType::Broker || before.get(name) != after.get(name);
    let needed = changes.keys().filter(|name| is_needed(name));
    needed
        .map(|name| {
            MetadataRecord::Config(ConfigRecord {
                resource_type: resource.kind.to_wire(),
                resource_name: (*resource.name).into(),
                name: (*name).into(),
                value: after.get(*name).map(|value| (**value).into()),
            })
        })
        .collect()
}

/// Another number of replicas in sync makes void who was eligible by the old one. Source: KIP-966.
fn clear_elr(records: &[MetadataRecord]) -> Vec<MetadataRecord> {
    let clear = |record: &MetadataRecord| match record {
        MetadataRecord::Config(config) if config.name == MIN_ISR => {
            let is_topic = config.resource_type == ResourceType::Topic.to_wire();
            let topic_name = if is_topic { config.resource_name.clone() } else { "".into() };
            Some(MetadataRecord::ClearElr(ClearElrRecord { topic_name }))
        }
        _ => None,
    };
    records.iter().filter_map(clear).collect()
}
