//! What is done to the broker while clients work, each drawn from the seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reactor::sim::{Crash, DiskFaults, Knobs, NodeId, Random, Simulation};

use crate::broker_node::BrokerNode;
use crate::clients::Clients;
use crate::log_world::any_disk_failure;
use crate::verdict::Failure;
use crate::workload::Workload;

/// A broker that was told to stop has stopped after this, also when clients hold its requests.
const STOP_LIMIT: Duration = Duration::from_secs(300);

/// One kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process is killed and started again.
    Kill,
    /// The host loses power and comes back.
    PowerLoss,
    /// The host loses power right when a client hears of an acknowledgement, on a slow disk: nothing has
    /// time to become durable behind it.
    PowerLossAtAcknowledgement,
    /// The host loses power right when a member hears that its commit is taken, on a slow disk.
    PowerLossAtCommit,
    /// It goes down again while it starts.
    CrashWhileStarting,
    /// The host loses power right when an administrator hears that a topic is altered, on a slow disk.
    PowerLossAtDecision,
    /// The process is told to stop, and started again.
    CleanRestart,
    /// A client's host and the broker's do not reach each other for a while.
    Partition,
    /// What one side sends does not arrive for a while.
    OneWayPartition,
    /// Connections of a client's host are reset.
    ConnectionsBroken,
    /// The process does not run for a while.
    Pause,
    /// Every operation of the disk takes long for a while.
    SlowDisk,
    WallClockJump,
    /// A topic is deleted, and one of its name is made.
    TopicReplaced,
    /// The oldest records of a partition are deleted.
    RecordsDeleted,
    /// A topic gets another configuration, or more partitions.
    TopicAltered,
    /// No operation of the disk ends for a while.
    DiskStalled,
    /// The disk refuses reads, writes or flushes, and is replaced by one with the same on it.
    DiskFailed,
    /// Nothing more fits on the disk for a while.
    DiskFull,
}

/// Those after which the broker has been started again come first.
const FAULTS: [Fault; 19] = [
    Fault::Kill,
    Fault::PowerLoss,
    Fault::PowerLossAtAcknowledgement,
    Fault::PowerLossAtCommit,
    Fault::CrashWhileStarting,
    Fault::PowerLossAtDecision,
    Fault::CleanRestart,
    Fault::Partition,
    Fault::OneWayPartition,
    Fault::ConnectionsBroken,
    Fault::Pause,
    Fault::SlowDisk,
    Fault::WallClockJump,
    Fault::TopicReplaced,
    Fault::RecordsDeleted,
    Fault::TopicAltered,
    Fault::DiskStalled,
    Fault::DiskFailed,
    Fault::DiskFull,
];
const RESTART_COUNT: usize = 7;

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::PowerLoss => "power_loss",
            Fault::PowerLossAtAcknowledgement => "power_loss_at_acknowledgement",
            Fault::PowerLossAtCommit => "power_loss_at_commit",
            Fault::CrashWhileStarting => "crash_while_starting",
            Fault::PowerLossAtDecision => "power_loss_at_decision",
            Fault::CleanRestart => "clean_restart",
            Fault::Partition => "partition",
            Fault::OneWayPartition => "one_way_partition",
            Fault::ConnectionsBroken => "connections_broken",
            Fault::Pause => "pause",
            Fault::SlowDisk => "slow_disk",
            Fault::WallClockJump => "wall_clock_jump",
            Fault::TopicReplaced => "topic_replaced",
            Fault::RecordsDeleted => "records_deleted",
            Fault::TopicAltered => "topic_altered",
            Fault::DiskStalled => "disk_stalled",
            Fault::DiskFailed => "disk_failed",
            Fault::DiskFull => "disk_full",
        }
    }
}

/// Draws faults and does them, one after the other.
pub struct Nemesis<'a, 'b> {
    pub simulation: &'a Simulation,
    pub broker: &'a BrokerNode,
    pub clients: &'a mut Clients<'b>,
    pub workload: &'a Workload,
    pub random: Random,
    /// How the world is between faults.
    pub knobs: Knobs,
    pub done: BTreeMap<&'static str, u64>,
    /// Times that the broker was started again.
    pub restarts: u64,
}

impl Nemesis<'_, '_> {
    /// Does one fault, one with a restart where `needs_restart`, and mends it where it does not mend
    /// itself.
    pub fn strike(&mut self, needs_restart: bool) -> Result<(), Failure> {
        let kinds = if needs_restart { &FAULTS[..RESTART_COUNT] } else { &FAULTS[..] };
        let fault = kinds[self.random.index(kinds.len())];
        *self.done.entry(fault.name()).or_default() += 1;
        tracing::info!(fault = fault.name(), "strikes");
        match fault {
            Fault::Kill => self.crash_and_start(Crash::Kill),
            Fault::PowerLoss => self.crash_and_start(Crash::PowerLoss),
            Fault::PowerLossAtAcknowledgement => {
                self.slow_disk(Duration::from_secs(2));
                self.lose_power_when_more(Workload::acknowledged_records);
            }
            Fault::PowerLossAtCommit => {
                self.slow_disk(Duration::from_secs(2));
                let group = self.clients.group.clone();
                self.lose_power_when_more(|_| group.commits());
            }
            Fault::PowerLossAtDecision => {
                self.clients.alter_topic(&mut self.random);
                self.slow_disk(Duration::from_millis(200));
                self.lose_power_when_more(Workload::decisions);
            }
            Fault::CrashWhileStarting => {
                let crash = self.any_crash();
                self.crash_and_start(crash);
                // Long enough to open logs and to write, too short to be done with it every time.
                self.pass(Duration::from_millis(300));
                let crash = self.any_crash();
                self.crash_and_start(crash);
            }
            Fault::CleanRestart => self.restart_cleanly()?,
            Fault::Partition => {
                let client = self.any_client();
                self.simulation.partition(client, self.broker.node);
                self.pass(Duration::from_secs(20));
                self.simulation.heal_link(client, self.broker.node);
            }
            Fault::OneWayPartition => {
                let client = self.any_client();
                if self.random.chance(0.5) {
                    self.simulation.partition_one_way(client, self.broker.node);
                } else {
                    self.simulation.partition_one_way(self.broker.node, client);
                }
                self.pass(Duration::from_secs(20));
                self.simulation.heal_link(client, self.broker.node);
            }
            Fault::ConnectionsBroken => {
                let client = self.any_client();
                self.simulation.break_connections(client, self.broker.node);
            }
            Fault::Pause => {
                self.simulation.pause(self.broker.node);
                self.pass(Duration::from_secs(10));
                self.simulation.resume(self.broker.node);
            }
            Fault::SlowDisk => {
                self.slow_disk(Duration::from_secs(5));
                self.simulation.set_knobs(self.knobs.clone());
            }
            Fault::WallClockJump => {
                let milliseconds = self.random.below(7_200_000) as i64 - 3_600_000;
                self.simulation.jump_wall_clock(self.broker.node, milliseconds);
            }
            Fault::TopicReplaced => {
                // What comes next may meet it under way.
                self.clients.replace_topic();
                self.pass(Duration::from_millis(200));
            }
            Fault::RecordsDeleted => {
                self.clients.trim_topic(&mut self.random);
                self.pass(Duration::from_millis(200));
            }
            Fault::TopicAltered => {
                self.clients.alter_topic(&mut self.random);
                self.pass(Duration::from_millis(200));
            }
            Fault::DiskFailed => {
                let mut failing = any_disk_failure(&mut self.random);
                failing.capacity_bytes = None;
                let loses_power = failing.flush_error > 0.0;
                self.set_disk_faults(failing);
                self.pass(Duration::from_secs(5));
                // It has ended by itself, most often: it has no other disk.
                let crash = if loses_power { Crash::PowerLoss } else { self.any_crash() };
                self.broker.crash(self.simulation, crash);
                self.set_disk_faults(DiskFaults::default());
                self.broker.start(self.simulation);
                self.restarts += 1;
            }
            Fault::DiskFull => {
                let full = DiskFaults { capacity_bytes: Some(0), ..DiskFaults::default() };
                self.set_disk_faults(full);
                self.pass(Duration::from_secs(10));
                self.set_disk_faults(DiskFaults::default());
                // One that runs goes on. A start that finds no room ends, and says so, once what it has
                // under way is over.
                self.pass(Duration::from_secs(5));
                let reason = self.broker.reason().unwrap_or_default();
                if reason.starts_with("cannot ") && reason.ends_with("no storage space") {
                    self.broker.crash(self.simulation, Crash::Kill);
                    self.broker.start(self.simulation);
                    self.restarts += 1;
                }
            }
            Fault::DiskStalled => {
                let stalled = DiskFaults { is_stalled: true, ..DiskFaults::default() };
                self.set_disk_faults(stalled);
                self.pass(Duration::from_secs(30));
                // It comes back, or someone turns the host off and on.
                let is_turned_off = self.random.chance(0.5);
                if is_turned_off {
                    self.broker.crash(self.simulation, Crash::PowerLoss);
                }
                self.set_disk_faults(DiskFaults::default());
                if is_turned_off {
                    self.broker.start(self.simulation);
                    self.restarts += 1;
                }
            }
        }
        Ok(())
    }

    /// The host loses power as soon as `count` is higher, with a disk that was made slow, and comes back.
    fn lose_power_when_more(&mut self, count: impl Fn(&Workload) -> u64) {
        let before = count(self.workload);
        let is_over = || self.workload.has_failed() || count(self.workload) > before;
        self.simulation.run_until(is_over, Duration::from_secs(10));
        self.broker.crash(self.simulation, Crash::PowerLoss);
        self.simulation.set_knobs(self.knobs.clone());
        self.pass(Duration::from_secs(2));
        self.broker.start(self.simulation);
        self.restarts += 1;
    }

    /// The broker goes down by `crash`, and comes up some time later.
    pub fn crash_and_start(&mut self, crash: Crash) {
        self.broker.crash(self.simulation, crash);
        self.pass(Duration::from_secs(2));
        self.broker.start(self.simulation);
        self.restarts += 1;
    }

    /// Errors: it does not stop, or says that something is wrong.
    pub fn restart_cleanly(&mut self) -> Result<(), Failure> {
        self.broker.stop();
        let (simulation, node) = (self.simulation, self.broker.node);
        let has_stopped = simulation
            .run_until(|| self.workload.has_failed() || !simulation.is_running(node), STOP_LIMIT);
        if let Some(failure) = self.workload.failure() {
            return Err(failure);
        }
        if let Some(reason) = self.broker.reason() {
            return Err(Failure::crash(format!("the broker ended: {reason}")));
        }
        if !has_stopped {
            return Err(Failure::liveness(format!("a clean stop takes more than {STOP_LIMIT:?}")));
        }
        self.broker.start(simulation);
        self.restarts += 1;
        Ok(())
    }

    /// Lets up to `longest` pass, or less when a client finds something.
    pub fn pass(&mut self, longest: Duration) {
        self.clients.join_new_topics();
        let span = self.random.span(&(Duration::ZERO..longest));
        self.simulation.run_until(|| self.workload.has_failed(), span);
    }

    /// From now on every operation of the disk takes long. Lets up to `longest` pass.
    fn slow_disk(&mut self, longest: Duration) {
        self.simulation.set_knobs(Knobs { disk_slow: 1.0, ..self.knobs.clone() });
        self.pass(longest);
    }

    fn set_disk_faults(&self, faults: DiskFaults) {
        self.simulation
            .set_disk_faults(self.broker.node, Path::new("/"), faults)
            .expect("a node has a disk");
    }

    fn any_crash(&mut self) -> Crash {
        if self.random.chance(0.5) { Crash::Kill } else { Crash::PowerLoss }
    }

    fn any_client(&mut self) -> NodeId {
        self.clients.nodes[self.random.index(self.clients.nodes.len())]
    }
}
