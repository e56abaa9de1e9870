//! `millrace log-dirs` and `millrace quorum`.

use super::{Cli, topics::ready};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::PathBuf;

const TOPIC: &str = "where-it-lies";

pub fn log_dirs(cli: &Cli, directories: &[PathBuf]) -> Result<()> {
    ready(cli, TOPIC, "2")?;
    let finished =
        cli.run(&["produce", TOPIC, "--partition", "1"], &"0123456789\n".repeat(1000))?;
    finished.success()?;
    let shown = cli.json(&["log-dirs", TOPIC])?;
    ensure!(shown.len() == directories.len(), "{shown:?}");
    let mut sizes = Vec::new();
    for directory in &shown {
        let path = directory["directory"].as_str().context("directory")?;
        ensure!(directories.contains(&PathBuf::from(path)), "{directory}");
        let is_online = directory["error"].is_null() && directory["cordoned"] == false;
        ensure!(is_online && directory["broker"] == 1, "{directory}");
        let bytes =
            |key: &str| directory[key].as_u64().with_context(|| format!("{key}: {directory}"));
        ensure!(bytes("free_bytes")? <= bytes("total_bytes")?, "{directory}");
        for partition in directory["partitions"].as_array().context("partitions")? {
            ensure!(partition["topic"] == TOPIC && partition["is_future"] == false, "{partition}");
            sizes.push((partition["partition"].as_i64(), partition["size_bytes"].as_u64()));
        }
    }
    sizes.sort_unstable();
    let [(Some(0), Some(0)), (Some(1), Some(size @ 10_000..))] = sizes[..] else {
        anyhow::bail!("{sizes:?}")
    };
    ensure!(shown.iter().any(|directory| directory["size_bytes"] == size), "{size}: {shown:?}");

    let table = cli.text(&["log-dirs", "--broker", "1"])?;
    ensure!(table.lines().count() == 1 + directories.len(), "{table}");
    ensure!(table.contains(" online "), "{table}");
    let table = cli.text(&["log-dirs", TOPIC, "--partitions"])?;
    ensure!(table.lines().skip(1).all(|line| line.contains(TOPIC)), "{table}");
    ensure!(table.lines().count() == 3, "{table}");

    let all = cli.json(&["log-dirs"])?;
    let listed = all.iter().flat_map(|it| it["partitions"].as_array()).flatten();
    ensure!(listed.into_iter().any(|it| it["topic"] != TOPIC), "only {TOPIC} is shown: {all:?}");
    for (arguments, code, why) in [
        (&["log-dirs", "no-such-topic"][..], 1, "UNKNOWN_TOPIC_OR_PARTITION"),
        (&["log-dirs", "--broker", "77"], 1, "running are: 1"),
        (&["log-dirs", "--broker", "one"], 2, "--broker"),
    ] {
        cli.fails(arguments, code, why)?;
    }
    cli.text(&["topic", "delete", TOPIC]).map(drop)
}

pub fn quorum(cli: &Cli, has_directory_ids: bool) -> Result<()> {
    let shown = cli.json(&["quorum"])?;
    let [quorum] = shown.as_slice() else { anyhow::bail!("{shown:?}") };
    ensure!(quorum["leader"] == 1 && quorum["leader_epoch"].as_i64() >= Some(1), "{quorum}");
    ensure!(quorum["cluster_id"].as_str().is_some_and(|id| id.len() == 22), "{quorum}");
    let replicas = quorum["replicas"].as_array().context("replicas")?;
    let [leader] = replicas.as_slice() else { anyhow::bail!("{quorum}") };
    for (field, want) in [("node", json!(1)), ("role", json!("leader")), ("lag", json!(0))] {
        ensure!(leader[field] == want, "{field}: {leader}");
    }
    ensure!(leader["directory_id"].is_string() == has_directory_ids, "{leader}");
    let (end, high) = (leader["log_end_offset"].as_i64(), quorum["high_watermark"].as_i64());
    ensure!(high.is_some_and(|high| high > 0) && end >= high, "{quorum}");
    ensure!(leader["last_caught_up_ms"].as_i64() > Some(1_600_000_000_000), "{leader}");

    let text = cli.text(&["quorum"])?;
    ensure!(text.contains("\nleader          1 in epoch "), "{text}");
    let row = text.lines().last().unwrap_or_default();
    ensure!(row.split_whitespace().take(2).eq(["1", "leader"]), "{text}");
    ensure!(row.contains("0 ms ago"), "{text}");
    cli.fails(&["quorum", "now"], 2, "unexpected argument")
}
