//! One run: a world drawn from a seed, safety under faults, then liveness once all is healed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use protocol::record_batch::Compression;
use reactor::sim::{Client, Counters, Crash, Knobs, NodeId, Random, Simulation};

use crate::broker_node::BrokerNode;
use crate::consumer::{ConsumerPlan, Progress, consume};
use crate::faults::Nemesis;
use crate::producer::{IN_FLIGHT_MAX, ProducerPlan, produce};
use crate::verdict::Failure;
use crate::workload::Workload;

const PARTITION_COUNT: i32 = 8;
/// Virtual time from a healthy world's beginning until the topic is there.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Virtual time after the last fault until all is accepted and read: connections that were cut off take
/// up to 40 seconds to notice, and the broker up to its session timeout.
const HEAL_LIMIT: Duration = Duration::from_secs(600);
const PRODUCER_BATCH_COUNT_MAX: u64 = 400;

/// What a seed is made into. Printed before the run; a scenario may set its fields instead.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub core_count: usize,
    pub fault_count: u64,
    pub knobs: Knobs,
    pub segment_size_bytes: u64,
    pub request_timeout: Duration,
    pub producers: Vec<ProducerPlan>,
    pub consumers: Vec<ConsumerPlan>,
    /// Producers may go on for so long after the last fault.
    pub drain_after: Duration,
}

impl Scenario {
    /// The world of `seed`: one in four is a healthy one between its faults.
    pub fn of_seed(seed: u64) -> Self {
        let random = &mut Random::new(seed, "scenario");
        let core_count = [1, 2, 4][random.index(3)];
        let mut knobs = if random.chance(0.25) { Knobs::default() } else { Knobs::hostile(seed) };
        // Small values fill few segments; large ones roll one every few batches.
        let value_size_bytes_max = [40, 1_000, 20_000][random.index(3)];
        // Or a run of large values would be of hardly anything but the segments that carry them.
        knobs.segment_bytes_max = knobs.segment_bytes_max.max(value_size_bytes_max as usize / 8);
        let producers = (0..random.within(1..5) as u32).map(|index| ProducerPlan {
            index,
            idempotent: index == 0 || random.chance(0.6),
            in_flight_max: random.within(1..IN_FLIGHT_MAX as u64 + 1) as usize,
            batch_count_max: random.within(50..PRODUCER_BATCH_COUNT_MAX) as usize,
            batch_record_count_max: random.within(1..20),
            value_size_bytes_max,
            pause_max: Duration::from_millis(random.below(150)),
            by_topic_id: random.chance(0.5),
            compression: [Compression::None, Compression::Lz4, Compression::Snappy]
                [random.index(3)],
        });
        let producers = producers.collect();
        let consumers = (0..random.within(1..4)).map(|_| ConsumerPlan {
            by_topic_id: random.chance(0.5),
            wait_max: Duration::from_millis(random.within(1..2_000)),
            fetch_size_bytes_max: 1 << random.within(10..24),
            partition_size_bytes_max: 1 << random.within(8..21),
        });
        let consumers = consumers.collect();
        Scenario {
            seed,
            core_count,
            fault_count: random.within(2..10),
            knobs,
            segment_size_bytes: 1 << 20,
            request_timeout: Duration::from_millis(random.within(2_000..30_000)),
            producers,
            consumers,
            drain_after: Duration::from_secs(random.below(5)),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idempotent = self.producers.iter().filter(|plan| plan.idempotent).count();
        write!(
            f,
            "nodes=1 cores={} faults={} producers={} idempotent={idempotent} consumers={} \
             segment_size_bytes={} request_timeout={:?} {}",
            self.core_count,
            self.fault_count,
            self.producers.len(),
            self.consumers.len(),
            self.segment_size_bytes,
            self.request_timeout,
            self.knobs
        )
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub trace_hash: u64,
    pub virtual_time: Duration,
    pub acknowledged_records: u64,
    pub exposed_records: u64,
    pub compared_records: u64,
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

/// Runs `scenario` to its end.
pub fn run(scenario: &Scenario) -> Result<Outcome, Failure> {
    // The world begins healthy, so that every run has a broker to harm.
    let simulation = Simulation::new(scenario.seed, Knobs::default());
    let overrides = format!("log.segment.bytes={}\n", scenario.segment_size_bytes);
    let broker = BrokerNode::add(&simulation, scenario.core_count, &overrides)?;
    let client_nodes = [2, 3].map(|last| {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        simulation.add_node(&format!("client-{last}"), ip)
    });
    let workload = Workload::new(broker.address(), PARTITION_COUNT, scenario.request_timeout);
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
        let workload = self.workload.clone();
        let created = async move { workload.create_topic(&[]).await };
        self.finish(simulation.spawn_client(self.client_nodes[0], created), START_LIMIT, "start")?;
        simulation.set_knobs(self.scenario.knobs.clone());
        let producers = self.start_producers();
        let consumers = self.start_consumers();
        let mut nemesis = Nemesis {
            simulation,
            broker: &self.broker,
            client_nodes: &self.client_nodes,
            workload: &self.workload,
            random: simulation.random("faults"),
            knobs: self.scenario.knobs.clone(),
            done: BTreeMap::new(),
            restarts: 0,
        };
        for _ in 0..self.scenario.fault_count {
            nemesis.pass(Duration::from_secs(3));
            self.check()?;
            nemesis.strike()?;
            self.check()?;
        }
        simulation.set_knobs(Knobs::default());
        simulation.heal();
        nemesis.pass(self.scenario.drain_after);
        self.workload.draining.set(true);
        for producer in producers {
            self.finish(producer, HEAL_LIMIT, "everything is acknowledged")?;
        }
        self.wait_for_consumers(&consumers)?;
        // Once more from nothing but the disk, by a consumer that knows nothing.
        nemesis.crash_and_start(Crash::PowerLoss);
        nemesis.restart_cleanly()?;
        let fresh = self.start_consumer(&self.scenario.consumers[0], "fresh consumer");
        self.wait_for_consumers(&[fresh])?;
        let outcome = self.outcome(nemesis);
        if outcome.acknowledged_records == 0 || outcome.compared_records == 0 {
            return Err(Failure::liveness("the run has compared nothing".to_owned()));
        }
        Ok(outcome)
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

    /// Waits until `consumers` have read everything, and checks that it is everything.
    fn wait_for_consumers(&self, consumers: &[(Rc<Progress>, Client<()>)]) -> Result<(), Failure> {
        let workload = self.workload.clone();
        let asked = async move { workload.end_offsets().await };
        let asking = self.simulation.spawn_client(self.client_nodes[0], asked);
        let ends = self.finish(asking, HEAL_LIMIT, "partitions tell their end")?;
        let ends = ends.unwrap_or_default();
        let have_reached = || consumers.iter().all(|(progress, _)| progress.has_reached(&ends));
        let is_over = || have_reached() || self.workload.has_failed();
        self.simulation.run_until(is_over, HEAL_LIMIT);
        self.check()?;
        if !have_reached() {
            let at: Vec<_> =
                consumers.iter().map(|(progress, _)| progress.next_offsets()).collect();
            let what = format!("not within {HEAL_LIMIT:?}: consumers are at {at:?} of {ends:?}");
            return Err(Failure::liveness(what));
        }
        self.workload.history.borrow().check_complete(&ends)
    }

    fn outcome(&self, nemesis: Nemesis<'_>) -> Outcome {
        let simulation = self.simulation;
        let history = self.workload.history.borrow();
        Outcome {
            trace_hash: simulation.trace_hash(),
            virtual_time: simulation.now() - reactor::Instant(0),
            acknowledged_records: history.acknowledged_records,
            exposed_records: history.exposed_records,
            compared_records: history.compared_records,
            restarts: nemesis.restarts,
            faults: nemesis.done,
            marks: simulation.marks(),
            counters: simulation.counters(),
        }
    }

    fn start_producers(&self) -> Vec<Client<()>> {
        let start = |plan: &ProducerPlan| {
            let random = self.simulation.random(&format!("producer-{}", plan.index));
            let node = self.client_nodes[plan.index as usize % self.client_nodes.len()];
            let producing = produce(self.workload.clone(), plan.clone(), random);
            self.simulation.spawn_client(node, producing)
        };
        self.scenario.producers.iter().map(start).collect()
    }

    fn start_consumers(&self) -> Vec<(Rc<Progress>, Client<()>)> {
        let start = |(index, plan)| self.start_consumer(plan, &format!("consumer-{index}"));
        self.scenario.consumers.iter().enumerate().map(start).collect()
    }

    fn start_consumer(&self, plan: &ConsumerPlan, name: &str) -> (Rc<Progress>, Client<()>) {
        let progress = Progress::new(PARTITION_COUNT);
        let random = self.simulation.random(name);
        let consuming = consume(self.workload.clone(), plan.clone(), random, progress.clone());
        (progress, self.simulation.spawn_client(self.client_nodes[1], consuming))
    }
}
