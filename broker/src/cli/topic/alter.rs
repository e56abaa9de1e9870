//! `millrace topic alter`.

use anyhow::Result;
use client::{Cluster, check};
use protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use serde_json::json;

use crate::cli::alteration::Alteration;
use crate::cli::configs::{Change, Resource, change, key_and_value};

/// Give a topic more partitions, or another configuration.
///
/// Keys of records go to other partitions than before when partitions are added, and partitions are
/// never taken away.
///
/// Example: millrace topic alter orders --partitions 16 --config retention.ms=86400000
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Alter {
    name: String,
    /// How many partitions it has then.
    #[arg(short, long, value_name = "COUNT", group = "what",
          value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A configuration to set; may be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", group = "what",
          value_parser = key_and_value)]
    configs: Vec<(String, String)>,
    /// A configuration that is the broker's again; may be given several times.
    #[arg(long, value_name = "KEY", group = "what")]
    unset: Vec<String>,
    #[command(flatten)]
    alteration: Alteration,
}

impl Alter {
    /// Configurations come first: what the cluster refuses of them leaves the partitions alone.
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.alteration.bootstrap.connect()?;
        let set = self.configs.iter().map(|(key, value)| Change::Set(key, value));
        let changes: Vec<Change<'_>> =
            set.chain(self.unset.iter().map(|key| Change::Unset(key))).collect();
        if !changes.is_empty() {
            change(&mut cluster, Resource::Topic(&self.name), &changes, self.alteration.dry_run)?;
        }
        if let Some(count) = self.partitions {
            self.grow(&mut cluster, count)?;
        }
        self.alteration.tell(&format!("Topic {}", self.name), "", json!({ "name": self.name }))
    }

    fn grow(&self, cluster: &mut Cluster, count: i32) -> Result<()> {
        let topic = CreatePartitionsTopic { name: (&self.name).into(), count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: self.alteration.bootstrap.timeout_ms(),
            validate_only: self.alteration.dry_run,
        };
        let response = cluster.call(&request)?;
        for result in &response.results {
            let what = format!("giving topic {:?} {count} partitions", self.name);
            check(&what, result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }
}
