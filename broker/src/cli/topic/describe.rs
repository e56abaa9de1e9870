//! `millrace topic describe`.

use std::collections::BTreeMap;

use anyhow::Result;
use client::{ClientError, Cluster, check};
use protocol::error_code::ErrorCode;
use protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use serde_json::{Value, json};

use crate::cli::bootstrap::Bootstrap;
use crate::cli::configs::{self, OF_THE_TOPIC, Resource};
use crate::cli::offsets::{At, offsets};
use crate::cli::output::{Output, all_went_well};
use crate::cli::table::Table;

/// Show topics: partitions, leaders, replicas, offsets, and configurations of their own.
///
/// Example: millrace topic describe orders --json
#[derive(clap::Args)]
pub struct Describe {
    /// Their names; without any, all topics but the cluster's own.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print an object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// A topic and what is not in its metadata.
struct Described {
    name: String,
    topic: MetadataResponseTopic,
    /// By partition; those without a leader have none.
    start_offsets: BTreeMap<i32, i64>,
    end_offsets: BTreeMap<i32, i64>,
    configs: BTreeMap<String, String>,
}

impl Describe {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let asked = (!names.is_empty()).then_some(names.as_slice());
        let mut topics = cluster.metadata(asked)?.topics;
        topics.retain(|topic| asked.is_some() || !topic.is_internal);
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let mut output = Output::stdout();
        let mut failures = Vec::new();
        for (index, topic) in topics.into_iter().enumerate() {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            if let Err(error) = check(&format!("topic {name:?}"), topic.error_code, None) {
                failures.push(explained(&error));
                continue;
            }
            let described = Described::ask(&mut cluster, name)?;
            if self.json {
                output.line(&described.json().to_string())?;
            } else {
                output.write(if index > 0 { b"\n" } else { b"" })?;
                output.write(described.text().as_bytes())?;
            }
        }
        output.flush()?;
        all_went_well(&failures)
    }
}

fn explained(error: &ClientError) -> String {
    match error.code() {
        Some(ErrorCode::UnknownTopicOrPartition) => {
            format!("{error}: there is no such topic; millrace topic list shows those there are")
        }
        _ => error.to_string(),
    }
}

impl Described {
    /// What the metadata say of leaders may be older than what the leaders say of themselves.
    fn ask(cluster: &mut Cluster, name: String) -> Result<Described> {
        let (topic, start_offsets, end_offsets) = cluster.retry(|cluster| {
            let mut topics = cluster.metadata(Some(&[&name]))?.topics;
            let mut topic = topics.pop().unwrap_or_default();
            check(&format!("topic {name:?}"), topic.error_code, None)?;
            topic.partitions.sort_by_key(|partition| partition.partition_index);
            let start_offsets = offsets(cluster, &name, &topic.partitions, At::Beginning)?;
            let end_offsets = offsets(cluster, &name, &topic.partitions, At::End)?;
            Ok((topic, start_offsets, end_offsets))
        })?;
        let configs = configs::describe(cluster, Resource::Topic(&name), &[])?
            .into_iter()
            .filter(|config| config.config_source == OF_THE_TOPIC)
            .map(|config| (config.name.into(), config.value.map_or_else(String::new, Into::into)))
            .collect();
        Ok(Described { name, topic, start_offsets, end_offsets, configs })
    }

    fn json(&self) -> Value {
        let partition = |partition: &MetadataResponsePartition| {
            let index = partition.partition_index;
            json!({
                "partition": index,
                "leader": known(partition.leader_id),
                "leader_epoch": known(partition.leader_epoch),
                "replicas": partition.replica_nodes,
                "isr": partition.isr_nodes,
                "offline_replicas": partition.offline_replicas,
                "start_offset": self.start_offsets.get(&index),
                "end_offset": self.end_offsets.get(&index),
            })
        };
        json!({
            "name": self.name,
            "id": self.topic.topic_id.to_string(),
            "internal": self.topic.is_internal,
            "configs": self.configs,
            "partitions": self.topic.partitions.iter().map(partition).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}  {}\n", self.name, self.topic.topic_id);
        for (key, value) in &self.configs {
            text.push_str(&format!("  {key}={value}\n"));
        }
        let mut table = Table::new(&[
            "PARTITION",
            "LEADER",
            "EPOCH",
            "REPLICAS",
            "ISR",
            "OFFLINE",
            "START",
            "END",
        ]);
        for partition in &self.topic.partitions {
            let index = partition.partition_index;
            let number = |it: Option<i64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
            let nodes = |ids: &[i32]| match ids {
                [] => "-".to_owned(),
                ids => ids.iter().map(i32::to_string).collect::<Vec<_>>().join(","),
            };
            table.row([
                index.to_string(),
                number(known(partition.leader_id).map(i64::from)),
                number(known(partition.leader_epoch).map(i64::from)),
                nodes(&partition.replica_nodes),
                nodes(&partition.isr_nodes),
                nodes(&partition.offline_replicas),
                number(self.start_offsets.get(&index).copied()),
                number(self.end_offsets.get(&index).copied()),
            ]);
        }
        text + &table.text()
    }
}

/// The wire's -1 is nothing.
fn known(id: i32) -> Option<i32> {
    (id >= 0).then_some(id)
}
