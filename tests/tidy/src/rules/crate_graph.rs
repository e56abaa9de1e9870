//! S1: the crate graph is the architecture, and it goes one way.

use crate::{Finding, Tree};
use serde_json::Value;
use std::process::Command;

/// For each crate of ours, the crates of ours that it may depend on. A new edge is an ADR.
const EDGES: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("reactor", &[]),
    ("storage", &["protocol", "reactor"]),
    ("controller", &["protocol"]),
    ("client", &["protocol"]),
    ("broker", &["client", "controller", "protocol", "reactor", "storage"]),
    ("bench-harness", &["broker", "protocol", "reactor"]),
    ("xtask", &["protocol", "simulator", "tidy"]),
    ("simulator", &["broker", "controller", "protocol", "reactor", "storage"]),
    ("clients", &["protocol"]),
    ("cluster", &["clients"]),
    ("loom-check", &[]),
    ("tidy", &[]),
];

/// Third-party crates that stand for the world outside; only the crates named may depend on them.
const WORLD: &[(&str, &[&str])] =
    &[("glommio", &["reactor"]), ("io-uring", &["reactor"]), ("tokio", &["broker"]), ("rand", &[])];

/// Crates of the workspace depend on each other only along [`EDGES`], and on the world's along
/// [`WORLD`]. Dev-dependencies follow the first rule too: a test needs no edge that code must not have.
pub fn crates_depend_one_way(tree: &Tree) -> Vec<Finding> {
    let metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(&tree.root)
        .output();
    let packages = match metadata {
        Ok(output) if output.status.success() => {
            serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
        }
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return vec![Finding::new("Cargo.toml", 0, format!("cargo metadata: {why}"))];
        }
        Err(error) => return vec![Finding::new("Cargo.toml", 0, error.to_string())],
    };
    packages["packages"].as_array().into_iter().flatten().flat_map(edges_of).collect()
}

fn edges_of(package: &Value) -> Vec<Finding> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = format!("{name}: Cargo.toml");
    let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
        return vec![Finding::new(&manifest, 0, "a crate that the graph does not know")];
    };
    let mut found = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let on = dependency["name"].as_str().unwrap_or_default();
        let ours = EDGES.iter().any(|(known, _)| *known == on);
        let world = WORLD.iter().find(|(known, _)| *known == on);
        if ours && !allowed.contains(&on) {
            found.push(Finding::new(&manifest, 0, format!("{name} must not depend on {on}")));
        }
        if world.is_some_and(|(_, allowed)| !allowed.contains(&name)) {
            found.push(Finding::new(&manifest, 0, format!("{name} must not name {on}")));
        }
    }
    found
}
