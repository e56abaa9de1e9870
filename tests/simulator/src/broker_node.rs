//! A simulated host with the shipped broker on it: formatted as `millrace storage format` does it,
//! started as `millrace start` does it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use broker::config::{BrokerConfig, MemoryFloor, Properties};
use broker::format::{self, Formatting};
use broker::process::Fatal;
use protocol::model::{TimestampMs, Uuid};
use reactor::sim::{Crash, NodeId, Simulation};

use crate::verdict::Failure;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 9092;
const LOG_DIRECTORY: &str = "/data";
/// Virtual time in which formatting ends on the slowest disk that knobs make.
const FORMAT_LIMIT: Duration = Duration::from_secs(60);

/// One broker, which is its own controller, and the host that it runs on.
pub struct BrokerNode {
    pub node: NodeId,
    config: BrokerConfig,
    core_count: usize,
    /// Of the process that was started last.
    running: RefCell<Option<Fatal>>,
}

impl BrokerNode {
    /// Adds a host whose log directory is formatted. `overrides` are lines of `server.properties`.
    pub fn add(
        simulation: &Simulation,
        core_count: usize,
        storage: storage::Settings,
        overrides: &str,
    ) -> Result<Self, Failure> {
        let node = simulation.add_node("broker", IpAddr::V4(ADDRESS));
        let config = BrokerConfig { storage, ..config(overrides)? };
        let formatted = simulation.block_on(node, FORMAT_LIMIT, format_directory(config.clone()));
        match formatted {
            Ok(Ok(())) => Ok(BrokerNode { node, config, core_count, running: RefCell::default() }),
            Ok(Err(reason)) => Err(Failure::crash(format!("cannot format: {reason}"))),
            Err(elapsed) => Err(Failure::crash(format!("cannot format: {elapsed}"))),
        }
    }

    /// Has processes started from now on run with the least memory that works, by `floor`.
    pub fn set_memory(&mut self, floor: MemoryFloor) {
        self.config.memory_floor = floor;
        self.config.memory_size_bytes = None;
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((ADDRESS, PORT))
    }

    /// Starts a process; none runs (asserted by the simulation).
    pub fn start(&self, simulation: &Simulation) {
        let (stop, fatal) = broker::process::stopping();
        let seeds = broker::seeds(self.config.clone(), self.core_count, stop, fatal.clone());
        self.running.replace(Some(fatal));
        simulation.start(self.node, seeds, broker::run);
    }

    /// Tells the process to stop in good order, as SIGTERM does.
    pub fn stop(&self) {
        if let Some(fatal) = self.running.borrow().as_ref() {
            fatal.stop();
        }
    }

    pub fn crash(&self, simulation: &Simulation, crash: Crash) {
        self.running.replace(None);
        simulation.crash(self.node, crash);
    }

    /// Why the process ended, where it was not told to.
    pub fn reason(&self) -> Option<String> {
        self.running.borrow().as_ref().and_then(Fatal::reason)
    }
}

fn config(overrides: &str) -> Result<BrokerConfig, Failure> {
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.bootstrap.servers={ADDRESS}:9093\n\
         listeners=PLAINTEXT://{ADDRESS}:{PORT},CONTROLLER://{ADDRESS}:9093\n\
         controller.listener.names=CONTROLLER\nlog.dirs={LOG_DIRECTORY}\n\
         log.retention.ms=-1\nlog.message.timestamp.after.max.ms={}\n\
         log.retention.check.interval.ms=3000\nlog.initial.task.delay.ms=1000\n\
         producer.id.expiration.check.interval.ms=10000\n{overrides}",
        i64::MAX
    );
    let refused =
        |reason: String| Failure::crash(format!("the configuration is refused: {reason}"));
    let properties = Properties::parse(&text).map_err(|error| refused(error.to_string()))?;
    let mut config = BrokerConfig::from_properties(properties)
        .map_err(|error| refused(error.to_string()))?
        .config;
    config.listen_address = Some(SocketAddr::from((ADDRESS, PORT)));
    Ok(config)
}

async fn format_directory(config: BrokerConfig) -> Result<(), String> {
    let mut ids = [[0; 16]; 2];
    ids.iter_mut().for_each(|bytes| reactor::random::fill(bytes));
    let [cluster_id, directory_id] = ids.map(Uuid::from_random);
    let formatting = Formatting {
        cluster_id: cluster_id.to_string(),
        directory_id,
        standalone: true,
        now: TimestampMs(reactor::wall_clock()),
    };
    let files = format::files(&config, Path::new(LOG_DIRECTORY), &formatting)
        .map_err(|error| error.to_string())?;
    for (path, contents) in files {
        let written = async {
            if let Some(parent) = path.parent() {
                reactor::directory::create_all(parent).await?;
            }
            reactor::directory::write_atomic(&path, &contents).await
        };
        written.await.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
