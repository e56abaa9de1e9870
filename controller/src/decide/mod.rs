//! Decisions: a request and the state become records and a response. Nothing here changes state;
//! replaying the records does.

mod alter_configs;
mod assign_replicas_to_dirs;
mod bootstrap;
mod brokers;
mod check_broker_configs;
mod create_partitions;
mod create_topics;
mod decision;
mod delete_topics;
mod draw;
mod leadership;
mod partition_change;
mod placement;
mod producer_ids;
mod sessions;
mod settings;
mod topic_name;

pub use alter_configs::{alter_configs, incremental_alter_configs};
pub use assign_replicas_to_dirs::assign_replicas_to_dirs;
pub use bootstrap::{bootstrap_feature_records, bootstrap_records};
pub use brokers::{broker_heartbeat, broker_registration};
pub use create_partitions::create_partitions;
pub use create_topics::create_topics;
pub use decision::{Decision, Now, RECORDS_PER_DECISION_MAX, Refusal, View};
pub use delete_topics::delete_topics;
pub use draw::Draw;
pub use leadership::fence_broker;
pub use producer_ids::{PRODUCER_ID_BLOCK_LENGTH, allocate_producer_ids};
pub use sessions::Sessions;
pub use settings::Settings;
pub use topic_name::{InvalidTopicName, TOPIC_NAME_LENGTH_MAX, check_topic_name};
