//! `millrace start`: checks the host, launches a core for each CPU, and waits for the end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::load::Source;
use super::log::{LogFormat, log_to_stderr};
use crate::admin_http::{AdminServer, NodeFacts};
use crate::config::MemoryShares;
use crate::cores;
use crate::metrics::Observer;
use crate::process;

/// Run a broker in the foreground until SIGINT or SIGTERM.
///
/// Example: millrace start server.properties --override log.dirs=/var/lib/millrace
#[derive(clap::Args)]
pub struct Start {
    /// Kafka's server.properties; without it one node runs on 127.0.0.1:9092 with its data in ./data.
    file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// How the log on stderr is written; RUST_LOG says what is (default: info).
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,
}

impl Start {
    /// Runs the broker to its end. Errors: none where the log is for programs, which have it there.
    pub fn run(&self) -> Result<ExitCode> {
        log_to_stderr(self.log_format);
        match (self.serve(), self.log_format) {
            (Ok(()), _) => Ok(ExitCode::SUCCESS),
            (Err(error), LogFormat::Text) => Err(error),
            (Err(error), LogFormat::Json) => {
                tracing::error!(error = format!("{error:#}"), "millrace cannot run");
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn serve(&self) -> Result<()> {
        let loaded = self.source.load(self.file.as_deref())?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let mut config = loaded.config;
        let core_count = config.core_count.unwrap_or_else(reactor::host::cpu_count);
        let host_size_bytes = reactor::host::memory_size_bytes();
        let memory = MemoryShares::node_size_bytes(&config, core_count, host_size_bytes)?;
        config.memory_size_bytes = Some(memory);
        let directories: Vec<&Path> = config.log_dirs.iter().map(PathBuf::as_path).collect();
        if let Some(missing) = directories.iter().find(|directory| !directory.exists()) {
            bail!("{} does not exist: run `millrace storage format`", missing.display());
        }
        reactor::host::check(core_count, &[config.metadata_log_dir.as_path()])?;
        for directory in directories {
            // One that cannot be used is left out of the start, which says so.
            if let Ok(false) = reactor::host::has_direct_io(directory) {
                let directory = directory.display();
                tracing::warn!(%directory, "no direct I/O on this file system: files are buffered");
            }
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            node_id = config.node_id.0,
            cores = core_count,
            memory_mb = memory >> 20,
            listener = %config.listener,
            advertised = %config.advertised,
            "starting"
        );
        // Taken first: a start that fails for it has touched nothing.
        let admin = config.admin_address.map(AdminServer::bind).transpose()?;
        let facts = NodeFacts {
            node_id: config.node_id.0,
            log_dirs: config.log_dirs.clone(),
            memory: MemoryShares::new(memory, core_count, &config),
        };
        let (stop, fatal) = process::stopping();
        let mut seeds = cores::seeds(config, core_count, stop, fatal.clone());
        let observed = admin.map(|admin| (admin, Observer::of(&mut seeds)));
        let running = reactor::launch(reactor::Settings::default(), seeds, cores::run)?;
        stop_on_signal(fatal.clone());
        if let Some((admin, observer)) = observed {
            admin.run(observer, facts).context("cannot start the thread that serves metrics")?;
        }
        running.join();
        match fatal.reason() {
            Some(reason) => bail!(reason),
            None => {
                tracing::info!("stopped");
                Ok(())
            }
        }
    }
}

/// A thread that waits for SIGINT or SIGTERM; a second one ends the process at once.
#[expect(clippy::disallowed_methods, reason = "the command line is no core")]
fn stop_on_signal(fatal: process::Fatal) {
    std::thread::spawn(move || {
        let signal = reactor::outside::wait_for_stop_signal();
        tracing::info!(signal, "stopping; once more ends the process without a clean stop");
        fatal.stop();
        reactor::outside::wait_for_stop_signal();
        std::process::exit(1);
    });
}
