//! Reads the schemas in Kafka's jars.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::command::KAFKA_VERSION;
use super::schema::Schema;

/// The schemas of each jar, sorted by name.
#[derive(Debug)]
pub struct Sources {
    pub clients: Vec<Schema>,
    pub metadata: Vec<Schema>,
    pub group: Vec<Schema>,
    pub transaction: Vec<Schema>,
    pub share: Vec<Schema>,
    pub raft: Vec<Schema>,
    pub storage: Vec<Schema>,
}

impl Sources {
    /// Reads the jars in `jars`, with `scratch` to unpack them.
    pub fn read(scratch: &Path, jars: &Path) -> Result<Self> {
        let read = |artifact: &str| -> Result<Vec<Schema>> {
            let jar = jars.join(format!("{artifact}-{KAFKA_VERSION}.jar"));
            schemas(&jar, &scratch.join("schemas").join(artifact))
                .with_context(|| format!("cannot read the schemas in {}", jar.display()))
        };
        Ok(Sources {
            clients: read("kafka-clients")?,
            metadata: read("kafka-metadata")?,
            group: read("kafka-group-coordinator")?,
            transaction: read("kafka-transaction-coordinator")?,
            share: read("kafka-share-coordinator")?,
            raft: read("kafka-raft")?,
            storage: read("kafka-storage")?,
        })
    }
}

/// Unpacks the JSON files of `jar` into `folder` and reads them.
fn schemas(jar: &Path, folder: &Path) -> Result<Vec<Schema>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    // `-j` drops the folders: each jar keeps its schemas in one, but not all in the same.
    let status = Command::new("unzip")
        .args(["-qo", "-j"])
        .arg(jar)
        .args(["*.json", "-d"])
        .arg(folder)
        .status()
        .context("cannot run unzip")?;
    ensure!(status.success(), "unzip failed");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    ensure!(!paths.is_empty(), "there are none");
    paths.sort();
    paths
        .iter()
        .map(|path| {
            Schema::parse(&fs::read_to_string(path)?)
                .with_context(|| format!("in {}", path.display()))
        })
        .collect()
}
