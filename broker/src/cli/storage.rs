//! `millrace storage`: what `kafka-storage` does, on the same files.

pub mod on_core;
mod recover;
mod verify;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use controller::metadata::{METADATA_VERSION_MAX, metadata_version_name};
use protocol::model::{TimestampMs, Uuid};
use storage::MetaProperties;

use super::load::Source;
use crate::config::BrokerConfig;
use crate::format::{self, Formatting, META_PROPERTIES};

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
    Verify(verify::Verify),
    Recover(recover::Recover),
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

impl Storage {
    pub fn run(&self) -> Result<()> {
        match self {
            Storage::RandomUuid => {
                println!("{}", random_uuid()?);
                Ok(())
            }
            Storage::Format(format) => format.run(),
            Storage::Info(info) => info.run(),
            Storage::Verify(verify) => verify.run(),
            Storage::Recover(recover) => recover.run(),
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

    /// Writes a directory's files, each durable before the next.
    #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
    fn format(&self, config: &BrokerConfig, directory: &Path, cluster_id: &str) -> Result<()> {
        let formatting = Formatting {
            cluster_id: cluster_id.to_owned(),
            directory_id: random_uuid()?,
            standalone: self.standalone,
            now: TimestampMs(wall_clock_ms()?),
        };
        for (path, contents) in format::files(config, directory, &formatting)? {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)
                    .with_context(|| format!("cannot make {}", parent.display()))?;
            }
            write_durably(&path, &contents)?;
        }
        Ok(())
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
pub fn all_directories(config: &BrokerConfig) -> Vec<PathBuf> {
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
pub fn wall_clock_ms() -> Result<i64> {
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
