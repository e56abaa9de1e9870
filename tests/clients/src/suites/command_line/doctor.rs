//! `millrace doctor`.

use super::Cli;
use crate::Site;
use crate::broker::millrace;
use crate::process::{CLIENT_DEADLINE, Finished, run};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

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
