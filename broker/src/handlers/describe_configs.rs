//! DescribeConfigs (KIP-133, KIP-226, KIP-569): what topics, this broker, groups and subscriptions to
//! metrics are configured with, and where each value comes from. Source: `ConfigHelper`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use controller::config::{
    CLIENT_METRICS_KEYS, ConfigSource, GROUP_KEYS, Key, Kind, NodeLayers, Synonym, TOPIC_KEYS,
    node_key, node_keys, topic_key,
};
use controller::decide::check_topic_name;
use controller::metadata::{ConfigResource, Configs, MetadataImage, ResourceType};
use protocol::error_code::ErrorCode;
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::model::BrokerId;
use protocol::wire::WireString;

use super::request::{Refusal, RequestContext, RequestHead};
use crate::cores::ClusterView;

pub const VERSIONS: RangeInclusive<i16> = 1..=4;

/// The resource type of a broker's loggers, whose levels Apache Kafka keeps beside the metadata.
const BROKER_LOGGER: i8 = 8;

/// What a topic's or a group's configurations may take in an answer, as structures and as bytes: some 35
/// of 1 KiB, with synonyms and documentation.
const RESOURCE_SIZE_BYTES: usize = 40 << 10;
/// The same of a broker's: some 350.
const BROKER_SIZE_BYTES: usize = 400 << 10;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeConfigsRequest,
) -> Result<DescribeConfigsResponse, Refusal> {
    let is_broker = |resource: &DescribeConfigsResource| {
        ResourceType::from_wire(resource.resource_type) == Some(ResourceType::Broker)
    };
    let answer_size = |resource| match is_broker(resource) {
        true => BROKER_SIZE_BYTES,
        false => RESOURCE_SIZE_BYTES,
    };
    context.check_granted(request.resources.iter().map(answer_size).sum())?;
    let view = context.core.view();
    Ok(answer(&view, context.core.node.config.node_id, &request))
}

/// Each resource's configurations. One of a type that does not exist fails all of them, as in Kafka.
fn answer(
    view: &ClusterView,
    node_id: BrokerId,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let is_known = |kind| kind == BROKER_LOGGER || ResourceType::from_wire(kind).is_some();
    let unknown = request.resources.iter().find(|resource| !is_known(resource.resource_type));
    let results = request.resources.iter().map(|resource| {
        let described = match unknown {
            Some(unknown) => invalid(format!(
                "Unexpected resource type {} for resource {}",
                unknown.resource_type, unknown.resource_name
            )),
            None => describe(view, node_id, resource),
        };
        let (error, message, mut configs) = match described {
            // Kafka's text of "no error" is empty, not null.
            Ok(configs) => (ErrorCode::None, String::new(), configs),
            Err((error, message)) => (error, message, Vec::new()),
        };
        let wanted = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        configs.retain(|config| wanted.is_none_or(|keys| keys.contains(&config.name)));
        for config in &mut configs {
            if !request.include_synonyms {
                config.synonyms.clear();
            }
            if !request.include_documentation {
                config.documentation = None;
            }
        }
        DescribeConfigsResult {
            error_code: error.into(),
            error_message: Some(message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, String)>;

fn invalid(message: impl Into<String>) -> Described {
    Err((ErrorCode::InvalidRequest, message.into()))
}

fn describe(
    view: &ClusterView,
    node_id: BrokerId,
    resource: &DescribeConfigsResource,
) -> Described {
    let name = resource.resource_name.as_str();
    let layers = view.defaults.layers(&view.image);
    let own = |kind| set_by(&view.image, kind, name);
    match ResourceType::from_wire(resource.resource_type) {
        Some(ResourceType::Topic) => {
            if let Err(error) = check_topic_name(name) {
                return Err((ErrorCode::InvalidTopicException, error.to_string()));
            }
            if view.image.topic_by_name(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
            }
            Ok(topic(&layers, own(ResourceType::Topic)))
        }
        Some(ResourceType::Broker) if name.is_empty() => Ok(all_brokers(&layers)),
        Some(ResourceType::Broker) => match name.parse::<i32>() {
            Ok(id) if id == node_id.0 => Ok(broker(&layers)),
            Ok(_) => invalid(format!(
                "Unexpected broker id, expected {node_id} or empty string, but received {name}"
            )),
            Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
        },
        Some(ResourceType::ClientMetrics) if name.is_empty() => {
            invalid("Client metrics subscription name must not be empty")
        }
        Some(ResourceType::ClientMetrics) => {
            let own = own(ResourceType::ClientMetrics);
            Ok(CLIENT_METRICS_KEYS.iter().map(|key| client_metrics_entry(own, key)).collect())
        }
        Some(ResourceType::Group) if name.is_empty() => invalid("Group name must not be empty"),
        Some(ResourceType::Group) => {
            let own = own(ResourceType::Group);
            Ok(GROUP_KEYS.iter().map(|key| group_entry(&layers, own, key)).collect())
        }
        None => invalid("levels of loggers are set by RUST_LOG at the start, not by requests"),
    }
}

/// What the resource sets itself.
fn set_by<'a>(image: &'a MetadataImage, kind: ResourceType, name: &str) -> Option<&'a Configs> {
    image.config(&ConfigResource { kind, name: name.into() }).map(|configs| &**configs)
}

/// All keys of a topic that sets `own`; an internal one where it is set.
fn topic(layers: &NodeLayers<'_>, own: Option<&Configs>) -> Vec<DescribeConfigsResourceResult> {
    let internal = own.into_iter().flatten().filter_map(|(name, _)| topic_key(name));
    let internal = internal.filter(|key| !TOPIC_KEYS.iter().any(|public| public.name == key.name));
    let keys = TOPIC_KEYS.iter().chain(internal);
    let entries = keys.map(|key| {
        let layers: NodeLayers<'_> = *layers;
        let set = own.and_then(|own| own.get(key.name)).map(|set| key.shown(set));
        let value = layers.topic_value(own, key).map(|(value, _)| key.shown(&value).into_owned());
        let mut synonyms = inherited_synonyms(&layers, key);
        if let Some(value) = &set {
            let source = ConfigSource::Topic;
            synonyms.insert(0, Synonym { name: key.name, value, source });
        }
        entry(key.name, Some(key), value, &synonyms, false)
    });
    entries.collect()
}

/// All keys of this broker, and what it is given beyond them.
fn broker(layers: &NodeLayers<'_>) -> Vec<DescribeConfigsResourceResult> {
    let set = [layers.broker, layers.cluster].into_iter().flatten().flatten();
    let set = set.map(|(name, _)| &**name).chain(layers.file.keys().map(String::as_str));
    let names: BTreeSet<&str> = node_keys().map(|key| key.name).chain(set).collect();
    names.into_iter().map(|name| broker_entry(layers, name)).collect()
}

fn broker_entry(layers: &NodeLayers<'_>, name: &str) -> DescribeConfigsResourceResult {
    let key = node_key(name);
    let default = || key.filter(|key| key.name == name).and_then(|key| key.default);
    let value = layers.set(name).map(|(value, _)| value).or_else(default);
    let shown = value.map(|value| match key {
        Some(key) => key.shown(value).into_owned(),
        None => value.to_owned(),
    });
    let read_only = !key.is_some_and(Key::is_dynamic);
    entry(name, key, shown, &layers.synonyms(name), read_only)
}

/// What was set for all brokers while they run.
fn all_brokers(layers: &NodeLayers<'_>) -> Vec<DescribeConfigsResourceResult> {
    let entries = layers.cluster.into_iter().flatten().map(|(name, value)| {
        let source = ConfigSource::DynamicDefaultBroker;
        let synonym = Synonym { name, value, source };
        let key = node_key(name);
        let read_only = !key.is_some_and(Key::is_dynamic);
        entry(name, key, Some(value.to_string()), &[synonym], read_only)
    });
    entries.collect()
}

fn group_entry(
    layers: &NodeLayers<'_>,
    own: Option<&Configs>,
    key: &'static Key,
) -> DescribeConfigsResourceResult {
    let layers: NodeLayers<'_> = *layers;
    let set = own.and_then(|own| own.get(key.name));
    let inherited = layers.inherited(key).map(|(value, _)| value.into_owned());
    let value = set.map(|value| value.to_string()).or(inherited);
    let mut synonyms = inherited_synonyms(&layers, key);
    if let (true, Some(value)) = (key.synonyms.is_empty(), key.default) {
        synonyms.push(Synonym { name: key.name, value, source: ConfigSource::Default });
    }
    if let Some(value) = set {
        synonyms.insert(0, Synonym { name: key.name, value, source: ConfigSource::Group });
    }
    entry(key.name, Some(key), value, &synonyms, false)
}

fn client_metrics_entry(own: Option<&Configs>, key: &'static Key) -> DescribeConfigsResourceResult {
    let set = own.and_then(|own| own.get(key.name)).map(|value| Synonym {
        name: key.name,
        value,
        source: ConfigSource::ClientMetrics,
    });
    let value = set.map(|set| set.value).or(key.default).map(str::to_owned);
    entry(key.name, Some(key), value, set.as_slice(), false)
}

/// The values of the node's key that `key` is inherited from.
fn inherited_synonyms<'a>(layers: &NodeLayers<'a>, key: &Key) -> Vec<Synonym<'a>> {
    match key.synonyms.first() {
        Some((name, _)) => layers.synonyms(name),
        None => Vec::new(),
    }
}

/// Values of a key that is sensitive, or that nobody knows, are not shown.
fn entry(
    name: &str,
    key: Option<&Key>,
    value: Option<String>,
    synonyms: &[Synonym<'_>],
    read_only: bool,
) -> DescribeConfigsResourceResult {
    let is_sensitive = key.is_none_or(Key::is_sensitive);
    let source = synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source);
    let synonyms = synonyms.iter().map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: (!is_sensitive).then(|| synonym.value.into()),
        source: synonym.source as i8,
    });
    DescribeConfigsResourceResult {
        name: name.into(),
        value: value.filter(|_| !is_sensitive).map(Into::into),
        read_only,
        config_source: source as i8,
        is_sensitive,
        synonyms: synonyms.collect(),
        config_type: key.map_or(0, |key| type_number(key.kind)),
        documentation: key.map(|key| WireString::from_static(key.documentation())),
    }
}

/// Numbers of the types. Source: `DescribeConfigsResponse.ConfigType`.
fn type_number(kind: Kind) -> i8 {
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
