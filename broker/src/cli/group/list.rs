//! `millrace group list`.

use anyhow::Result;
use client::{Cluster, check};
use protocol::messages::list_groups::{ListGroupsRequest, ListedGroup};
use serde_json::json;

use crate::cli::bootstrap::Bootstrap;
use crate::cli::brokers::brokers;
use crate::cli::output::{Output, all_went_well};
use crate::cli::table::Table;

/// List groups.
///
/// Example: millrace group list --state Stable
#[derive(clap::Args)]
pub struct List {
    /// Those in this state alone, as Stable or Empty; may be given several times.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// Those of this type alone: classic or consumer; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Print an object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl List {
    /// A broker that does not answer fails the command; the groups of the others are shown all the same.
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let (mut groups, failures) = groups(&mut cluster)?;
        let among = |wanted: &[String], it: &str| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(it))
        };
        groups.retain(|(group, _)| {
            among(&self.states, &group.group_state) && among(&self.types, &group.group_type)
        });
        let mut table = Table::new(&["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"]);
        let mut output = Output::stdout();
        for (group, broker_id) in &groups {
            let known = |it: &str| if it.is_empty() { "-".to_owned() } else { it.to_owned() };
            if self.json {
                let line = json!({
                    "group": group.group_id.as_str(),
                    "state": group.group_state.as_str(),
                    "type": group.group_type.as_str(),
                    "protocol_type": group.protocol_type.as_str(),
                    "coordinator": broker_id,
                });
                output.line(&line.to_string())?;
            } else {
                table.row([
                    group.group_id.to_string(),
                    known(&group.group_state),
                    known(&group.group_type),
                    known(&group.protocol_type),
                    broker_id.to_string(),
                ]);
            }
        }
        if !self.json && !groups.is_empty() {
            output.write(table.text().as_bytes())?;
        }
        output.flush()?;
        all_went_well(&failures)
    }
}

/// A group with the broker that coordinates it.
type Listed = (ListedGroup, i32);

/// All groups in the order of their names; and what failed.
pub fn groups(cluster: &mut Cluster) -> Result<(Vec<Listed>, Vec<String>)> {
    let mut groups = Vec::new();
    let mut failures = Vec::new();
    for broker_id in brokers(cluster, None)? {
        // Filters are younger than the rest: whoever wants some of them looks through all.
        let listed = cluster.retry(|cluster| {
            let request = ListGroupsRequest::default();
            let response = cluster.call_broker(broker_id, &request, i16::MAX)?;
            check(&format!("groups of broker {broker_id}"), response.error_code, None)?;
            Ok(response.groups)
        });
        match listed {
            Ok(listed) => groups.extend(listed.into_iter().map(|group| (group, broker_id))),
            Err(error) => failures.push(format!("{:#}", anyhow::Error::new(error))),
        }
    }
    groups.sort_by(|(a, _), (b, _)| a.group_id.cmp(&b.group_id));
    Ok((groups, failures))
}
