//! `server.properties`: Kafka's text format, and the typed configuration made of it. The keys themselves
//! are in `controller::config`, since the controller checks them too.

mod broker_config;
mod connections;
mod groups;
mod listener;
mod memory;
mod metadata_log;
#[cfg(test)]
mod page;
mod properties;
pub mod topic_settings;

pub use broker_config::{BrokerConfig, ConfigError, ConfigErrors, Loaded};
pub use connections::{ConnectionLimits, HostAddresses, names_to_look_up};
pub use listener::{Endpoint, Listener, ListenerError};
pub use memory::{
    MemoryFloor, MemoryShares, SMALL_FRAME_SIZE_BYTES_MAX, SMALL_FRAMES_PART, TooLittleMemory,
};
pub use metadata_log::MetadataLogConfig;
pub use properties::{Properties, PropertiesError};
