//! `millrace topic create`.

use anyhow::Result;
use client::check;
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use serde_json::json;

use crate::cli::bootstrap::Bootstrap;
use crate::cli::configs::key_and_value;
use crate::cli::output::{Output, all_went_well};

/// What the broker's own defaults (num.partitions, default.replication.factor) decide.
const BY_DEFAULT: i32 = -1;

/// Create topics.
///
/// Example: millrace topic create orders --partitions 8 --config retention.ms=86400000
#[derive(clap::Args)]
pub struct Create {
    /// Their names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How many partitions each has; without it the cluster's num.partitions.
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many brokers keep each partition; without it the cluster's default.replication.factor.
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A configuration of the topics; may be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_and_value)]
    configs: Vec<(String, String)>,
    /// Leave a topic that exists already as it is, instead of failing.
    #[arg(long)]
    if_not_exists: bool,
    /// Only say whether the cluster would do it.
    #[arg(long)]
    dry_run: bool,
    /// Print an object a line for each topic that was created.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Create {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let config = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
        };
        let topic = |name: &String| CreatableTopic {
            name: name.into(),
            num_partitions: self.partitions.unwrap_or(BY_DEFAULT),
            replication_factor: self.replication_factor.unwrap_or(BY_DEFAULT as i16),
            assignments: Vec::new(),
            configs: self.configs.iter().map(config).collect(),
        };
        let request = CreateTopicsRequest {
            topics: self.names.iter().map(topic).collect(),
            timeout_ms: self.bootstrap.timeout_ms(),
            validate_only: self.dry_run,
        };
        let response = cluster.call(&request)?;
        let mut output = Output::stdout();
        let mut failures = Vec::new();
        for topic in &response.topics {
            let what = format!("creating topic {:?}", &*topic.name);
            let exists = topic.error_code == ErrorCode::TopicAlreadyExists.code();
            if exists && self.if_not_exists {
                continue;
            }
            match check(&what, topic.error_code, topic.error_message.as_deref()) {
                Ok(()) if self.json => output.line(
                    &json!({
                        "name": &*topic.name,
                        "id": topic.topic_id.to_string(),
                        "partitions": topic.num_partitions,
                        "replication_factor": topic.replication_factor,
                    })
                    .to_string(),
                )?,
                Ok(()) if self.dry_run => {
                    output.line(&format!("Topic {} could be created.", &*topic.name))?;
                }
                Ok(()) => output.line(&format!(
                    "Created topic {} with {} partition{}, each on {} broker{}.",
                    &*topic.name,
                    topic.num_partitions,
                    if topic.num_partitions == 1 { "" } else { "s" },
                    topic.replication_factor,
                    if topic.replication_factor == 1 { "" } else { "s" },
                ))?,
                Err(error) if exists => {
                    failures.push(format!("{error} (--if-not-exists leaves it as it is)"));
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        output.flush()?;
        all_went_well(&failures)
    }
}
