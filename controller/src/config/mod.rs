//! Configurations: the one table of every key, and the layers that values come from.

mod check;
mod group_keys;
mod key;
mod layers;
mod node_keys;
mod search;
mod topic_keys;

pub use check::{InvalidConfig, check_node, check_topic};
pub use group_keys::{CLIENT_METRICS_KEYS, GROUP_KEYS};
pub use key::{Effect, Expected, Importance, Key, Kind, Range, Scope};
pub use layers::{ConfigSource, NodeLayers, Synonym, TopicValue};
pub use node_keys::{DYNAMIC_ONLY, NODE_KEYS};
pub use search::{nearest, node_key, node_keys, topic_key};
pub use topic_keys::TOPIC_KEYS;
