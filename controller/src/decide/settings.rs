//! What the configuration file says to the controller.

use std::collections::BTreeMap;

use protocol::model::BrokerId;
use protocol::wire::WireString;

use crate::metadata::topic_config::{self, TOPIC_CONFIGS, TopicConfig};
use crate::metadata::{ConfigResource, Configs, MetadataImage};

/// Settings of the cluster and of this controller, from `server.properties` and `meta.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub cluster_id: String,
    /// The broker in this very process, when the node has both roles. The lock on its directories
    /// says that no former incarnation of it is alive, so its registration waits for no session.
    pub local_broker: Option<BrokerId>,
    /// `num.partitions`
    pub partitions_default: i32,
    /// `default.replication.factor`
    pub replication_factor_default: i16,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `broker.session.timeout.ms`
    pub broker_session_timeout_ms: u64,
    /// Topic configurations that the broker's file gives another default, by the topic's name of
    /// them (`retention.ms` for `log.retention.ms`).
    pub topic_defaults: BTreeMap<&'static str, String>,
}

impl Default for Settings {
    /// Kafka's defaults, and no cluster.
    fn default() -> Self {
        Settings {
            cluster_id: String::new(),
            local_broker: None,
            partitions_default: 1,
            replication_factor_default: 1,
            delete_topic_enable: true,
            broker_session_timeout_ms: 9_000,
            topic_defaults: BTreeMap::new(),
        }
    }
}

/// Where a configuration's value comes from; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

/// A configuration's effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefault {
    pub name: &'static str,
    pub value: WireString,
    pub source: ConfigSource,
}

impl Settings {
    /// What a topic inherits for `config` when it does not set it.
    pub fn default_of<'a>(&'a self, config: &TopicConfig) -> &'a str {
        self.topic_defaults.get(config.name).map_or(config.default, String::as_str)
    }

    /// The value of a topic's configuration: its own, else that of the cluster's dynamic defaults,
    /// else of the file, else Kafka's.
    pub fn effective(
        &self,
        image: &MetadataImage,
        own: Option<&Configs>,
        config: &'static TopicConfig,
    ) -> TopicDefault {
        let cluster = image.config(&ConfigResource::cluster());
        let found = |configs: Option<&Configs>, name: &str| {
            configs.and_then(|configs| configs.get(name)).map(|value| (**value).into())
        };
        let (value, source) = if let Some(value) = found(own, config.name) {
            (value, ConfigSource::Topic)
        } else if let Some(value) =
            found(cluster.map(|configs| &**configs), topic_config::broker_name(config.name))
        {
            (value, ConfigSource::DynamicDefaultBroker)
        } else if let Some(value) = self.topic_defaults.get(config.name) {
            (value.into(), ConfigSource::StaticBroker)
        } else {
            (WireString::from_static(config.default), ConfigSource::Default)
        };
        TopicDefault { name: config.name, value, source }
    }

    /// All configurations of a topic that sets `own`.
    pub fn all_effective(&self, image: &MetadataImage, own: Option<&Configs>) -> Vec<TopicDefault> {
        TOPIC_CONFIGS.iter().map(|config| self.effective(image, own, config)).collect()
    }

    /// The number that `name` has for a topic that sets `own`; `None` if it is no number.
    pub fn number(&self, image: &MetadataImage, own: Option<&Configs>, name: &str) -> Option<i64> {
        let config = topic_config::find(name)?;
        self.effective(image, own, config).value.trim().parse().ok()
    }

    pub fn flag(&self, image: &MetadataImage, own: Option<&Configs>, name: &str) -> bool {
        topic_config::find(name).is_some_and(|config| {
            self.effective(image, own, config).value.trim().eq_ignore_ascii_case("true")
        })
    }
}
