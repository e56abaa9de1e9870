//! Swap the binary: Apache Kafka and millrace take turns on one `server.properties` and its `log.dirs`.

use super::recover::GUARD;
use crate::survey::{Survey, survey};
use anyhow::{Context, Result, ensure};
use clients::{Broker, Kind, Layout, Quorum, Report, Setting, Site, Tools, dump, segments};
use std::net::TcpListener;
use tempfile::TempDir;

const NEEDS: &[&str] = &[Tools::KAFKA, Tools::CONFLUENT_KAFKA];
/// Says that the last stop was clean.
const MARKER: &str = ".kafka_cleanshutdown";
/// Topics whose files are looked at on disk.
const TOPICS: &[&str] = &["plain", "rolls", "configured", "stamped-by-the-broker", "compacted"];

pub fn run(report: &mut Report) {
    for (log_dir_count, quorum) in [(1, Quorum::Static), (2, Quorum::Dynamic)] {
        let setting = Setting { kind: Kind::Kafka, cores: 2, quorum };
        let dirs = if log_dir_count == 1 { "log directory" } else { "log directories" };
        let name = format!(
            "swap, {log_dir_count} {dirs}: Apache Kafka, millrace, Apache Kafka, millrace: \
             each sees what the others wrote"
        );
        report.case(&name, NEEDS, |tools| {
            let folder = tempfile::Builder::new().prefix("millrace-swap-").tempdir()?;
            take_turns(tools, setting, &layout(&folder, log_dir_count))
        });
    }
    let name = "swap: a start of millrace that fails leaves a clean stop to whoever is next";
    report.case(name, NEEDS, |tools| {
        let setting = Setting { kind: Kind::Kafka, cores: 2, quorum: Quorum::Dynamic };
        fail_between(tools, &Site::format(tools, setting)?)
    });
}

fn layout(folder: &TempDir, log_dir_count: usize) -> Layout {
    let log_dirs =
        (1..=log_dir_count).map(|dir| folder.path().join(format!("disk-{dir}"))).collect();
    // Both take metadata snapshots, and start on those of the other.
    let lines = vec!["metadata.log.max.record.bytes.between.snapshots=2000".to_owned()];
    Layout { log_dirs, lines, ..Layout::default() }
}

fn take_turns(tools: &Tools, setting: Setting, layout: &Layout) -> Result<()> {
    let site = Site::format_as(tools, setting, layout.clone())?;
    let mut seen = made_by_kafka(tools, &site)?;
    for (turn, kind) in [Kind::Millrace, Kind::Kafka, Kind::Millrace].into_iter().enumerate() {
        let what = format!("turn {} is {}'s", turn + 2, kind.name());
        seen = one_turn(tools, &site, kind, &format!("turn-{turn}"), &seen).context(what)?;
    }
    println!("{} records in the end", seen.count("record"));
    Ok(())
}

/// Apache Kafka creates, deletes, configures and writes; what a client sees of it at the end.
fn made_by_kafka(tools: &Tools, site: &Site) -> Result<Survey> {
    let broker = site.start_of(Kind::Kafka, tools)?;
    survey(tools, &broker, &["make"])?;
    survey(tools, &broker, &["configure"])?;
    survey(tools, &broker, &["write", "first"])?;
    let seen = Survey::of(tools, &broker)?;
    for kind in ["group", "member", "committed"] {
        ensure!(seen.count(kind) > 0, "nothing of kind {kind} was seen");
    }
    broker.stop()?;
    Ok(seen)
}

/// A broker of `kind` starts, shows what was `seen` before, takes more, and stops.
fn one_turn(tools: &Tools, site: &Site, kind: Kind, round: &str, seen: &Survey) -> Result<Survey> {
    let broker = site.start_of(kind, tools)?;
    let now = shows(tools, &broker, seen, round)?;
    broker.stop()?;
    dump_all(tools, site, TOPICS)?;
    site.verify(tools)?;
    Ok(now)
}

fn shows(tools: &Tools, broker: &Broker, seen: &Survey, round: &str) -> Result<Survey> {
    let before = Survey::of(tools, broker)?;
    seen.check_same(&before).context("at the start")?;
    survey(tools, broker, &["write", round])?;
    let now = Survey::of(tools, broker)?;
    before.check_kept(&now).context("after more was written")?;
    Ok(now)
}

/// After a stop of either broker a start of millrace comes to nothing, since its port is taken.
fn fail_between(tools: &Tools, site: &Site) -> Result<()> {
    let mut seen = made_by_kafka(tools, site)?;
    for (turn, stopped) in [Kind::Kafka, Kind::Millrace].into_iter().enumerate() {
        if stopped == Kind::Millrace {
            seen = one_turn(tools, site, stopped, "ours", &seen)?;
        }
        let taken = TcpListener::bind(site.address())?;
        let refused = site.refusal(Kind::Millrace, tools)?;
        drop(taken);
        ensure!(!refused.status.success(), "it ran without its port");
        let said = [refused.stdout.as_str(), refused.stderr.as_str()].concat();
        ensure!(said.contains("cannot listen on"), "it says nothing of the port: {said}");
        ensure!(!site.data().join(GUARD).exists(), "{GUARD} keeps Apache Kafka out");
        ensure!(site.data().join(MARKER).exists(), "without {MARKER} all logs are scanned");
        for kind in [Kind::Kafka, Kind::Millrace] {
            let round = format!("after-{turn}-{}", kind.name());
            seen = one_turn(tools, site, kind, &round, &seen)?;
        }
    }
    Ok(())
}

/// Apache Kafka's own tool reads every file of the partitions of `topics` without complaint.
pub fn dump_all(tools: &Tools, site: &Site, topics: &[&str]) -> Result<()> {
    let files = |suffix: &str| -> Result<Vec<_>> {
        let mut found = Vec::new();
        for dir in site.log_dirs() {
            for topic in topics {
                found.extend(segments::files(dir, topic, suffix)?);
            }
        }
        Ok(found)
    };
    let logs = files(".log")?;
    let records = dump(tools, &["--deep-iteration"], &logs)?;
    let count = records.lines().filter(|line| line.starts_with("| offset: ")).count();
    ensure!(count > 0, "no record in {} segments", logs.len());
    for suffix in [".index", ".timeindex", ".snapshot"] {
        dump(tools, &[], &files(suffix)?).with_context(|| format!("files {suffix}"))?;
    }
    Ok(())
}
