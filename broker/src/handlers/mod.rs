//! One file per Kafka API, and the one table that lists them.

mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod api_versions;
mod create_partitions;
mod create_topics;
mod current_leader;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod incremental_alter_configs;
mod init_producer_id;
mod list_config_resources;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod request;
mod route;
mod table;
mod unregister_broker;
mod update_features;

pub use fetch::FetchSessions;
pub use request::{Answer, Refusal, RequestContext, Served, serve};
pub use table::served_apis;
