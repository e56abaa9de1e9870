//! One run: several lives, with a crash or a clean stop after each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use protocol::model::{Offset, PartitionId};
use reactor::sim::{Counters, Crash, DiskFaults, Knobs, Random, Simulation};
use storage::{LogConfig, Settings, TopicPartition};

use super::life::{Compacting, DIRECTORY, Known, LifePlan, Mix, live};
use super::model::LogModel;
use super::rot;
use crate::settings::hostile_settings;
use crate::verdict::Failure;

/// In a healthy world a directory opens, and a process stops, in this time.
const LIMIT: Duration = Duration::from_secs(120);

/// What a seed is made into.
#[derive(Clone, Debug)]
pub struct LogScenario {
    pub seed: u64,
    pub life_count: u64,
    pub log_count: i32,
    /// Probability that bits of a file flip between two lives, for the first time.
    pub rot: f64,
    /// Probability that the disk fails, or is full, in a life.
    pub disk_failure: f64,
    pub knobs: Knobs,
    pub plan: LifePlan,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOutcome {
    pub trace_hash: u64,
    pub virtual_time: Duration,
    pub lives: u64,
    pub appended_batches: u64,
    pub compared_batches: u64,
    pub cuts: u64,
    pub deletions: u64,
    pub deleted_segments: u64,
    pub compactions: u64,
    /// Files of which bits were flipped, by kind; and refusals of what was hit.
    pub rots: BTreeMap<&'static str, u64>,
    pub refusals: u64,
    pub marks: BTreeMap<&'static str, u64>,
    pub counters: Counters,
}

impl LogScenario {
    pub fn of_seed(seed: u64) -> Self {
        let random = &mut Random::new(seed, "log scenario");
        let base = if random.chance(0.5) { Knobs::default() } else { Knobs::hostile(seed) };
        let knobs = Knobs { unsynced_lost: 0.9, disk_slow: 0.02, ..base };
        let settings =
            if random.chance(0.8) { hostile_settings(random) } else { Settings::default() };
        let segment_size_bytes = [4 << 10, 16 << 10, 64 << 10][random.index(3)];
        let segments = u64::from(segment_size_bytes);
        let config = LogConfig {
            segment_size_bytes,
            retention_ms: [None, Some(200)][random.index(2)],
            retention_bytes: [None, Some(2 * segments), Some(5 * segments)][random.index(3)],
            file_delete_delay_ms: random.below(1_000),
            index_interval_bytes: 4096 >> random.below(5),
            producer_id_expiration_ms: u64::MAX,
            ..LogConfig::default()
        };
        let batch_size_bytes_max =
            [1_000, 10_000, 40_000][random.index(3)].min(u64::from(segment_size_bytes) - 600);
        let rot = [0.0, 0.0, 0.3][random.index(3)];
        let disk_failure = [0.0, 0.3][random.index(2)];
        LogScenario {
            seed,
            life_count: random.within(6..16),
            log_count: random.within(1..6) as i32,
            rot,
            disk_failure,
            knobs,
            plan: LifePlan {
                core_count: random.within(1..3) as u32,
                settings,
                config,
                batch_size_bytes_max,
                mix: Mix {
                    cuts: [0, 5, 30][random.index(3)],
                    deletions: [0, 2, 20][random.index(3)],
                    retentions: [0, 10, 30][random.index(3)],
                    exposures: 70,
                    reads: 100,
                    pauses: [20, 100, 300][random.index(3)],
                },
                compaction: Compacting::of_seed(seed),
                is_last: false,
            },
        }
    }
}

impl fmt::Display for LogScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "logs={} lives={} rot={} disk_failure={} {:?} {}",
            self.log_count, self.life_count, self.rot, self.disk_failure, self.plan, self.knobs
        )
    }
}

/// Runs `scenario` to its end, in a world that `prepare` has seen first.
pub fn run(scenario: &LogScenario, prepare: &dyn Fn(&Simulation)) -> Result<LogOutcome, Failure> {
    let simulation = Simulation::new(scenario.seed, Knobs::default());
    prepare(&simulation);
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let made = simulation.block_on(node, LIMIT, async {
        reactor::directory::create_all(Path::new(DIRECTORY)).await?;
        reactor::directory::sync(Path::new("/")).await
    });
    if !matches!(made, Ok(Ok(()))) {
        return Err(Failure::crash(format!("no directory: {made:?}")));
    }
    simulation.set_knobs(scenario.knobs.clone());
    let names = (0..scenario.log_count)
        .map(|index| TopicPartition { topic: "orders".to_owned(), partition: PartitionId(index) });
    let is_compacted = scenario.plan.compaction.is_some();
    let known = Rc::new(Known {
        logs: names
            .map(|name| LogModel { is_compacted, ..LogModel::new(name) })
            .map(|log| Rc::new(RefCell::new(log)))
            .collect(),
        failure: RefCell::default(),
        appended_batches: Cell::new(0),
        compared_batches: Cell::new(0),
        cuts: Cell::new(0),
        deletions: Cell::new(0),
        deleted_segments: Cell::new(0),
        compactions: Cell::new(0),
        refusals: Cell::new(0),
        disk_fails: Cell::new(false),
        is_stopping: Cell::new(false),
        has_stopped: Cell::new(false),
    });
    let mut random = simulation.random("crashes");
    let mut rots = BTreeMap::new();
    for life in 0..=scenario.life_count {
        let is_last = life == scenario.life_count;
        if is_last {
            simulation.set_knobs(Knobs::default());
        }
        known.disk_fails.set(false);
        known.is_stopping.set(false);
        known.has_stopped.set(false);
        let mut plan = LifePlan { is_last, ..scenario.plan.clone() };
        if let Some(compaction) = &plan.compaction {
            compaction.configure(&mut plan.config);
        }
        let workload = simulation.random(&format!("life {life}"));
        let client = simulation.spawn_client(node, live(known.clone(), plan, workload));
        let is_over = || known.has_failed() || known.has_stopped.get();
        let mut loses_power = false;
        if is_last {
            simulation.run_until(is_over, LIMIT);
        } else {
            let span = Duration::from_micros(5_000 << random.below(11));
            if random.chance(scenario.disk_failure) {
                // From the start on, or when all is under way.
                let healthy = random.below(2) as u32 * span;
                simulation.run_until(is_over, healthy);
                known.disk_fails.set(!known.has_stopped.get());
                let failing = any_disk_failure(&mut random);
                loses_power |= failing.flush_error > 0.0;
                let is_set = simulation.set_disk_faults(node, Path::new(DIRECTORY), failing);
                is_set.expect("a node has a disk");
            }
            simulation.run_until(is_over, span + random.span(&(Duration::ZERO..span)));
            if random.chance(0.3) {
                known.is_stopping.set(true);
                // In time, or killed while it stops.
                let span = Duration::from_millis(5 << random.below(12));
                simulation.run_until(is_over, span);
            }
        }
        if let Some(failure) = known.failure.borrow().clone() {
            return Err(failure);
        }
        if is_last && !known.has_stopped.get() {
            return Err(Failure::liveness(format!("not within {LIMIT:?}: logs are open")));
        }
        loses_power |= random.chance(0.6);
        let crash = if loses_power { Crash::PowerLoss } else { Crash::Kill };
        simulation.crash(node, crash);
        let is_mended =
            simulation.set_disk_faults(node, Path::new(DIRECTORY), DiskFaults::default());
        is_mended.expect("a node has a disk");
        drop(client);
        let was_clean = known.has_stopped.get();
        tracing::info!(life, was_clean, ?crash, "a life ends");
        for log in &known.logs {
            let mut log = log.borrow_mut();
            log.rot.after_crash = !was_clean;
            if known.is_stopping.get() && !was_clean {
                // Without the guard and not yet with the marker, Apache Kafka may have run since: then
                // nothing is believed that only we know.
                log.stopped_at = Offset::ZERO;
            }
        }
        // One file of a run: by two, what one of them knows of the other may be lost.
        if rots.is_empty()
            && random.chance(scenario.rot)
            && let Some(kind) = rot::flip(&simulation, node, &known, &mut random)
        {
            tracing::info!(life, kind, "bits flipped");
            *rots.entry(kind).or_default() += 1;
        }
    }
    Ok(LogOutcome {
        trace_hash: simulation.trace_hash(),
        virtual_time: simulation.now() - reactor::Instant(0),
        lives: scenario.life_count + 1,
        appended_batches: known.appended_batches.get(),
        compared_batches: known.compared_batches.get(),
        cuts: known.cuts.get(),
        deletions: known.deletions.get(),
        deleted_segments: known.deleted_segments.get(),
        compactions: known.compactions.get(),
        rots,
        refusals: known.refusals.get(),
        marks: simulation.marks(),
        counters: simulation.counters(),
    })
}

/// One kind of refusal, seldom, often or always; or no room for anything more. After a flush that fails
/// nobody knows what a disk still shows and does not have: only a loss of power tells.
pub fn any_disk_failure(random: &mut Random) -> DiskFaults {
    let probability = [0.01, 0.2, 1.0][random.index(3)];
    let nothing = DiskFaults::default();
    match random.below(4) {
        0 => DiskFaults { read_error: probability, ..nothing },
        1 => DiskFaults { write_error: probability, ..nothing },
        2 => DiskFaults { flush_error: probability, is_flush_full: random.chance(0.3), ..nothing },
        _ => DiskFaults { capacity_bytes: Some(0), ..nothing },
    }
}
