//! The brokers of a cluster, by their ids.

use anyhow::{Result, bail};
use client::Cluster;

/// The brokers that run, or `wanted` alone; each can be asked by its id then.
/// Errors: there is no such broker, and which there are.
pub fn brokers(cluster: &mut Cluster, wanted: Option<i32>) -> Result<Vec<i32>> {
    let metadata = cluster.metadata(Some(&[]))?;
    let mut ids: Vec<i32> = metadata.brokers.iter().map(|broker| broker.node_id).collect();
    ids.sort_unstable();
    match wanted {
        None => Ok(ids),
        Some(id) if ids.contains(&id) => Ok(vec![id]),
        Some(id) => {
            let running: Vec<String> = ids.iter().map(i32::to_string).collect();
            bail!("there is no broker {id} that runs; running are: {}", running.join(", "))
        }
    }
}
