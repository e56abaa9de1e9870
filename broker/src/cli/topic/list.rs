//! `millrace topic list`.

use anyhow::Result;
use client::check;
use serde_json::json;

use crate::cli::bootstrap::Bootstrap;
use crate::cli::output::Output;
use crate::cli::table::Table;

/// List topics.
///
/// Example: millrace topic list --bootstrap-server broker-1:9092,broker-2:9092
#[derive(clap::Args)]
pub struct List {
    /// Those of the cluster itself too, such as __consumer_offsets.
    #[arg(long)]
    internal: bool,
    /// Print an object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl List {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let mut topics = cluster.metadata(None)?.topics;
        topics.retain(|topic| self.internal || !topic.is_internal);
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS", "ID"]);
        let mut output = Output::stdout();
        for topic in &topics {
            let name = topic.name.as_deref().unwrap_or_default();
            check(&format!("topic {name:?}"), topic.error_code, None)?;
            let replicas = topic.partitions.iter().map(|it| it.replica_nodes.len()).max();
            let (partitions, replicas) = (topic.partitions.len(), replicas.unwrap_or(0));
            let id = topic.topic_id.to_string();
            if self.json {
                let line = json!({
                    "name": name,
                    "id": id,
                    "internal": topic.is_internal,
                    "partitions": partitions,
                    "replication_factor": replicas,
                });
                output.line(&line.to_string())?;
            } else {
                table.row([name.to_owned(), partitions.to_string(), replicas.to_string(), id]);
            }
        }
        if !self.json && !topics.is_empty() {
            output.write(table.text().as_bytes())?;
        }
        output.flush()
    }
}
