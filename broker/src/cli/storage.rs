//! `millrace storage`: what `kafka-storage` does, on the same files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use controller::decide::bootstrap_feature_records;
use controller::metadata::{METADATA_VERSION_MAX, metadata_version_name};
use controller::raft::{KraftVersion, VoterSet};
use controller::{Snapshot, SnapshotId};
use protocol::model::{LeaderEpoch, Offset, TimestampMs, Uuid};
use storage::MetaProperties;

use super::load::Source;
use crate::config::BrokerConfig;
use crate::controller_core::{METADATA_DIRECTORY, own_voter};

/// Prepare and inspect log directories.
#[derive(Subcommand)]
pub enum Storage {
    /// Print a new random UUID, fit for a cluster id.
    ///
    /// Example: millrace storage random-uuid
    RandomUuid,
    /// Format the log directories of a configuration for a cluster.
    ///
    /// Example: millrace storage format -t "$(millrace storage random-uuid)" -c server.properties --standalone
    Format(Format),
    /// Show whether the log directories of a configuration are formatted, and for what.
    ///
    /// Example: millrace storage info -c server.properties
    Info(Info),
}

#[derive(clap::Args)]
pub struct Format {
    /// The id of the cluster, as random-uuid prints one.
    #[arg(short = 't', long)]
    cluster_id: String,
    /// Kafka's server.properties; without it the embedded default.
    #[arg(short = 'c', long)]
    config: Option<PathBuf>,
    /// Make a dynamic quorum of this node alone. Needed unless controller.quorum.voters is set.
    #[arg(short = 's', long)]
    standalone: bool,
    /// Leave directories that are formatted already as they are, instead of failing.
    #[arg(short = 'g', long)]
    ignore_formatted: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(clap::Args)]
pub struct Info {
    /// Kafka's server.properties; without it the embedded default.
    #[arg(short = 'c', long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

const META_PROPERTIES: &str = "meta.properties";
const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

impl Storage {
    pub fn run(&self) -> Result<()> {
        match self {
            Storage::RandomUuid => {
                println!("{}", random_uuid()?);
                Ok(())
            }
            Storage::Format(format) => format.run(),
            Storage::Info(info) => info.run(),
        }
    }
}

impl Format {
    fn run(&self) -> Result<()> {
        let cluster_id = self.cluster_id.trim();
        cluster_id.parse::<Uuid>().context("--cluster-id")?;
        let config = self.source.load(self.config.as_deref())?.config;
        let is_static = config.properties.value("controller.quorum.voters").is_some();
        match (is_static, self.standalone) {
            (true, true) => bail!("--standalone and controller.quorum.voters exclude each other"),
            (false, false) => bail!(
                "controller.quorum.voters is not set: add --standalone to make a quorum of this \
                 node alone"
            ),
            _ => {}
        }
        let directories = all_directories(&config);
        let formatted: Vec<&PathBuf> =
            directories.iter().filter(|path| path.join(META_PROPERTIES).exists()).collect();
        if !formatted.is_empty() && !self.ignore_formatted {
            bail!(
                "{} is formatted already; --ignore-formatted leaves it as it is",
                formatted[0].display()
            );
        }
        if formatted.len() == directories.len() {
            println!("All of the log directories are already formatted.");
            return Ok(());
        }
        for directory in directories.iter().filter(|path| !formatted.contains(path)) {
            self.format(&config, directory, cluster_id)?;
            println!(
                "Formatting {} with metadata.version {}.",
                directory.display(),
                metadata_version_name(METADATA_VERSION_MAX).unwrap_or("unknown")
            );
        }
        Ok(())
    }

    /// Writes a directory's files; `meta.properties` last, since it says that the others are there.
    #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
    fn format(&self, config: &BrokerConfig, directory: &Path, cluster_id: &str) -> Result<()> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let directory_id = random_uuid()?;
        let now = TimestampMs(wall_clock_ms()?);
        let snapshot = |voters, records| {
            Snapshot { last_contained_log_timestamp: TimestampMs(0), voters, records }
                .encode(LeaderEpoch(0), now)
        };
        write_durably(
            &directory.join(BOOTSTRAP_CHECKPOINT),
            &snapshot(None, bootstrap_feature_records()),
        )?;
        if self.standalone && directory == config.metadata_log_dir {
            let log = directory.join(METADATA_DIRECTORY);
            std::fs::create_dir_all(&log)
                .with_context(|| format!("cannot make {}", log.display()))?;
            let voter = own_voter(config, Some(directory_id));
            let voters = (KraftVersion::Dynamic, VoterSet::new([voter])?);
            let id = SnapshotId { end_offset: Offset::ZERO, leader_epoch: LeaderEpoch(0) };
            write_durably(&log.join(id.file_name()), &snapshot(Some(voters), Vec::new()))?;
        }
        let meta = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: config.node_id,
            directory_id: Some(directory_id),
        };
        write_durably(&directory.join(META_PROPERTIES), meta.encode().as_bytes())
    }
}

impl Info {
    #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
    fn run(&self) -> Result<()> {
        let config = self.source.load(self.config.as_deref())?.config;
        let mut problems = String::new();
        println!("Log directories:");
        for directory in all_directories(&config) {
            let path = directory.join(META_PROPERTIES);
            if !path.exists() {
                println!("  {}: not formatted", directory.display());
                writeln!(
                    problems,
                    "{} is not formatted: run millrace storage format",
                    directory.display()
                )?;
                continue;
            }
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let meta = MetaProperties::decode(&text)
                .map_err(|reason| anyhow!("{} is not valid: {reason}", path.display()))?;
            println!(
                "  {}: cluster.id={} node.id={} directory.id={}",
                directory.display(),
                meta.cluster_id,
                meta.node_id,
                meta.directory_id.map_or_else(|| "none".to_owned(), |id| id.to_string())
            );
            if meta.node_id != config.node_id {
                writeln!(
                    problems,
                    "{} belongs to node {}, the configuration is of node {}",
                    directory.display(),
                    meta.node_id,
                    config.node_id
                )?;
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        bail!("found problems:\n{}", problems.trim_end())
    }
}

/// The log directories, and the one of the metadata log if it is not among them.
fn all_directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut directories = config.log_dirs.clone();
    if !directories.contains(&config.metadata_log_dir) {
        directories.push(config.metadata_log_dir.clone());
    }
    directories
}

/// A UUID that no topic, directory or cluster of Kafka's has reserved.
#[expect(clippy::disallowed_types, reason = "the command line is no core")]
fn random_uuid() -> Result<Uuid> {
    use std::io::Read as _;
    let mut random = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    loop {
        let mut bytes = [0; 16];
        random.read_exact(&mut bytes).context("cannot read /dev/urandom")?;
        let uuid = Uuid::from_random(bytes);
        if !uuid.is_reserved() {
            return Ok(uuid);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the command line is no core"
)]
fn wall_clock_ms() -> Result<i64> {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since_epoch.as_millis())?)
}

/// Writes a file and flushes it and its name.
#[expect(clippy::disallowed_types, reason = "the command line is no core")]
fn write_durably(path: &Path, contents: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let context = || format!("cannot write {}", path.display());
    let mut file = std::fs::File::create(path).with_context(context)?;
    file.write_all(contents).with_context(context)?;
    file.sync_all().with_context(context)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(parent).and_then(|dir| dir.sync_all()).with_context(context)
}
