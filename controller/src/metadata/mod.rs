//! Cluster metadata: the image that is the fold of the metadata log's records.
//!
//! Sections of the image are shared between its versions (`Arc`); a record copies what it changes.

mod batch;
mod brokers;
mod client_quotas;
mod configs;
mod delta;
mod features;
mod fold;
mod image;
mod partition;
mod shared_map;
mod topics;

pub use batch::{BatchContent, MetadataBatch, MetadataBatchError, decode_batch, encode_batch};
pub use brokers::{Broker, ControllerNode, FeatureRange, Listener};
pub use client_quotas::{
    CLIENT_ID, ClientQuotas, EntityName, IP, Quota, QuotaEntity, Quotas, USER, UnknownEntityType,
};
pub use configs::{ConfigResource, Configs, ResourceType};
pub use delta::{MetadataDelta, RemovedTopic};
pub use features::{
    ELR_VERSION, GROUP_VERSION, KRAFT_VERSION, METADATA_VERSION, METADATA_VERSION_MAX,
    METADATA_VERSION_MIN, SHARE_VERSION, STREAMS_VERSION, SUPPORTED_FEATURES, TRANSACTION_VERSION,
    metadata_changed_since, metadata_version_name,
};
pub use fold::Fold;
pub use image::{MetadataImage, ReplayError};
pub use partition::{LeaderRecoveryState, Partition, PartitionChange};
pub use shared_map::SharedMap;
pub use topics::{Topic, Topics};
