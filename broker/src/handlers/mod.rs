//! One file per Kafka API, and the one table that lists them.

mod alter_configs;
mod api_versions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod fetch;
mod find_coordinator;
mod incremental_alter_configs;
mod init_producer_id;
mod list_config_resources;
mod list_offsets;
mod metadata;
mod operations;
mod produce;
mod request;
mod route;
mod table;

pub use request::{Answer, Refusal, RequestContext, serve};
