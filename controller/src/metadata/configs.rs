//! Configurations that the metadata log holds, by resource.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    Topic,
    Broker,
    ClientMetrics,
    Group,
}

/// A resource; the empty broker name is the default of all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    pub kind: ResourceType,
    pub name: Arc<str>,
}

/// What one resource sets, by configuration name.
pub type Configs = BTreeMap<Arc<str>, Arc<str>>;

impl ResourceType {
    /// From Kafka's number of the type; `None` for one that no configuration can have.
    pub fn from_wire(raw: i8) -> Option<Self> {
        match raw {
            2 => Some(ResourceType::Topic),
            4 => Some(ResourceType::Broker),
            16 => Some(ResourceType::ClientMetrics),
            32 => Some(ResourceType::Group),
            _ => None,
        }
    }

    pub fn to_wire(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }
}

impl ConfigResource {
    pub fn topic(name: &str) -> Self {
        ConfigResource { kind: ResourceType::Topic, name: Arc::from(name) }
    }

    /// The default of all brokers.
    pub fn cluster() -> Self {
        ConfigResource { kind: ResourceType::Broker, name: Arc::from("") }
    }

    pub fn broker(id: protocol::model::BrokerId) -> Self {
        ConfigResource { kind: ResourceType::Broker, name: Arc::from(id.to_string()) }
    }
}
