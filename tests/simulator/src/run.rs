//! One run: a world drawn from a seed, safety under faults, then liveness once all is healed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use reactor::sim::{Client, Counters, Crash, Knobs, NodeId, Simulation};

use crate::broker_node::BrokerNode;
use crate::clients::Clients;
use crate::faults::Nemesis;
use crate::scenario::Scenario;
use crate::verdict::Failure;
use crate::workload::Workload;

/// The largest requests and batches that are sent fit, and hardly more: how much memory a core needs
/// follows from them.
const SMALL_REQUESTS: &str = "socket.request.max.bytes=400000\nmessage.max.bytes=70000\n";
/// Virtual time from a healthy world's beginning until the topics are there.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Virtual time after the last fault until all is accepted and read: connections that were cut off take
/// up to 40 seconds to notice, and the broker up to its session timeout.
const HEAL_LIMIT: Duration = Duration::from_secs(600);
/// A run that has not reached its floor after so many faults never will.
const FAULT_COUNT_MAX: u64 = 200;
/// From so many faults on the world is calm between them: where records of 20 kB travel through sockets
/// of 1 KiB that break, hardly any arrive, whatever the broker does.
const HOSTILE_FAULT_COUNT_MAX: u64 = 50;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub trace_hash: u64,
    pub virtual_time: Duration,
    pub acknowledged_records: u64,
    pub exposed_records: u64,
    pub compared_records: u64,
    pub topics: u64,
    /// Commits of offsets that were acknowledged.
    pub commits: u64,
    pub restarts: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub marks: BTreeMap<&'static str, u64>,
    pub counters: Counters,
}

struct Run<'a> {
    simulation: &'a Simulation,
    scenario: &'a Scenario,
    broker: BrokerNode,
    client_nodes: Vec<NodeId>,
    workload: Rc<Workload>,
}

/// Runs `scenario` to its end, in a world that `prepare` has seen first.
pub fn run(scenario: &Scenario, prepare: &dyn Fn(&Simulation)) -> Result<Outcome, Failure> {
    // The world begins healthy, so that every run has a broker to harm.
    let simulation = Simulation::new(scenario.seed, Knobs::default());
    prepare(&simulation);
    // Snapshots of the metadata every few changes, and little of their log kept.
    let mut overrides = format!(
        "log.segment.bytes={}\nmetadata.log.max.record.bytes.between.snapshots=1000\n\
         metadata.log.segment.ms=5000\nmetadata.max.retention.bytes=20000\n\
         log.cleaner.backoff.ms=500\noffsets.topic.num.partitions=3\n\
         offsets.topic.replication.factor=1\noffsets.retention.minutes=2147483647\n\
         group.initial.rebalance.delay.ms=300\n",
        scenario.segment_size_bytes
    );
    if scenario.memory.is_some() {
        overrides.push_str(SMALL_REQUESTS);
    }
    let storage = scenario.storage.clone();
    let mut broker = BrokerNode::add(&simulation, scenario.core_count, storage, &overrides)?;
    if let Some(floor) = scenario.memory {
        broker.set_memory(floor);
    }
    let client_nodes = [2, 3].map(|last| {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        simulation.add_node(&format!("client-{last}"), ip)
    });
    let workload = Workload::new(broker.address(), scenario.request_timeout);
    let run = Run {
        simulation: &simulation,
        scenario,
        broker,
        client_nodes: client_nodes.to_vec(),
        workload,
    };
    run.all()
}

impl Run<'_> {
    fn all(&self) -> Result<Outcome, Failure> {
        let simulation = self.simulation;
        self.broker.start(simulation);
        let mut clients =
            Clients::new(simulation, self.scenario, &self.client_nodes, &self.workload);
        for plan in &self.scenario.topics {
            self.finish(clients.create(plan), START_LIMIT, "start")?;
        }
        simulation.set_knobs(self.scenario.knobs.clone());
        clients.start_all();
        let mut nemesis = Nemesis {
            simulation,
            broker: &self.broker,
            clients: &mut clients,
            workload: &self.workload,
            random: simulation.random("faults"),
            knobs: self.scenario.knobs.clone(),
            done: BTreeMap::new(),
            restarts: 0,
        };
        self.harm(&mut nemesis)?;
        simulation.set_knobs(Knobs::default());
        simulation.heal();
        nemesis.pass(self.scenario.drain_after);
        self.workload.drain();
        self.drain(&mut nemesis)?;
        // Once more from nothing but the disk, by a consumer that knows nothing.
        nemesis.crash_and_start(Crash::PowerLoss);
        nemesis.restart_cleanly()?;
        nemesis.clients.start_fresh_consumers();
        self.wait_for_consumers(nemesis.clients)?;
        self.check_altered(nemesis.clients)?;
        self.check_group(nemesis.clients)?;
        let outcome = self.outcome(&nemesis);
        if outcome.acknowledged_records == 0 || outcome.compared_records == 0 {
            return Err(Failure::liveness("the run has compared nothing".to_owned()));
        }
        Ok(outcome)
    }

    /// Faults until there are enough, and the run is not a small one.
    fn harm(&self, nemesis: &mut Nemesis<'_, '_>) -> Result<(), Failure> {
        for fault in 0..FAULT_COUNT_MAX {
            let floor = &self.scenario.floor;
            let is_enough = fault >= self.scenario.fault_count
                && self.simulation.now() >= reactor::Instant(0) + floor.virtual_time
                && self.workload.acknowledged_records() >= floor.acknowledged_records
                && nemesis.restarts >= floor.restarts;
            if is_enough {
                return Ok(());
            }
            if fault == HOSTILE_FAULT_COUNT_MAX {
                nemesis.knobs = Knobs::default();
                self.simulation.set_knobs(Knobs::default());
            }
            nemesis.pass(Duration::from_secs(6));
            self.check()?;
            let needs_restart =
                fault + 1 >= self.scenario.fault_count && nemesis.restarts < floor.restarts;
            nemesis.strike(needs_restart)?;
            self.check()?;
            self.workload.next_round();
        }
        let what = format!("{} records are acknowledged", self.workload.acknowledged_records());
        Err(Failure::liveness(format!("after {FAULT_COUNT_MAX} faults {what}")))
    }

    /// Whether anything has gone wrong so far.
    fn check(&self) -> Result<(), Failure> {
        if let Some(failure) = self.workload.failure() {
            return Err(failure);
        }
        if self.simulation.is_running(self.broker.node) {
            return Ok(());
        }
        // Nothing here stops it but a fault, which starts it again before it ends.
        let reason = self.broker.reason().unwrap_or_else(|| "without a reason".to_owned());
        Err(Failure::crash(format!("the broker ended: {reason}")))
    }

    /// What `client` ends with, within `limit`.
    fn finish<T: 'static>(
        &self,
        client: Client<T>,
        limit: Duration,
        what: &str,
    ) -> Result<T, Failure> {
        let mut result = None;
        let is_over = || {
            result = client.take_result();
            result.is_some() || self.workload.has_failed()
        };
        self.simulation.run_until(is_over, limit);
        self.check()?;
        result.ok_or_else(|| Failure::liveness(format!("not within {limit:?}: {what}")))
    }

    /// What was asked for is done, everything that was sent is acknowledged, and everything is read.
    fn drain(&self, nemesis: &mut Nemesis<'_, '_>) -> Result<(), Failure> {
        if let Some(replacing) = nemesis.clients.replacing.take() {
            self.finish(replacing, HEAL_LIMIT, "a topic is made again")?;
        }
        if let Some(trimming) = nemesis.clients.trimming.take() {
            self.finish(trimming, HEAL_LIMIT, "records are deleted")?;
        }
        if let Some(altering) = nemesis.clients.altering.take() {
            self.finish(altering, HEAL_LIMIT, "a topic is altered")?;
        }
        nemesis.clients.join_new_topics();
        for producer in std::mem::take(&mut nemesis.clients.producers) {
            self.finish(producer, HEAL_LIMIT, "everything is acknowledged")?;
        }
        for member in std::mem::take(&mut nemesis.clients.members) {
            self.finish(member, HEAL_LIMIT, "every member of the group commits once more")?;
        }
        self.wait_for_consumers(nemesis.clients)
    }

    /// Waits until consumers have read everything, and checks that it is everything.
    fn wait_for_consumers(&self, clients: &Clients<'_>) -> Result<(), Failure> {
        for topic in clients.living_topics() {
            let workload = self.workload.clone();
            let of = topic.clone();
            let asked = async move { workload.end_offsets(&of).await };
            let asking = self.simulation.spawn_client(self.client_nodes[0], asked);
            let ends = self.finish(asking, HEAL_LIMIT, "partitions tell their end")?;
            let ends = ends.unwrap_or_default();
            let readers =
                clients.consumers.iter().filter(|reader| Rc::ptr_eq(&reader.topic, &topic));
            let readers: Vec<_> = readers.collect();
            let have_reached = || readers.iter().all(|reader| reader.progress.has_reached(&ends));
            let is_over = || have_reached() || self.workload.has_failed();
            self.simulation.run_until(is_over, HEAL_LIMIT);
            self.check()?;
            if !have_reached() {
                let at: Vec<_> =
                    readers.iter().map(|reader| reader.progress.next_offsets()).collect();
                let what = format!(
                    "not within {HEAL_LIMIT:?}: consumers of {} are at {at:?} of {ends:?}",
                    topic.plan.name
                );
                return Err(Failure::liveness(what));
            }
            topic.history.borrow().check_complete(&ends)?;
        }
        Ok(())
    }

    /// What was altered of topics holds (INV-5).
    fn check_altered(&self, clients: &Clients<'_>) -> Result<(), Failure> {
        for topic in clients.living_topics() {
            let workload = self.workload.clone();
            let checking = async move { workload.check_altered(&topic).await };
            let checking = self.simulation.spawn_client(self.client_nodes[0], checking);
            self.finish(checking, HEAL_LIMIT, "a topic is described")?;
        }
        Ok(())
    }

    /// What was committed is (INV-8).
    fn check_group(&self, clients: &Clients<'_>) -> Result<(), Failure> {
        if self.scenario.members.is_empty() {
            return Ok(());
        }
        let (workload, group) = (self.workload.clone(), clients.group.clone());
        let checking = async move { workload.check_group(&group).await };
        let checking = self.simulation.spawn_client(self.client_nodes[0], checking);
        self.finish(checking, HEAL_LIMIT, "a group's offsets are told")?;
        match clients.group.commits() {
            0 => Err(Failure::liveness("nobody has committed anything".to_owned())),
            _ => Ok(()),
        }
    }

    fn outcome(&self, nemesis: &Nemesis<'_, '_>) -> Outcome {
        let simulation = self.simulation;
        let topics = self.workload.topics.borrow();
        let sum = |of: fn(&crate::history::History) -> u64| {
            topics.iter().map(|topic| of(&topic.history.borrow())).sum()
        };
        Outcome {
            trace_hash: simulation.trace_hash(),
            virtual_time: simulation.now() - reactor::Instant(0),
            acknowledged_records: sum(|history| history.acknowledged_records),
            exposed_records: sum(|history| history.exposed_records),
            compared_records: sum(|history| history.compared_records),
            topics: topics.len() as u64,
            commits: nemesis.clients.group.commits(),
            restarts: nemesis.restarts,
            faults: nemesis.done.clone(),
            marks: simulation.marks(),
            counters: simulation.counters(),
        }
    }
}
