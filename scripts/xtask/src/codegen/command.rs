//! The command: reads the schemas, prints the files, writes or compares them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use super::files::{self, Files, OWNED};
use super::golden;
use super::sources::Sources;
use crate::ci;

pub const KAFKA_VERSION: &str = "4.3.1";

const USAGE: &str = "usage: cargo xtask codegen [--check] [--jars DIR]

  --check      write nothing; say which committed files are stale
  --jars DIR   take Kafka's jars from DIR instead of those that setup fetches";

/// Prints the generated files, or with `--check` compares them. Exit code 1: some are stale.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut check = false;
    let mut jars = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--jars" => jars = Some(PathBuf::from(rest.next().context("--jars needs a folder")?)),
            unknown => bail!("unknown argument `{unknown}`\n{USAGE}"),
        }
    }
    let jars = jars.map_or_else(ci::kafka_jars, Ok)?;
    let stale = compare(&generate(&jars)?)?;
    if stale.is_empty() {
        println!("codegen: all files are as Kafka {KAFKA_VERSION} has them");
        return Ok(ExitCode::SUCCESS);
    }
    for (path, content) in &stale {
        println!("{} {path}", if check { "stale:" } else { "wrote" });
        if !check {
            write(&ci::root().join(path), content.as_deref())?;
        }
    }
    Ok(if check { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All generated files: the formatted source, and Kafka's bytes.
fn generate(jars: &Path) -> Result<Files> {
    let scratch = ci::target().join("codegen");
    fs::create_dir_all(&scratch)?;
    let sources = Sources::read(&scratch, jars)?;
    let mut files = format(&scratch.join("out"), files::files(&sources)?)?;
    files.extend(golden::files(jars, &scratch.join("golden"))?);
    Ok(files)
}

/// Runs rustfmt over `files`, in `scratch`.
fn format(scratch: &Path, files: Files) -> Result<Files> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    for (path, content) in &files {
        write(&scratch.join(path), Some(content))?;
    }
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(ci::root().join("rustfmt.toml"))
        .args(files.keys().map(|path| scratch.join(path)))
        .status()
        .context("cannot run rustfmt")?;
    ensure!(status.success(), "rustfmt refused the generated code in {}", scratch.display());
    files
        .into_keys()
        .map(|path| Ok((path.clone(), fs::read_to_string(scratch.join(&path))?)))
        .collect()
}

/// What differs from the committed files: new content, or `None` for a file that should not be.
fn compare(files: &Files) -> Result<BTreeMap<String, Option<String>>> {
    let root = ci::root();
    let mut stale = BTreeMap::new();
    for folder in OWNED {
        for path in files_below(&root.join(folder))? {
            let path = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            if !files.contains_key(&path) && !path.ends_with(golden::PROGRAM) {
                stale.insert(path, None);
            }
        }
    }
    for (path, content) in files {
        if fs::read_to_string(root.join(path)).ok().as_ref() != Some(content) {
            stale.insert(path.clone(), Some(content.clone()));
        }
    }
    Ok(stale)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// Writes `content`, or removes the file.
fn write(path: &Path, content: Option<&str>) -> Result<()> {
    let Some(content) = content else { return Ok(fs::remove_file(path)?) };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_files_are_as_generated() {
        let jars = match ci::kafka_jars() {
            Ok(jars) => jars,
            Err(reason) => {
                eprintln!("SKIPPED committed_files_are_as_generated: no Kafka jars: {reason:#}");
                return;
            }
        };
        let stale: Vec<String> = compare(&generate(&jars).unwrap()).unwrap().into_keys().collect();
        assert!(stale.is_empty(), "stale, run `cargo xtask codegen`: {stale:?}");
    }
}
