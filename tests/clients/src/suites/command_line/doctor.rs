//! `millrace doctor`.

use super::Cli;
use crate::broker::millrace;
use crate::process::{CLIENT_DEADLINE, Finished, run};
use crate::{Layout, Setting, Site, Tools};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const TOPIC: &str = "on-two-disks";

/// A broker that runs well, its configuration and its disks: nothing is broken.
pub fn well(cli: &Cli, site: &Site) -> Result<()> {
    let config = site.properties();
    let (status, findings) = examine(&["--config", text(&config)?])?;
    let broken: Vec<_> = findings.iter().filter(|it| it["severity"] == "broken").collect();
    ensure!(status == 0 && broken.is_empty(), "{status}: {broken:?}");
    for (area, what) in [
        ("host", "with io_uring"),
        ("host", "file descriptors"),
        ("configuration", "node 1"),
        ("directories", " is durable after "),
        ("directories", " free"),
        ("cluster", "speaks "),
        ("cluster", "metadata.version is 4.3-IV0"),
        ("cluster", "1 broker in cluster "),
        ("cluster", "controller 1 leads 1 voter"),
        ("cluster", "broker 1: 1 of 1 log directories online"),
        ("cluster", "have leader and replicas"),
    ] {
        let is_it = |it: &&Value| {
            it["area"] == area && it["what"].as_str().is_some_and(|it| it.contains(what))
        };
        let found = findings.iter().find(is_it);
        found.with_context(|| format!("{area} says nothing of {what:?}: {findings:?}"))?;
    }
    for finding in &findings {
        ensure!(finding["do"].is_string() == (finding["severity"] != "ok"), "{finding}");
    }
    let left = std::fs::read_dir(site.data())?.any(|entry| {
        entry.is_ok_and(|it| it.file_name().to_string_lossy().starts_with(".millrace"))
    });
    ensure!(!left, "it left a file behind");

    let text = cli.text(&["doctor", "--only", "cluster"])?;
    ensure!(text.starts_with("cluster\n  ok       "), "{text}");
    ensure!(!text.contains("host\n") && !text.contains("directories\n"), "{text}");
    Ok(())
}

/// What is broken is named, with what to do, and ends it with 1.
pub fn ill(site: &Site) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("server.properties");
    let good = std::fs::read_to_string(site.properties())?;
    let examine = |lines: &str, rest: &[&str]| {
        std::fs::write(&config, format!("{good}\n{lines}\n"))?;
        examine(&[&["--config", text(&config)?], rest].concat())
    };
    let missing = folder.path().join("nowhere");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty)?;
    let other = folder.path().join("other");
    std::fs::create_dir(&other)?;
    let meta = std::fs::read_to_string(site.data().join("meta.properties"))?;
    std::fs::write(other.join("meta.properties"), meta.replace("node.id=1", "node.id=7"))?;
    let other = format!("log.dirs={}", other.display());
    let directories = format!("log.dirs={},{}", missing.display(), empty.display());
    let cluster = &["--only", "cluster", "--bootstrap-server", "127.0.0.1:1"];
    for (lines, rest, what, remedy) in [
        (
            "num.partitions=0",
            &["--only", "configuration"][..],
            "num.partitions",
            "change what it names",
        ),
        ("num.partition=1\n", &["--only", "configuration"], "did you mean num.partitions", ""),
        ("millrace.memory.bytes=1048576", &["--only", "configuration"], "memory", "as it says"),
        (&directories, &["--only", "directories"], "nowhere: No such file", "storage format"),
        (&directories, &["--only", "directories"], "empty is not formatted", "storage format"),
        (&other, &["--only", "directories"], "belongs to node 7, this is node 1", "node.id"),
        ("", cluster, "no broker answers", "start a broker"),
    ] {
        let (status, findings) = examine(lines, rest)?;
        let is_it = |it: &&Value| it["what"].as_str().is_some_and(|it| it.contains(what));
        let finding = findings.iter().find(is_it);
        let finding = finding.with_context(|| format!("{lines}: no {what:?}: {findings:?}"))?;
        let is_broken = finding["severity"] == "broken";
        ensure!(
            is_broken != remedy.is_empty() && status == i32::from(is_broken),
            "{status}: {finding}"
        );
        ensure!(finding["do"].as_str().is_some_and(|it| it.contains(remedy)), "{finding}");
    }
    // With a configuration that cannot be read the other areas say so, instead of saying nothing.
    std::fs::write(&config, "num.partitions=0\n")?;
    let said = doctor(&["--config", text(&config)?, "--only", "directories"])?;
    ensure!(
        said.status.code() == Some(1) && said.stderr.contains("--only configuration"),
        "{said:?}"
    );
    let misused = doctor(&["--only", "weather"])?;
    ensure!(misused.status.code() == Some(2), "{misused:?}");
    Ok(())
}

/// A broker that has lost one of its disks, and with it the only replicas of some partitions. (One that is
/// fenced needs a second broker.)
pub fn lost_disk(tools: &Tools, setting: Setting) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [kept, lost] = ["kept", "lost"].map(|name| folder.path().join(name));
    let layout = Layout { log_dirs: vec![kept, lost.clone()], ..Layout::default() };
    let (site, broker) = Site::format_and_start_as(tools, setting, &layout)?;
    let cli = Cli { bootstrap: broker.bootstrap() };
    cli.text(&["topic", "create", TOPIC, "--partitions", "8"])?;
    broker.stop()?;
    let is_of_topic = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.starts_with(TOPIC).then_some(name)
    };
    let mut leaderless: Vec<_> = std::fs::read_dir(&lost)?.filter_map(is_of_topic).collect();
    leaderless.sort();
    ensure!((1..8).contains(&leaderless.len()), "not spread over two disks: {leaderless:?}");
    // No directory can be read where a file stands.
    std::fs::rename(&lost, folder.path().join("was-lost"))?;
    std::fs::write(&lost, "")?;
    let broker = site.start(tools)?;

    let text = text(&lost)?;
    let offline = format!("{text} is offline: KAFKA_STORAGE_ERROR");
    let count = match leaderless.len() {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    };
    let named = leaderless.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let has_no_leader = format!("{count} have no leader: {named}");
    let (status, findings) =
        examine(&["--only", "cluster", "--bootstrap-server", &broker.bootstrap()])?;
    ensure!(status == 1, "{status}: {findings:?}");
    for (severity, what, remedy) in [
        ("ok", "1 broker in cluster ", ""),
        ("ok", "broker 1: 1 of 2 log directories online", ""),
        ("broken", &offline, "mend the disk, then restart"),
        ("broken", &has_no_leader, "bring back the brokers and disks that keep them"),
    ] {
        let is_it = |it: &&Value| {
            it["severity"] == severity && it["what"].as_str().is_some_and(|it| it.contains(what))
        };
        let found = findings.iter().find(is_it);
        let found = found.with_context(|| format!("no {what:?}: {findings:?}"))?;
        ensure!(found["do"].as_str().unwrap_or_default().contains(remedy), "{found}");
    }
    let broken = findings.iter().filter(|it| it["severity"] == "broken").count();
    ensure!(broken == 2, "{findings:?}");
    let (status, findings) = examine(&["--config", self::text(&site.properties())?])?;
    let names_it = |it: &Value| {
        it["area"] == "directories"
            && it["severity"] == "broken"
            && it["what"].as_str().is_some_and(|it| it.contains(text))
    };
    ensure!(status == 1 && findings.iter().any(names_it), "{status}: {findings:?}");
    // It has said an ERROR of the disk, as it should: it is not asked whether it said none.
    drop(broker);
    Ok(())
}

/// The exit code, and what it found.
fn examine(arguments: &[&str]) -> Result<(i32, Vec<Value>)> {
    let Finished { status, stdout, stderr } = doctor(&[arguments, &["--json"]].concat())?;
    let findings: Result<Vec<Value>, _> = stdout.lines().map(serde_json::from_str).collect();
    let findings = findings.with_context(|| format!("{stdout}{stderr}"))?;
    Ok((status.code().with_context(|| stderr)?, findings))
}

fn doctor(arguments: &[&str]) -> Result<Finished> {
    run(Command::new(millrace()).arg("doctor").args(arguments), "", CLIENT_DEADLINE)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of text")
}
