//! Apache Kafka's tools that manage groups, and its consumers that print.

use crate::process::{CLIENT_DEADLINE, run};
use crate::suites::kafka_tools::ask;
use crate::{Broker, Client, Codec, KafkaTool, Produced, Report, Tools};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TOPIC: &str = "managed";
const GROUP: &str = "managed-group";
const RECORD_COUNT: usize = 40;

pub fn manage(report: &mut Report, name: &str, broker: &Broker) {
    let bootstrap = broker.bootstrap();
    let needs = &[Tools::KAFKA, Tools::KCAT];
    let case = format!("{name}: kafka-consumer-groups resets in every way, describes and deletes");
    report.case(&case, needs, |tools| groups(tools, &bootstrap));
    let case = format!("{name}: the console consumer commits, and goes on from there");
    report.case(&case, needs, |tools| console(tools, &bootstrap));
}

fn groups(tools: &Tools, bootstrap: &str) -> Result<()> {
    let create = ["--create", "--topic", TOPIC, "--partitions", "1"];
    ask(tools, KafkaTool::Topics, bootstrap, &create)?;
    let produced = Produced::new(TOPIC, RECORD_COUNT, 60);
    Client::Kcat.produce(tools, bootstrap, TOPIC, Codec::None, &produced)?;
    let groups = |arguments: &[&str]| ask(tools, KafkaTool::ConsumerGroups, bootstrap, arguments);
    let reset = |scope: &[&str], to: &[&str], how: &str| {
        groups(&[&["--reset-offsets", "--group", GROUP], scope, to, &[how]].concat())
    };
    let topic: &[&str] = &["--topic", TOPIC];
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("plan.csv");
    std::fs::write(&file, format!("{TOPIC},0,17\n"))?;
    let file = file.to_str().context("a path of text")?;
    let all = RECORD_COUNT as i64;
    for (scope, to, want) in [
        (topic, &["--to-latest"][..], all),
        (topic, &["--to-earliest"], 0),
        (&["--topic", "managed:0"], &["--to-offset", "30"], 30),
        (topic, &["--shift-by", "-5"], 25),
        (topic, &["--shift-by", "100"], all),
        (topic, &["--to-datetime", "2001-01-01T00:00:00.000"], 0),
        (topic, &["--by-duration", "PT0S"], all),
        (topic, &["--to-offset", "12"], 12),
        (&["--all-topics"], &["--to-current"], 12),
        (&[], &["--from-file", file], 17),
    ] {
        let said = reset(scope, to, "--execute")?;
        // It may warn before.
        let row = said.lines().rev().find(|line| line.contains(TOPIC));
        let row = row.with_context(|| said.clone())?;
        let new: Option<i64> = row.split_whitespace().last().and_then(|it| it.parse().ok());
        ensure!(new == Some(want), "{to:?}: {said}");
    }
    let said = reset(topic, &["--to-earliest"], "--dry-run")?;
    ensure!(said.contains(TOPIC), "{said}");
    let export = reset(topic, &["--to-current"], "--export")?;
    ensure!(export.lines().any(|line| line.trim().ends_with(",0,17")), "{export}");
    let described = groups(&["--describe", "--group", GROUP])?;
    let row = described.lines().find(|line| line.contains(TOPIC)).unwrap_or_default();
    let words: Vec<&str> = row.split_whitespace().collect();
    ensure!(words.get(2..6) == Some(&["0", "17", "40", "23"]), "{described}");
    let state = groups(&["--describe", "--group", GROUP, "--state"])?;
    ensure!(state.contains("Empty"), "{state}");
    let listed = groups(&["--list", "--state"])?;
    ensure!(listed.lines().any(|it| it.contains(GROUP) && it.contains("Empty")), "{listed}");
    let listed = ask(tools, KafkaTool::Groups, bootstrap, &["--list"])?;
    let row = listed.lines().find(|it| it.contains(GROUP)).unwrap_or_default();
    ensure!(row.contains("Classic"), "{listed}");
    let said = groups(&["--delete-offsets", "--group", GROUP, "--topic", TOPIC])?;
    ensure!(said.contains("Successful"), "{said}");
    reset(topic, &["--to-latest"], "--execute")?;
    let said = groups(&["--delete", "--group", GROUP])?;
    ensure!(said.contains("was successful"), "{said}");
    let listed = groups(&["--list"])?;
    ensure!(!listed.lines().any(|line| line == GROUP), "{listed}");
    Ok(())
}

/// Reads some, ends, and goes on in the same group with what is left.
fn console(tools: &Tools, bootstrap: &str) -> Result<()> {
    let topic = "read-on-the-console";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let produced = Produced::new(&now.as_nanos().to_string(), RECORD_COUNT, 60);
    let create = ["--create", "--topic", topic, "--partitions", "1"];
    ask(tools, KafkaTool::Topics, bootstrap, &create)?;
    Client::Kcat.produce(tools, bootstrap, topic, Codec::None, &produced)?;
    let mut read = Vec::new();
    for _ in 0..2 {
        let mut consumer = tools.kafka(KafkaTool::ConsoleConsumer);
        consumer.args(["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning"]);
        let half = (RECORD_COUNT / 2).to_string();
        consumer.args(["--group", "on-the-console", "--max-messages", &half]);
        consumer.args(["--timeout-ms", "30000"]);
        let text = run(&mut consumer, "", CLIENT_DEADLINE)?.success()?;
        read.extend(text.lines().map(str::to_owned));
    }
    let values: Vec<String> = produced.records.into_iter().map(|(_, value)| value).collect();
    ensure!(read == values, "{} read, {} produced", read.len(), values.len());
    Ok(())
}
