//! kafka-dump-log, Apache Kafka's own reader of what lies on disk.

use crate::process::{CLIENT_DEADLINE, run};
use crate::{KafkaTool, Tools};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// What kafka-dump-log says of a file that is not right.
const COMPLAINTS: &[&str] = &[
    "isvalid: false",
    "Mismatches in",
    GAP,
    "Index timestamp mismatch",
    "Found timestamp mismatch",
    "Found out of order timestamp",
    "unable to parse",
    "Exception",
    "trailing",
];

/// What it calls offsets without a record.
const GAP: &str = " is followed by ";

/// What it calls a gap before the first record of any segment that does not begin with offset 0.
const NOT_A_GAP: &str = "-1 is followed by ";

/// Runs kafka-dump-log over `files`; fails on anything that it complains of.
pub fn dump(tools: &Tools, options: &[&str], files: &[PathBuf]) -> Result<String> {
    dump_but_for(tools, options, files, &[])
}

/// The same over the files of a compacted topic, in which offsets are missing.
pub fn dump_compacted(tools: &Tools, options: &[&str], files: &[PathBuf]) -> Result<String> {
    dump_but_for(tools, options, files, &[GAP])
}

fn dump_but_for(
    tools: &Tools,
    options: &[&str],
    files: &[PathBuf],
    expected: &[&str],
) -> Result<String> {
    ensure!(!files.is_empty(), "no file to dump");
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut command = tools.kafka(KafkaTool::DumpLog);
    command.args(options).args(["--files", &names.join(",")]);
    let finished = run(&mut command, "", CLIENT_DEADLINE)?;
    let said = finished.stderr.clone();
    let text = finished.success().context("kafka-dump-log")?;
    for complaint in COMPLAINTS.iter().filter(|complaint| !expected.contains(complaint)) {
        let complains =
            |line: &&str| line.contains(complaint) && !line.trim_start().starts_with(NOT_A_GAP);
        let line = text.lines().chain(said.lines()).find(complains);
        ensure!(line.is_none(), "kafka-dump-log says: {}", line.unwrap_or_default());
    }
    Ok(text)
}
