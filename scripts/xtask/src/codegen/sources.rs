//! Gets Kafka's jars and reads the schemas in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::KAFKA_VERSION;
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
    /// Takes the jars from `jars`, or has Maven copy them to `scratch/jars`.
    pub fn read(scratch: &Path, jars: Option<&Path>) -> Result<Self> {
        let read = |artifact: &str| -> Result<Vec<Schema>> {
            let jar = format!("{artifact}-{KAFKA_VERSION}.jar");
            let jar = match jars {
                Some(folder) => folder.join(jar),
                None => fetch(artifact, &scratch.join("jars"))?.join(jar),
            };
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

/// Has Maven put the jar into `folder`, unless it is there.
fn fetch(artifact: &str, folder: &Path) -> Result<PathBuf> {
    if !folder.join(format!("{artifact}-{KAFKA_VERSION}.jar")).exists() {
        let status = Command::new("mvn")
            .args(["--quiet", "--batch-mode", "dependency:copy"])
            .arg(format!("-Dartifact=org.apache.kafka:{artifact}:{KAFKA_VERSION}"))
            .arg(format!("-DoutputDirectory={}", folder.display()))
            .status()
            .context("cannot run mvn; `--jars DIR` does without it")?;
        ensure!(status.success(), "mvn cannot copy {artifact} {KAFKA_VERSION}");
    }
    Ok(folder.to_owned())
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
        .args(["*message/*.json", "*metadata/*.json", "-d"])
        .arg(folder)
        .status()
        .context("cannot run unzip")?;
    // 11: one of the two patterns matched nothing.
    ensure!(status.success() || status.code() == Some(11), "unzip failed");
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
