//! `millrace doctor`: what is wrong, and what to do.

mod cluster;
mod configuration;
mod directory;
mod file_system;
mod finding;
mod host;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::bootstrap::Bootstrap;
use super::load::Source;
use super::output::Output;
use super::storage::all_directories;
use finding::{Findings, Severity};

/// Check this host, a configuration with its log directories, and the cluster that runs; say for each
/// thing that is wrong what to do. Exits with 1 where something is broken.
///
/// A file is written in each log directory and removed, to measure flushes; all else is only read.
///
/// Example: millrace doctor --config server.properties
#[derive(clap::Args)]
pub struct Doctor {
    /// Kafka's server.properties; without it what a start without a file takes.
    #[arg(short, long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// Brokers to reach the cluster by; without any, what the configuration advertises.
    #[arg(short, long = "bootstrap-server", value_name = "HOST:PORT", value_delimiter = ',')]
    bootstrap_servers: Vec<String>,
    /// Check nothing else; may be given several times.
    #[arg(long, value_enum, value_name = "AREA", value_delimiter = ',')]
    only: Vec<Area>,
    /// How long one answer of a broker may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print an object a line.
    #[arg(long)]
    json: bool,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Area {
    /// Kernel, limits, CPUs, clock.
    Host,
    /// Every key of the configuration.
    Configuration,
    /// The log directories of the configuration: file system, flushes, room, what they are formatted for.
    Directories,
    /// The cluster that runs: brokers, quorum, log directories, partitions.
    Cluster,
}

impl Area {
    fn name(self) -> &'static str {
        match self {
            Area::Host => "host",
            Area::Configuration => "configuration",
            Area::Directories => "directories",
            Area::Cluster => "cluster",
        }
    }
}

impl Doctor {
    pub fn run(&self) -> Result<()> {
        let only: BTreeSet<Area> = self.only.iter().copied().collect();
        let is_wanted = |area| only.is_empty() || only.contains(&area);
        let mut output = Output::stdout();
        let mut broken = 0;
        let mut show = |area: Area, findings: Findings| -> Result<()> {
            broken += findings.count(Severity::Broken);
            if is_wanted(area) {
                let text =
                    if self.json { findings.json(area.name()) } else { findings.text(area.name()) };
                output.write(text.as_bytes())?;
                // A cluster that does not answer takes a while: what is known by then is shown.
                output.flush()?;
            }
            Ok(())
        };
        let needs_configuration =
            [Area::Configuration, Area::Directories].into_iter().any(is_wanted)
                || (is_wanted(Area::Cluster) && self.bootstrap_servers.is_empty())
                || self.config.is_some();
        let (config, findings) = match needs_configuration {
            true => configuration::check(&self.source, self.config.as_deref()),
            false => (None, Findings::default()),
        };
        let cores = config.as_ref().and_then(|config| config.core_count);
        if is_wanted(Area::Host) {
            show(Area::Host, host::check(cores))?;
        }
        // Where it is wrong nothing that follows from it can be checked: that is said in any case.
        if is_wanted(Area::Configuration) {
            show(Area::Configuration, findings)?;
        } else if config.is_none() && needs_configuration {
            bail!("the configuration is wrong: `millrace doctor --only configuration` says how");
        }
        if let Some(config) = config.as_ref().filter(|_| is_wanted(Area::Directories)) {
            show(Area::Directories, directory::check(config, &all_directories(config)))?;
        }
        let servers = match (&config, self.bootstrap_servers.is_empty()) {
            (_, false) => self.bootstrap_servers.clone(),
            (Some(config), true) => vec![config.advertised.to_string()],
            (None, true) => Vec::new(),
        };
        if is_wanted(Area::Cluster) && !servers.is_empty() {
            show(Area::Cluster, cluster::check(&Bootstrap::of(servers, self.timeout)))?;
        }
        match broken {
            0 => Ok(()),
            1 => bail!("one thing is broken"),
            _ => bail!("{broken} things are broken"),
        }
    }
}
