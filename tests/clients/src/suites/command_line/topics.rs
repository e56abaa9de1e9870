//! `millrace topic`.

use super::Cli;
use crate::process::CLIENT_DEADLINE;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Instant;

const TOPIC: &str = "commanded";

pub fn live(cli: &Cli) -> Result<()> {
    let config = ["--config", "retention.ms=86400000", "--config", "segment.bytes=2000000"];
    let create = [&["topic", "create", TOPIC, "--partitions", "3"], &config[..]].concat();
    let dry = cli.text(&[&create[..], &["--dry-run"]].concat())?;
    ensure!(dry == format!("Topic {TOPIC} could be created.\n"), "{dry}");
    ensure!(!is_listed(cli)?, "made by a trial");
    let created = cli.json(&create)?;
    let [created] = created.as_slice() else { anyhow::bail!("{created:?}") };
    ensure!((&created["name"], &created["partitions"]) == (&json!(TOPIC), &json!(3)), "{created}");
    ensure!(cli.text(&[&create[..], &["--if-not-exists"]].concat())?.is_empty(), "created twice");

    let described = eventually(cli, |it| it["partitions"][2]["end_offset"] == 0)?;
    let configs = json!({ "retention.ms": "86400000", "segment.bytes": "2000000" });
    ensure!(described["configs"] == configs, "{described}");
    let partitions = described["partitions"].as_array().cloned().unwrap_or_default();
    ensure!(partitions.len() == 3, "{described}");
    for (index, partition) in partitions.iter().enumerate() {
        for (field, want) in [
            ("partition", json!(index)),
            ("leader", json!(1)),
            ("replicas", json!([1])),
            ("isr", json!([1])),
            ("offline_replicas", json!([])),
            ("start_offset", json!(0)),
            ("end_offset", json!(0)),
        ] {
            ensure!(partition[field] == want, "{field}: {partition}");
        }
    }

    let listed = cli.json(&["topic", "list"])?;
    let row = listed.iter().find(|it| it["name"] == TOPIC).context("it is not listed")?;
    ensure!(row["id"] == created["id"] && row["partitions"] == 3, "{row}");
    let table = cli.text(&["topic", "list"])?;
    let words: Vec<&str> = table
        .lines()
        .find(|line| line.starts_with(TOPIC))
        .map(|line| line.split_whitespace().collect())
        .with_context(|| table.clone())?;
    ensure!(words[..3] == [TOPIC, "3", "1"], "{table}");

    let alter = ["topic", "alter", TOPIC, "--partitions", "5", "--unset", "segment.bytes"];
    let alter = [&alter[..], &["--config", "retention.ms=5000"]].concat();
    cli.text(&[&alter[..], &["--dry-run"]].concat())?;
    ensure!(describe(cli)? == described, "a trial altered it");
    cli.text(&alter)?;
    eventually(cli, |described| {
        described["configs"] == json!({ "retention.ms": "5000" })
            && described["partitions"].as_array().is_some_and(|it| it.len() == 5)
    })?;

    cli.text(&["topic", "delete", TOPIC])?;
    let until = Instant::now() + CLIENT_DEADLINE;
    while is_listed(cli)? {
        ensure!(Instant::now() < until, "still listed");
    }
    ensure!(cli.text(&["topic", "delete", TOPIC, "--if-exists"])?.is_empty(), "deleted twice");
    Ok(())
}

fn describe(cli: &Cli) -> Result<Value> {
    let mut described = cli.json(&["topic", "describe", TOPIC])?;
    ensure!(described.len() == 1, "{described:?}");
    described.pop().context("one was described")
}

/// Apache Kafka's broker shows what its controller has committed a little later.
fn eventually(cli: &Cli, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let until = Instant::now() + CLIENT_DEADLINE;
    loop {
        let described = describe(cli);
        match described {
            Ok(described) if is_so(&described) => return Ok(described),
            described => ensure!(Instant::now() < until, "still {described:?}"),
        }
    }
}

/// Makes `topic`, which keeps records however old they say they are; on return it has its leaders.
pub fn ready(cli: &Cli, topic: &str, partitions: &str) -> Result<()> {
    let create = ["topic", "create", topic, "--partitions", partitions];
    cli.text(&[&create[..], &["--config", "retention.ms=-1"]].concat())?;
    let until = Instant::now() + CLIENT_DEADLINE;
    loop {
        match cli.json(&["topic", "describe", topic]) {
            Ok(described) if has_leaders(&described) => return Ok(()),
            described => ensure!(Instant::now() < until, "still {described:?}"),
        }
    }
}

fn has_leaders(described: &[Value]) -> bool {
    let partitions = described.iter().flat_map(|topic| topic["partitions"].as_array());
    partitions.flatten().all(|partition| partition["end_offset"].is_i64())
}

fn is_listed(cli: &Cli) -> Result<bool> {
    Ok(cli.json(&["topic", "list"])?.iter().any(|it| it["name"] == TOPIC))
}

/// What fails says what failed, and changes nothing.
pub fn fail(cli: &Cli) -> Result<()> {
    let missing = "commanded-nowhere";
    let unknown = "UNKNOWN_TOPIC_OR_PARTITION";
    cli.text(&["topic", "create", "commanded-fails", "--partitions", "2"])?;
    for (arguments, code, why) in [
        (&["topic", "describe", missing][..], 1, "millrace topic list shows"),
        (&["topic", "delete", missing], 1, unknown),
        (&["topic", "alter", missing, "--partitions", "2"], 1, unknown),
        (&["topic", "create", "commanded-fails"], 1, "TOPIC_ALREADY_EXISTS"),
        (&["topic", "create", "commanded-fails"], 1, "--if-not-exists leaves it as it is"),
        (&["topic", "create", "no/name"], 1, "INVALID_TOPIC_EXCEPTION"),
        (&["topic", "create", missing, "-r", "9"], 1, "INVALID_REPLICATION_FACTOR"),
        (&["topic", "create", missing, "-c", "segment.bytes=x"], 1, "INVALID_CONFIG"),
        (&["topic", "alter", "commanded-fails", "--partitions", "1"], 1, "INVALID_PARTITIONS"),
        (&["topic", "alter", "commanded-fails"], 2, "--partitions"),
        (&["topic", "create"], 2, "NAME"),
        (&["topic", "create", missing, "--partitions", "0"], 2, "0 is not in 1.."),
        (&["topic", "create", missing, "--config", "segment.bytes"], 2, "KEY=VALUE"),
        (&["topic", "vanish"], 2, "unrecognized subcommand"),
    ] {
        cli.fails(arguments, code, why)?;
    }
    let nobody = Cli { bootstrap: "127.0.0.1:1,127.0.0.1:2".to_owned() };
    nobody.fails(&["topic", "list"], 1, "--bootstrap-server HOST:PORT names another")?;
    let no_address = Cli { bootstrap: "nowhere".to_owned() };
    no_address.fails(&["topic", "list"], 1, "no HOST:PORT")?;
    let second = Cli { bootstrap: format!("127.0.0.1:1,{}", cli.bootstrap) };
    second.text(&["topic", "delete", "commanded-fails"]).context("by the second server")?;
    Ok(())
}
