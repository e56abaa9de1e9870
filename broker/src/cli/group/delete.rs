//! `millrace group delete`.

use anyhow::Result;
use client::{ClientError, Cluster, check};
use protocol::error_code::ErrorCode;
use protocol::messages::delete_groups::DeleteGroupsRequest;
use serde_json::json;

use super::coordinator;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::output::{Output, all_went_well};

/// Delete groups with the offsets that they have committed. A group that has members is left alone.
///
/// Example: millrace group delete billing audit
#[derive(clap::Args)]
pub struct Delete {
    /// Their names.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Do not fail for a group that is not there.
    #[arg(long)]
    if_exists: bool,
    /// Print an object a line for each group that was deleted.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Delete {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let mut output = Output::stdout();
        let mut failures = Vec::new();
        for group in &self.groups {
            match delete(&mut cluster, group) {
                Ok(()) if self.json => output.line(&json!({ "group": group }).to_string())?,
                Ok(()) => output.line(&format!("Deleted group {group}."))?,
                Err(error) => match error.code() {
                    Some(ErrorCode::GroupIdNotFound) if self.if_exists => {}
                    _ => failures.push(explained(&error)),
                },
            }
        }
        output.flush()?;
        all_went_well(&failures)
    }
}

fn delete(cluster: &mut Cluster, group: &str) -> Result<(), ClientError> {
    let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
    coordinator::ask(cluster, group, &request, i16::MAX, |response| {
        let result = response.results.into_iter().next().unwrap_or_default();
        check(&format!("deleting group {group:?}"), result.error_code, None)
    })
}

fn explained(error: &ClientError) -> String {
    match error.code() {
        Some(ErrorCode::GroupIdNotFound) => {
            format!("{error}: there is no such group; millrace group list shows those there are")
        }
        Some(ErrorCode::NonEmptyGroup) => {
            format!("{error}: it has members; they have to stop first")
        }
        _ => error.to_string(),
    }
}
