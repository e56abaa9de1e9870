//! `millrace config`.

use super::{Cli, topics::ready};
use crate::process::CLIENT_DEADLINE;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Instant;

const TOPIC: &str = "configured";
const OF_TOPIC: &[&str] = &["--topic", TOPIC];
const OF_BROKER: &[&str] = &["--broker", "1"];
const OF_CLUSTER: &[&str] = &["--cluster"];

pub fn live(cli: &Cli) -> Result<()> {
    ready(cli, TOPIC, "1")?;
    let set = |target: &[&str], configs: &[&str]| {
        cli.text(&[&["config", "set"], target, configs].concat()).map(drop)
    };
    let own = ["segment.ms=77000", "cleanup.policy=compact,delete"];
    set(OF_TOPIC, &[&own[..], &["--dry-run"]].concat())?;
    let before = described(cli, OF_TOPIC, &["segment.ms"])?;
    ensure!(before["segment.ms"]["from"] != "topic", "a trial altered it: {before}");
    set(OF_TOPIC, &own)?;
    awaits(
        cli,
        OF_TOPIC,
        &[("segment.ms", "77000", "topic"), ("cleanup.policy", "compact,delete", "topic")],
    )?;

    // What holds for all brokers stands behind the topic's own, and one broker's before that.
    set(OF_CLUSTER, &["log.retention.ms=86400001", "log.segment.bytes=2000001"])?;
    set(OF_BROKER, &["log.segment.bytes=2000002"])?;
    awaits(cli, OF_CLUSTER, &[("log.retention.ms", "86400001", "cluster")])?;
    awaits(cli, OF_BROKER, &[("log.segment.bytes", "2000002", "broker")])?;
    awaits(
        cli,
        OF_TOPIC,
        &[("retention.ms", "-1", "topic"), ("segment.bytes", "2000002", "broker")],
    )?;
    let one = described(cli, OF_TOPIC, &["segment.bytes"])?;
    let one = &one["segment.bytes"];
    let synonyms = one["synonyms"].as_array().context("synonyms")?;
    let sources: Vec<_> = synonyms.iter().map(|it| it["from"].clone()).collect();
    ensure!(sources == [json!("broker"), json!("cluster"), json!("default")], "{one}");
    ensure!(one["type"] == "int" && one["resource"] == "topic" && one["name"] == TOPIC, "{one}");
    ensure!(one["documentation"].as_str().is_some_and(|it| it.len() > 20), "{one}");

    let table = cli.text(&[&["config", "describe"], OF_TOPIC].concat())?;
    let row = table.lines().find(|line| line.starts_with("segment.ms ")).context(table.clone())?;
    ensure!(row.split_whitespace().eq(["segment.ms", "77000", "topic"]), "{table}");
    ensure!(!table.contains("default"), "{table}");
    let all = described(cli, OF_BROKER, &["--all"])?;
    ensure!(all["num.partitions"]["from"] == "file", "{}", all["num.partitions"]);
    ensure!(all["node.id"]["read_only"] == true && all["node.id"]["value"] == "1", "{all}");
    ensure!(all["num.network.threads"]["from"] == "default", "{}", all["num.network.threads"]);

    for (target, keys) in [
        (OF_TOPIC, &["segment.ms", "cleanup.policy"][..]),
        (OF_BROKER, &["log.segment.bytes"]),
        (OF_CLUSTER, &["log.segment.bytes", "log.retention.ms"]),
    ] {
        cli.text(&[&["config", "unset"], target, keys].concat())?;
    }
    awaits(cli, OF_TOPIC, &[("segment.bytes", "1073741824", "default")])?;
    let left = described(cli, OF_CLUSTER, &[])?;
    ensure!(left["log.segment.bytes"].is_null() && left["log.retention.ms"].is_null(), "{left}");
    cli.text(&["topic", "delete", TOPIC]).map(drop)
}

/// The objects of `config describe`, by key.
fn described(cli: &Cli, target: &[&str], rest: &[&str]) -> Result<Value> {
    let objects = cli.json(&[&["config", "describe"], target, rest].concat())?;
    let key = |it: &Value| it["key"].as_str().unwrap_or_default().to_owned();
    Ok(Value::Object(objects.into_iter().map(|it| (key(&it), it)).collect()))
}

/// Each `(key, value, from)` is so; Apache Kafka's broker shows it a little later.
fn awaits(cli: &Cli, target: &[&str], wanted: &[(&str, &str, &str)]) -> Result<()> {
    let until = Instant::now() + CLIENT_DEADLINE;
    loop {
        let described = described(cli, target, &["--all"])?;
        let is_so = |(key, value, from): &(&str, &str, &str)| {
            described[key]["value"] == *value && described[key]["from"] == *from
        };
        let Some((key, ..)) = wanted.iter().find(|wanted| !is_so(wanted)) else { return Ok(()) };
        ensure!(Instant::now() < until, "{target:?}: still {}", described[key]);
    }
}

/// What fails says what failed, and changes nothing.
pub fn fail(cli: &Cli) -> Result<()> {
    let set: &[&str] = &["config", "set"];
    let describe: &[&str] = &["config", "describe"];
    let missing: &[&str] = &["--topic", "configured-nowhere"];
    ready(cli, "configured-fails", "1")?;
    let fails: &[&str] = &["--topic", "configured-fails"];
    for (arguments, code, why) in [
        ([describe, missing].concat(), 1, "UNKNOWN_TOPIC_OR_PARTITION"),
        ([set, missing, &["segment.ms=77000"]].concat(), 1, "UNKNOWN_TOPIC_OR_PARTITION"),
        ([describe, fails, &["segment.mss"]].concat(), 1, "--all shows those there are"),
        ([set, fails, &["segment.ms=77000", "retention.ms=soon"]].concat(), 1, "retention.ms"),
        ([set, fails, &["no.such.key=1"]].concat(), 1, "no.such.key"),
        ([set, OF_BROKER, &["node.id=2"]].concat(), 1, "node.id"),
        ([describe, &["--broker", "77"]].concat(), 1, "running are: 1"),
        ([set, &["--broker", "77", "log.roll.ms=1"]].concat(), 1, "running are: 1"),
        (describe.to_vec(), 2, "--topic"),
        ([describe, OF_BROKER, OF_CLUSTER].concat(), 2, "cannot be used with"),
        ([describe, fails, &["segment.ms", "--all"]].concat(), 2, "cannot be used with"),
        ([set, fails].concat(), 2, "KEY=VALUE"),
        ([set, fails, &["segment.ms"]].concat(), 2, "KEY=VALUE"),
        (["config", "unset"].to_vec(), 2, "KEY"),
    ] {
        cli.fails(&arguments, code, why)?;
    }
    // None of the changes was made where one of them was refused.
    let kept = described(cli, fails, &["segment.ms"])?;
    ensure!(kept["segment.ms"]["from"] == "default", "{kept}");
    cli.text(&["topic", "delete", "configured-fails"]).map(drop)
}
