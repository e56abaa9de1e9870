//! The bytes that Kafka's own classes write for each message and record: what the tests compare with.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::files::{Files, GOLDEN};
use crate::ci;

/// The program, beside its output.
pub const PROGRAM: &str = "Messages.java";

/// Runs the program with Kafka's classes, and returns the files that it wrote to `scratch`.
pub fn files(jars: &Path, scratch: &Path) -> Result<Files> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    fs::create_dir_all(scratch)?;
    let output = Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg(ci::root().join(GOLDEN).join(PROGRAM))
        .arg(scratch)
        .output()
        .context("cannot run java")?;
    ensure!(
        output.status.success(),
        "{PROGRAM} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut files = Files::new();
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?.to_string_lossy();
        files.insert(format!("{GOLDEN}/{name}"), fs::read_to_string(&path)?);
    }
    Ok(files)
}
