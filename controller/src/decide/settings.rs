//! What the configuration file says to the controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::model::BrokerId;

use crate::config::{NodeLayers, topic_key};
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
    /// How much of a quota of mutations may be used at once: what comes in so many seconds.
    pub mutation_burst_s: u64,
    /// `server.properties` as it is written.
    pub file: Arc<BTreeMap<String, String>>,
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
            mutation_burst_s: 11,
            file: Arc::default(),
        }
    }
}

impl Settings {
    /// What this node is configured with, with what `image` says that was set while it runs.
    pub fn layers<'a>(&'a self, image: &'a MetadataImage) -> NodeLayers<'a> {
        let own = self.local_broker.map(ConfigResource::broker);
        let set = |resource: &ConfigResource| image.config(resource).map(|configs| &**configs);
        NodeLayers {
            broker: own.as_ref().and_then(set),
            cluster: set(&ConfigResource::cluster()),
            file: &self.file,
        }
    }

    /// The number that `name` has for a topic that sets `own`; `None` if it is no number.
    pub fn number(&self, image: &MetadataImage, own: Option<&Configs>, name: &str) -> Option<i64> {
        let (value, _) = self.layers(image).topic_value(own, topic_key(name)?)?;
        value.trim().parse().ok()
    }

    pub fn flag(&self, image: &MetadataImage, own: Option<&Configs>, name: &str) -> bool {
        topic_key(name)
            .and_then(|key| self.layers(image).topic_value(own, key))
            .is_some_and(|(value, _)| value.trim().eq_ignore_ascii_case("true"))
    }
}
