//! `server.properties`: Kafka's text format, its keys, and the typed configuration made of them.

mod broker_config;
pub mod keys;
mod listener;
mod memory;
mod properties;
pub mod topic_settings;

pub use broker_config::{BrokerConfig, ConfigError, Loaded};
pub use listener::{Endpoint, Listener, ListenerError};
pub use memory::{
    MemoryFloor, MemoryShares, SMALL_FRAME_SIZE_BYTES_MAX, SMALL_FRAMES_PART, TooLittleMemory,
};
pub use properties::{Properties, PropertiesError};
