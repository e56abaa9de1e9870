//! The configuration: every key, and whether a start would take them all.

use std::path::Path;

use reactor::host;

use super::super::load::Source;
use super::finding::Findings;
use crate::config::{BrokerConfig, MemoryShares};

/// Loads what a start would load; `None` where it would refuse.
pub fn check(source: &Source, file: Option<&Path>) -> (Option<BrokerConfig>, Findings) {
    let mut findings = Findings::default();
    let loaded = match source.load(file) {
        Ok(loaded) => loaded,
        Err(error) => {
            findings.broken(format!("{error:#}"), "change what it names: a start refuses it");
            return (None, findings);
        }
    };
    let config = loaded.config;
    let name = file.map_or_else(|| "the default configuration".into(), Path::to_string_lossy);
    findings.fine(format!(
        "{name}: node {}, {} with clients told of {}",
        config.node_id, config.listener, config.advertised
    ));
    for warning in loaded.warnings {
        findings
            .warning(warning, "take these keys out where their effect is expected, or let them be");
    }
    let cores = config.core_count.unwrap_or_else(host::cpu_count);
    match MemoryShares::node_size_bytes(&config, cores, host::memory_size_bytes()) {
        Ok(bytes) => findings.fine(format!("{} MiB of memory for {cores} cores", bytes >> 20)),
        Err(error) => findings.broken(error.to_string(), "as it says: a start refuses it"),
    }
    if config.properties.value("millrace.durability") == Some("written") {
        findings.warning(
            "millrace.durability=written: a host that loses power loses what was acknowledged last",
            "set millrace.durability=flushed where that matters",
        );
    }
    (Some(config), findings)
}
