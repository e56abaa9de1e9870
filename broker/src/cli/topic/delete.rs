//! `millrace topic delete`.

use anyhow::Result;
use client::check;
use protocol::error_code::ErrorCode;
use protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use serde_json::json;

use crate::cli::bootstrap::Bootstrap;
use crate::cli::output::{Output, all_went_well};

/// Delete topics with all their records. Nothing brings them back.
///
/// Example: millrace topic delete orders payments
#[derive(clap::Args)]
pub struct Delete {
    /// Their names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Do not fail for a topic that is not there.
    #[arg(long)]
    if_exists: bool,
    /// Print an object a line for each topic that was deleted.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Delete {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        // Which of the two fields is sent depends on the version: KIP-516.
        let named = |name: &String| DeleteTopicState {
            name: Some(name.into()),
            ..DeleteTopicState::default()
        };
        let request = DeleteTopicsRequest {
            topics: self.names.iter().map(named).collect(),
            timeout_ms: self.bootstrap.timeout_ms(),
            ..DeleteTopicsRequest::default()
        };
        let response = cluster.call(&request)?;
        let mut output = Output::stdout();
        let mut failures = Vec::new();
        for topic in &response.responses {
            let name = topic.name.as_deref().unwrap_or_default();
            let is_missing = topic.error_code == ErrorCode::UnknownTopicOrPartition.code();
            if is_missing && self.if_exists {
                continue;
            }
            let what = format!("deleting topic {name:?}");
            match check(&what, topic.error_code, topic.error_message.as_deref()) {
                Ok(()) if self.json => {
                    let line = json!({ "name": name, "id": topic.topic_id.to_string() });
                    output.line(&line.to_string())?;
                }
                Ok(()) => output.line(&format!("Deleted topic {name}."))?,
                Err(error) => failures.push(error.to_string()),
            }
        }
        output.flush()?;
        all_went_well(&failures)
    }
}
