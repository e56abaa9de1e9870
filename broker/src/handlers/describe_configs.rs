//! DescribeConfigs (KIP-133, KIP-226, KIP-569): what topics and this broker are configured with, and
//! where each value comes from.

use std::ops::RangeInclusive;

use controller::decide::{ConfigSource, check_topic_name};
use controller::metadata::topic_config::{self, TOPIC_CONFIGS, TopicConfig};
use controller::metadata::{ConfigResource, Configs};
use protocol::error_code::ErrorCode;
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::config::keys::{self, KEYS, Key, Kind};
use crate::config::topic_settings;
use crate::cores::{ClusterView, Core};

pub const VERSIONS: RangeInclusive<i16> = 1..=4;

/// Resource types. Source: `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// What a topic's configs may take in an answer, as structures and as bytes: some 35 of 500 bytes.
const TOPIC_SIZE_BYTES: usize = 16 << 10;
/// The same of a broker's: some 300.
const BROKER_SIZE_BYTES: usize = 128 << 10;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeConfigsRequest,
) -> Result<DescribeConfigsResponse, Refusal> {
    let core = &context.core;
    let answer_size = |resource: &DescribeConfigsResource| match resource.resource_type {
        TOPIC => TOPIC_SIZE_BYTES,
        _ => BROKER_SIZE_BYTES,
    };
    context.check_granted(request.resources.iter().map(answer_size).sum())?;
    let view = core.view();
    let results = request
        .resources
        .iter()
        .map(|resource| {
            let described = describe(core, &view, resource);
            let (error, message, mut configs) = match described {
                // Kafka's text of "no error" is empty, not null.
                Ok(configs) => (ErrorCode::None, Some("".into()), configs),
                Err((error, message)) => (error, Some(message.into()), Vec::new()),
            };
            if !request.include_synonyms {
                configs.iter_mut().for_each(|config| config.synonyms.clear());
            }
            DescribeConfigsResult {
                error_code: error.into(),
                error_message: message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                configs,
            }
        })
        .collect();
    Ok(DescribeConfigsResponse { results, ..Default::default() })
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, String)>;

fn describe(core: &Core, view: &ClusterView, resource: &DescribeConfigsResource) -> Described {
    let name = resource.resource_name.as_str();
    let wanted = |config: &str| {
        let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        keys.is_none_or(|keys| keys.iter().any(|key| key == config))
    };
    match resource.resource_type {
        TOPIC => {
            if let Err(invalid) = check_topic_name(name) {
                return Err((ErrorCode::InvalidTopicException, invalid.to_string()));
            }
            if view.image.topic_by_name(name).is_none() {
                let message = format!("topic {name} does not exist");
                return Err((ErrorCode::UnknownTopicOrPartition, message));
            }
            let own = view.image.config(&ConfigResource::topic(name)).map(|own| &**own);
            let configs = TOPIC_CONFIGS.iter().filter(|config| wanted(config.name));
            Ok(configs.map(|config| topic_entry(core, view, own, config)).collect())
        }
        BROKER => {
            let own_id = core.node.config.node_id.to_string();
            if name.is_empty() {
                // The cluster-wide defaults: only what was set dynamically, which nothing is.
                return Ok(Vec::new());
            }
            if name != own_id {
                let message = format!("this is broker {own_id}, not {name}");
                return Err((ErrorCode::InvalidRequest, message));
            }
            Ok(KEYS
                .iter()
                .filter(|key| wanted(key.name))
                .map(|key| broker_entry(core, key))
                .collect())
        }
        other => {
            let message = format!("resource type {other} is not supported");
            Err((ErrorCode::InvalidRequest, message))
        }
    }
}

fn topic_entry(
    core: &Core,
    view: &ClusterView,
    own: Option<&Configs>,
    config: &'static TopicConfig,
) -> DescribeConfigsResourceResult {
    let file = &core.node.config.properties;
    let effective = view.defaults.effective(&view.image, own, config);
    let mut synonyms = Vec::new();
    let mut synonym = |name: &str, value: &str, source: ConfigSource| {
        synonyms.push(DescribeConfigsSynonym {
            name: name.into(),
            value: Some(value.into()),
            source: source as i8,
        });
    };
    if let Some(value) = own.and_then(|own| own.get(config.name)) {
        synonym(config.name, value, ConfigSource::Topic);
    }
    let broker_name = topic_config::broker_name(config.name);
    let cluster = view.image.config(&ConfigResource::cluster());
    if let Some(value) = cluster.and_then(|cluster| cluster.get(broker_name)) {
        synonym(broker_name, value, ConfigSource::DynamicDefaultBroker);
    }
    for key in topic_settings::synonyms(config.name) {
        if let Some(value) = file.value(key) {
            synonym(key, value, ConfigSource::StaticBroker);
        }
    }
    if let Some(default) = keys::find(broker_name).and_then(|key| key.default) {
        synonym(broker_name, default, ConfigSource::Default);
    }
    DescribeConfigsResourceResult {
        name: config.name.into(),
        value: Some(effective.value),
        read_only: false,
        config_source: effective.source as i8,
        is_sensitive: false,
        synonyms,
        config_type: topic_type(config.kind),
        documentation: None,
    }
}

fn broker_entry(core: &Core, key: &Key) -> DescribeConfigsResourceResult {
    let set = core.node.config.properties.value(key.name);
    let is_sensitive = key.kind == Kind::Password;
    let shown = |value: Option<&str>| value.filter(|_| !is_sensitive).map(Into::into);
    let set_synonym = set.map(|value| (Some(value), ConfigSource::StaticBroker));
    let default_synonym = key.default.map(|value| (Some(value), ConfigSource::Default));
    DescribeConfigsResourceResult {
        name: key.name.into(),
        value: shown(set.or(key.default)),
        // Nothing can be altered while running yet.
        read_only: true,
        config_source: set.map_or(ConfigSource::Default, |_| ConfigSource::StaticBroker) as i8,
        is_sensitive,
        synonyms: set_synonym
            .into_iter()
            .chain(default_synonym)
            .map(|(value, source)| DescribeConfigsSynonym {
                name: key.name.into(),
                value: shown(value),
                source: source as i8,
            })
            .collect(),
        config_type: broker_type(key.kind),
        documentation: None,
    }
}

/// Numbers of the types. Source: `DescribeConfigsResponse.ConfigType`.
fn broker_type(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String => 2,
        Kind::Int => 3,
        Kind::Short => 4,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
        Kind::Class => 8,
        Kind::Password => 9,
    }
}

fn topic_type(kind: topic_config::Kind) -> i8 {
    use topic_config::Kind as Topic;
    broker_type(match kind {
        Topic::Boolean => Kind::Boolean,
        Topic::Int { .. } | Topic::IntOrMinusOne { .. } => Kind::Int,
        Topic::Long { .. } => Kind::Long,
        Topic::Double { .. } => Kind::Double,
        Topic::OneOf(_) => Kind::String,
        Topic::ListOf(_) | Topic::ThrottledReplicas => Kind::List,
    })
}
