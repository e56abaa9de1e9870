//! `millrace group`.

use super::{Cli, topics::ready};
use crate::process::{CLIENT_DEADLINE, run};
use crate::tools::{KafkaTool, Tools};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const TOPIC: &str = "read-by-groups";
const GROUP: &str = "reads";
const RESET: [&str; 3] = ["group", "reset-offsets", GROUP];

/// A record a minute, the last one now.
const RECORD_COUNT: i64 = 10;
const MINUTE_MS: i64 = 60_000;

pub fn live(cli: &Cli) -> Result<()> {
    ready(cli, TOPIC, "2")?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let time_ms = |offset: i64| now_ms - (RECORD_COUNT - 1 - offset) * MINUTE_MS;
    for offset in 0..RECORD_COUNT {
        let line = json!({ "value": format!("{offset}"), "timestamp": time_ms(offset) });
        let produce = ["produce", TOPIC, "--partition", "0", "--format", "json"];
        cli.run(&produce, &format!("{line}\n"))?.success()?;
    }
    let reset = |arguments: &[&str]| cli.text(&[&RESET, arguments].concat());
    let whole: [&str; 2] = ["--topic", TOPIC];

    // A dry run makes nothing.
    let said = reset(&[&whole[..], &["--to-earliest"]].concat())?;
    ensure!(said.contains("Nothing was changed"), "{said}");
    ensure!(listed(cli)?.is_none(), "a dry run made the group");
    reset(&[&whole[..], &["--to-earliest", "--execute"]].concat())?;
    let row = listed(cli)?.context("the group is not listed")?;
    ensure!((&row["state"], &row["type"]) == (&json!("Empty"), &json!("classic")), "{row}");

    let group = described(cli)?;
    ensure!(group["lag"] == RECORD_COUNT, "{group}");
    let first = &group["partitions"][0];
    ensure!(first["committed_offset"] == 0 && first["lag"] == RECORD_COUNT, "{group}");
    let oldest = (RECORD_COUNT - 1) as f64 * 60.0;
    let behind = first["lag_seconds"].as_f64().context("lag_seconds")?;
    ensure!((oldest..oldest + 120.0).contains(&behind), "{behind} s behind, not {oldest}");
    let empty = &group["partitions"][1];
    ensure!(empty["lag"] == 0 && empty["lag_seconds"] == 0.0, "{group}");
    let table = cli.text(&["group", "describe", GROUP])?;
    ensure!(table.starts_with(&format!("{GROUP}  Empty  classic  ")), "{table}");
    ensure!(table.contains(" SECONDS ") && table.lines().count() == 4, "{table}");

    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().to_str().context("a path of text")?;
    std::fs::write(file.path(), format!("{TOPIC},0,3\n"))?;
    let at = utc(time_ms(4));
    for (arguments, want) in [
        (&["--to-latest"][..], RECORD_COUNT),
        (&["--to-offset", "7"], 7),
        (&["--shift-by", "-3"], 4),
        (&["--shift-by", "1"], 5),
        (&["--to-current"], 5),
        (&["--shift-by", "-100"], 0),
        (&["--to-offset", "99"], RECORD_COUNT),
        (&["--to-datetime", &at], 4),
        (&["--to-datetime", "2001-01-01"], 0),
        (&["--to-datetime", "2999-01-01T00:00:00.000Z"], RECORD_COUNT),
        (&["--by-duration", "PT2M30S"], 7),
        (&["--by-duration", "1d"], 0),
        (&["--from-file", path], 3),
    ] {
        let scope = if arguments.contains(&"--from-file") { &[][..] } else { &["--topic", ONE] };
        let before = committed(cli)?;
        let plan = [scope, arguments].concat();
        let planned = cli.json(&[&RESET, &plan[..]].concat())?;
        let [step] = planned.as_slice() else { anyhow::bail!("{planned:?}") };
        ensure!(step["new_offset"] == want && step["done"] == false, "{arguments:?}: {step}");
        ensure!(step["current_offset"] == before, "{arguments:?}: {step}");
        ensure!(committed(cli)? == before, "{arguments:?}: a dry run reset it");
        reset(&[&plan[..], &["--execute"]].concat())?;
        let now = committed(cli)?;
        ensure!(now == want, "{arguments:?}: {now}, not {want}");
    }

    // What is exported brings it back.
    let kept = reset(&["--all-topics", "--to-current", "--export"])?;
    ensure!(kept == format!("{TOPIC},0,3\n{TOPIC},1,0\n"), "{kept}");
    std::fs::write(file.path(), &kept)?;
    reset(&["--all-topics", "--to-latest", "--execute"])?;
    ensure!(committed(cli)? == RECORD_COUNT, "it was not reset");
    reset(&["--from-file", path, "--execute"])?;
    ensure!(committed(cli)? == 3, "what was exported was not restored");

    cli.text(&["group", "delete", GROUP])?;
    ensure!(listed(cli)?.is_none(), "it is still listed");
    ensure!(cli.text(&["group", "delete", GROUP, "--if-exists"])?.is_empty(), "deleted twice");
    cli.text(&["topic", "delete", TOPIC]).map(drop)
}

/// The partition that has records.
const ONE: &str = "read-by-groups:0";

fn listed(cli: &Cli) -> Result<Option<Value>> {
    Ok(cli.json(&["group", "list"])?.into_iter().find(|it| it["group"] == GROUP))
}

fn described(cli: &Cli) -> Result<Value> {
    let mut described = cli.json(&["group", "describe", GROUP])?;
    ensure!(described.len() == 1, "{described:?}");
    described.pop().context("one was described")
}

fn committed(cli: &Cli) -> Result<Value> {
    let group = described(cli)?;
    let partitions = group["partitions"].as_array().cloned().unwrap_or_default();
    let of = partitions.into_iter().find(|it| it["partition"] == 0);
    Ok(of.map_or(Value::Null, |mut it| it["committed_offset"].take()))
}

/// A time as the command line takes it: by the distribution's date(1), which is not ours.
fn utc(timestamp_ms: i64) -> String {
    let seconds = format!("@{}.{:03}", timestamp_ms / 1000, timestamp_ms % 1000);
    let mut date = std::process::Command::new("date");
    date.args(["--utc", "--date", &seconds, "+%Y-%m-%dT%H:%M:%S.%3N"]);
    let said = run(&mut date, "", CLIENT_DEADLINE).and_then(crate::Finished::success);
    said.map_or_else(|error| format!("{error:#}"), |text| text.trim().to_owned())
}

/// A group with a member: shown with what it has, and left alone.
pub fn active(cli: &Cli, tools: &Tools) -> Result<()> {
    let (topic, group) = ("read-by-a-member", "has-a-member");
    ready(cli, topic, "2")?;
    let mut kcat = tools.command(Tools::KCAT);
    kcat.args(["-b", &cli.bootstrap, "-G", group, "-q", topic]);
    kcat.args(["-X", "session.timeout.ms=6000", "-X", "group.instance.id=one"]);
    let mut member = kcat.stdout(std::process::Stdio::null()).spawn()?;
    let outcome = with_member(cli, topic, group);
    member.kill()?;
    member.wait()?;
    outcome?;
    let until = Instant::now() + CLIENT_DEADLINE;
    while cli.json(&["group", "list"])?.iter().any(|it| it["group"] == group) {
        // Until its session has ended.
        let deleted = cli.run(&["group", "delete", group], "")?;
        ensure!(deleted.status.success() || Instant::now() < until, "{deleted:?}");
    }
    cli.text(&["topic", "delete", topic]).map(drop)
}

fn with_member(cli: &Cli, topic: &str, group: &str) -> Result<()> {
    let until = Instant::now() + CLIENT_DEADLINE;
    let described = loop {
        let described = cli.json(&["group", "describe", group]).unwrap_or_default();
        match described.into_iter().find(|it| it["state"] == "Stable") {
            Some(described) => break described,
            None => ensure!(Instant::now() < until, "it does not become stable"),
        }
    };
    let member = &described["members"][0];
    ensure!(member["instance"] == "one", "{described}");
    ensure!(member["partitions"] == json!({ topic: [0, 1] }), "{described}");
    ensure!(member["client_id"] == "rdkafka", "{described}");
    for partition in described["partitions"].as_array().context("partitions")? {
        ensure!(partition["member"] == member["id"], "{described}");
    }
    let table = cli.text(&["group", "describe", group, "--members"])?;
    ensure!(table.contains(&format!("{topic}:0,1")), "{table}");
    let table = cli.text(&["group", "list", "--state", "stable", "--type", "classic"])?;
    ensure!(table.contains(group), "{table}");
    let none = cli.text(&["group", "list", "--state", "Dead"])?;
    ensure!(none.is_empty(), "{none}");
    let reset = ["group", "reset-offsets", group, "--topic", topic, "--to-earliest", "--execute"];
    cli.fails(&reset, 1, "they have to stop first")?;
    cli.fails(&["group", "delete", group], 1, "NON_EMPTY_GROUP")
}

/// What fails says what failed, and changes nothing.
pub fn fail(cli: &Cli) -> Result<()> {
    let topic = "groups-fail";
    ready(cli, topic, "1")?;
    let reset: &[&str] = &["group", "reset-offsets", "never"];
    let scoped = [reset, &["--topic", topic]].concat();
    for (arguments, code, why) in [
        (["group", "describe", "never"].to_vec(), 1, "millrace group list shows"),
        (["group", "delete", "never"].to_vec(), 1, "GROUP_ID_NOT_FOUND"),
        ([reset, &["--to-latest"]].concat(), 1, "--all-topics"),
        ([reset, &["--all-topics", "--to-latest"]].concat(), 1, "has committed no offset"),
        ([reset, &["--topic", "nowhere", "--to-latest"]].concat(), 1, "millrace topic list"),
        ([reset, &["--topic", "groups-fail:7", "--to-latest"]].concat(), 1, "no partition 7"),
        ([&scoped[..], &["--shift-by", "1"]].concat(), 1, "no committed offset to shift"),
        ([reset, &["--from-file", "/nowhere/at/all"]].concat(), 1, "/nowhere/at/all"),
        (scoped.clone(), 2, "--to-earliest"),
        ([&scoped[..], &["--to-latest", "--to-earliest"]].concat(), 2, "cannot be used with"),
        ([&scoped[..], &["--to-datetime", "soon"]].concat(), 2, "2026-01-31"),
        ([&scoped[..], &["--by-duration", "P1Y"]].concat(), 2, "PT1H30M"),
        ([&scoped[..], &["--to-offset", "-1"]].concat(), 2, "0.."),
        ([reset, &["--topic", "a:x", "--to-latest"]].concat(), 2, "TOPIC:0,1,2"),
        (["group", "reset-offsets", "--to-latest"].to_vec(), 2, "GROUP"),
        (["group", "delete"].to_vec(), 2, "GROUP"),
    ] {
        cli.fails(&arguments, code, why)?;
    }
    let listed = cli.json(&["group", "list"])?;
    ensure!(!listed.iter().any(|it| it["group"] == "never"), "it was made: {listed:?}");
    cli.text(&["topic", "delete", topic]).map(drop)
}

/// What Apache Kafka's tool commits is what is shown, and the other way round.
pub fn beside_kafkas_tool(cli: &Cli, tools: &Tools) -> Result<()> {
    let (topic, group) = ("reset-by-both", "reset-by-both");
    ready(cli, topic, "1")?;
    cli.run(&["produce", topic], &"line\n".repeat(20))?.success()?;
    let kafka = |arguments: &[&str]| {
        let mut command = tools.kafka(KafkaTool::ConsumerGroups);
        command.args(["--bootstrap-server", &cli.bootstrap, "--group", group]).args(arguments);
        run(&mut command, "", CLIENT_DEADLINE)?.success()
    };
    kafka(&["--reset-offsets", "--topic", topic, "--to-offset", "12", "--execute"])?;
    let described = cli.json(&["group", "describe", group])?;
    let partition = &described.first().context("it is described")?["partitions"][0];
    ensure!(partition["committed_offset"] == 12 && partition["lag"] == 8, "{partition}");
    let reset = ["group", "reset-offsets", group, "--all-topics", "--shift-by", "-2", "--execute"];
    cli.text(&reset)?;
    let table = kafka(&["--describe"])?;
    let row = table.lines().find(|line| line.contains(topic) && line.contains(" 20 "));
    let words: Vec<&str> = row.with_context(|| table.clone())?.split_whitespace().collect();
    ensure!(words[2..6] == ["0", "10", "20", "10"], "{table}");
    cli.text(&["group", "delete", group])?;
    cli.text(&["topic", "delete", topic]).map(drop)
}
