//! INV-4 through the journal: several logs of one core, small shares and large ones, rolls, truncations
//! and deletions, under a crash at any point. What was acknowledged is there; nothing cut or deleted
//! comes back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use protocol::model::{Offset, PartitionId, Uuid};
use protocol::record_batch::RecordBatch;
use reactor::sim::{Crash, Knobs, Random, Simulation};
use storage::{
    ChunkPool, Durability, LogConfig, LogDirectory, PartitionLog, Settings, TopicPartition, Volume,
};

const LIMIT: Duration = Duration::from_secs(3600);
const PARTITION_COUNT: i32 = 4;
const LIFE_COUNT: u64 = 6;

/// Every edge is met with little data.
fn hostile_settings() -> Settings {
    Settings {
        chunk_size_bytes_min: 4096,
        chunk_size_bytes_max: 8192,
        flush_size_bytes_max: 16 << 10,
        journal_file_size_bytes_first: 64 << 10,
        journal_file_size_bytes_max: 64 << 10,
        journal_size_bytes_max: 96 << 10,
        index_rest_size_bytes_max: 40,
        group_size_bytes_max: 16 << 10,
        bypass_size_bytes: 4096,
        write_behind_size_bytes: 8192,
        dirty_size_bytes_max: 48 << 10,
        checkpoint_interval_ms: 200,
        allocation_size_bytes_min: 64 << 10,
        allocation_size_bytes_max: 64 << 10,
        reserve_size_bytes_max: 64 << 10,
    }
}

/// What the test knows of one partition across lives.
#[derive(Default)]
struct Known {
    /// Every batch of the current end, by base offset.
    appended: RefCell<Vec<(Offset, RecordBatch)>>,
    acknowledged: Cell<Offset>,
    topic_id: Cell<Option<Uuid>>,
    /// What was asked for and not answered before the crash.
    pending: Cell<Option<Pending>>,
    durability: Cell<Durability>,
}

#[derive(Clone, Copy)]
enum Pending {
    Truncation(Offset),
    Deletion,
}

impl Known {
    /// The log after a stop: all that was acknowledged, then a prefix of what else was appended.
    async fn check(&self, log: &PartitionLog, crash: Option<Crash>) {
        let end = log.log_end_offset();
        let survives = match (self.durability.get(), crash) {
            (Durability::Written, Some(Crash::PowerLoss)) => Offset(0),
            (Durability::Written | Durability::Flushed, _) => self.acknowledged.get(),
        };
        match self.pending.take() {
            // What the segments lacked was given up.
            Some(Pending::Deletion) => {}
            Some(Pending::Truncation(to)) => {
                assert!(end >= survives.min(to), "INV-4: cut to {to}, found up to {end}");
            }
            None => {
                assert!(end >= survives, "INV-4: acknowledged to {survives}, found up to {end}");
            }
        }
        // From here on this much was found: the next crash may come at once.
        self.acknowledged.set(end);
        assert_eq!(log.durable_end_offset(), end);
        let found = read_all(log, Offset(0), 20_000).await;
        let mut appended = self.appended.borrow_mut();
        appended.retain(|(base_offset, _)| *base_offset < end);
        assert_eq!(found.len(), appended.len(), "batches below {end}");
        for (found, (base_offset, appended)) in found.iter().zip(appended.iter()) {
            assert_eq!(found.header().base_offset, *base_offset);
            assert!(content(found) == content(appended), "INV-2: batch at {base_offset}");
        }
    }

    fn forget(&self) {
        self.appended.borrow_mut().clear();
        self.acknowledged.set(Offset(0));
        self.pending.set(None);
    }

    fn config(&self) -> LogConfig {
        LogConfig {
            segment_size_bytes: 24 << 10,
            durability: self.durability.get(),
            ..small_config()
        }
    }
}

/// A process in this world.
struct World {
    partitions: Vec<Rc<Known>>,
    /// How the last life ended; `None` for a clean stop.
    crash: Cell<Option<Crash>>,
    compared: Cell<u64>,
}

fn name(index: usize) -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition: PartitionId(index as i32) }
}

fn random_id(random: &mut Random) -> Uuid {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    Uuid::from_random(bytes)
}

impl World {
    /// Opens the directory and all logs, and checks what they hold.
    async fn start(&self, core: u32) -> (LogDirectory, Rc<Volume>, Vec<Option<PartitionLog>>) {
        let path = Path::new("/data");
        let mut directory = LogDirectory::open(path).await.expect("a directory");
        let direct = Volume::new(path, hostile_settings(), ChunkPool::new(1 << 20));
        let config = |name: &TopicPartition| self.partitions[name.partition.0 as usize].config();
        let replayed =
            directory.replay_journals(&direct, &config, &mut |_| {}).await.expect("replayed");
        assert!(replayed.offline.is_empty(), "{:?}", replayed.offline);
        assert!(replayed.damages.is_empty(), "{:?}", replayed.damages);
        directory.claim().await.expect("claimed");
        let volume = Volume::of_core(path, core, hostile_settings(), ChunkPool::new(1 << 20));
        let mut logs = Vec::new();
        for (index, known) in self.partitions.iter().enumerate() {
            let name = name(index);
            let is_there = directory.partitions().any(|there| *there == name);
            if !is_there {
                let is_going = matches!(known.pending.get(), Some(Pending::Deletion));
                assert!(is_going || known.acknowledged.get() == Offset(0), "{name} is gone");
                known.forget();
                logs.push(None);
                continue;
            }
            let log = directory.open_partition(&volume, &name, known.config()).await;
            let log = log.unwrap_or_else(|error| panic!("{name}: {error}"));
            if log.topic_id() != known.topic_id.get() {
                // Its deletion, and the creation of another, were under way.
                let is_going = matches!(known.pending.get(), Some(Pending::Deletion));
                assert!(is_going || known.acknowledged.get() == Offset(0), "{name} is another's");
                log.delete().await.expect("deleted");
                known.forget();
                logs.push(None);
                continue;
            }
            if known.acknowledged.get() > Offset(0) {
                self.compared.set(self.compared.get() + 1);
            }
            known.check(&log, self.crash.get()).await;
            logs.push(Some(log));
        }
        (directory, volume, logs)
    }

    /// One life: starts, appends to all logs at once, and stops cleanly if it is let.
    async fn live(self: Rc<Self>, core: u32, seed: u64, stop_after: Duration) -> bool {
        let (directory, volume, logs) = self.start(core).await;
        self.crash.set(Some(Crash::Kill));
        let until = reactor::now() + stop_after;
        let mut writers = Vec::new();
        for (index, log) in logs.into_iter().enumerate() {
            let (known, volume) = (self.partitions[index].clone(), volume.clone());
            let random = Random::new(seed, &format!("writer {index}"));
            writers.push(reactor::spawn(write(known, volume, index, log, random, until)));
        }
        let mut offsets = BTreeMap::new();
        for (index, writer) in writers.into_iter().enumerate() {
            let log = writer.await;
            log.close().await.expect("closed");
            let end = log.log_end_offset();
            assert_eq!(log.recovery_point(), end, "a closed log is in its segments");
            self.partitions[index].acknowledged.set(end);
            offsets.insert(name(index), end);
        }
        volume.close().await.expect("closed");
        let offsets: Vec<_> = offsets
            .into_iter()
            .map(|(name, end)| storage::LogOffsets {
                first_dirty_offset: Offset(0),
                name,
                recovery_point: end,
                log_start_offset: Offset(0),
                high_watermark: end,
            })
            .collect();
        directory.write_checkpoints(&offsets).await.expect("checkpoints");
        directory.mark_clean(1).await.expect("marked");
        self.crash.set(None);
        true
    }
}

/// Appends, cuts and deletes until it is time.
async fn write(
    known: Rc<Known>,
    volume: Rc<Volume>,
    index: usize,
    log: Option<PartitionLog>,
    mut random: Random,
    until: reactor::Instant,
) -> PartitionLog {
    let mut log = match log {
        Some(log) => log,
        None => create(&known, &volume, index, random_id(&mut random)).await,
    };
    listen(&known, &log);
    let mut count = 0;
    while reactor::now() < until {
        match random.below(60) {
            0 => {
                let to = Offset(random.below(log.log_end_offset().0 as u64 + 1) as i64);
                known.pending.set(Some(Pending::Truncation(cut_at(&known, to))));
                log.truncate_to(to).await.expect("cut");
                let end = log.log_end_offset();
                known.appended.borrow_mut().retain(|(base_offset, _)| *base_offset < end);
                known.acknowledged.set(end);
                known.pending.set(None);
            }
            1 => {
                known.pending.set(Some(Pending::Deletion));
                log.delete().await.expect("deleted");
                log = create(&known, &volume, index, random_id(&mut random)).await;
                listen(&known, &log);
            }
            _ => {}
        }
        let (records, size_bytes) = match random.below(10) {
            0 => (1 + random.below(3) as i64, 2500),
            1 => (1, 9000),
            _ => (1 + random.below(5) as i64, 100),
        };
        count += 1;
        let batch = batch(count * 1000 + random.below(1000) as i64, records, size_bytes);
        log.ready_for_append(1_000).await.expect("room");
        known.appended.borrow_mut().push((log.log_end_offset(), batch.clone()));
        let end = append(&log, &batch);
        match random.below(6) {
            0 => {
                log.wait_durable(end).await.expect("durable");
                assert!(known.acknowledged.get() >= end);
            }
            1 => reactor::time::sleep(Duration::from_micros(random.below(3000))).await,
            2 => reactor::yield_now().await,
            _ => {}
        }
    }
    log
}

/// Where a cut at `to` ends: a batch that holds it goes whole.
fn cut_at(known: &Known, to: Offset) -> Offset {
    let appended = known.appended.borrow();
    let base_offsets = appended.iter().map(|(base_offset, _)| *base_offset);
    base_offsets.take_while(|base_offset| *base_offset <= to).last().unwrap_or(Offset(0)).min(to)
}

async fn create(known: &Known, volume: &Rc<Volume>, index: usize, topic_id: Uuid) -> PartitionLog {
    // From here on the directory may be the new one's.
    known.pending.set(Some(Pending::Deletion));
    known.topic_id.set(Some(topic_id));
    let path = Path::new("/data").join(name(index).to_string());
    let log = PartitionLog::create(volume, &path, known.config(), topic_id).await.expect("created");
    known.forget();
    log
}

fn listen(known: &Rc<Known>, log: &PartitionLog) {
    let known = known.clone();
    log.on_durable(move |news| {
        if let Ok(offset) = news {
            known.acknowledged.set(known.acknowledged.get().max(offset));
        }
    });
}

/// What a run ended with.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace_hash: u64,
    compared: u64,
    marks: BTreeMap<&'static str, u64>,
}

/// Some lives under one seed; in every second one the world is hostile.
fn run(seed: u64, crash: Crash) -> Outcome {
    let world = if seed.is_multiple_of(2) { Knobs::hostile(seed) } else { Knobs::default() };
    let knobs = Knobs { unsynced_lost: 0.9, disk_slow: 0.03, ..world };
    let simulation = Simulation::new(seed, knobs);
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let mut random = simulation.random("lives");
    let partitions = (0..PARTITION_COUNT).map(|_| {
        let known = Known::default();
        if random.chance(0.25) {
            known.durability.set(Durability::Written);
        }
        Rc::new(known)
    });
    let world = Rc::new(World {
        partitions: partitions.collect(),
        crash: Cell::new(None),
        compared: Cell::new(0),
    });
    let made = async { reactor::directory::create_all(Path::new("/data")).await.expect("made") };
    simulation.block_on(node, LIMIT, made).expect("in time");
    for life in 0..LIFE_COUNT {
        let (core, seed) = (random.below(3) as u32, random.next_u64());
        let is_clean = random.chance(0.2);
        let stop_after = if is_clean { Duration::from_millis(300) } else { LIMIT };
        println!("life {life} on core {core}, clean: {is_clean}");
        let client = simulation.spawn_client(node, world.clone().live(core, seed, stop_after));
        if is_clean {
            assert!(simulation.run_until(|| client.take_result().is_some(), LIMIT), "stopped");
        } else {
            simulation.run_for(Duration::from_micros(50_000 + random.below(900_000)));
            world.crash.set(Some(crash));
        }
        // After a clean stop too: what it left must be durable.
        simulation.crash(node, crash);
        drop(client);
    }
    let last = world.clone();
    simulation.block_on(node, LIMIT, async move { drop(last.start(0).await) }).expect("in time");
    Outcome {
        trace_hash: simulation.trace_hash(),
        compared: world.compared.get(),
        marks: simulation.marks(),
    }
}

fn run_all(seeds: Range<u64>, crash: Crash) -> BTreeMap<&'static str, u64> {
    let mut marks = BTreeMap::new();
    let mut compared = 0;
    let count = seeds.clone().count() as u64;
    for seed in seeds {
        println!("SEED={seed:#x}");
        let outcome = run(seed, crash);
        compared += outcome.compared;
        for (mark, count) in outcome.marks {
            *marks.entry(mark).or_default() += count;
        }
    }
    assert!(compared > 8 * count, "{compared} logs compared in {count} seeds");
    marks
}

#[test]
fn what_was_acknowledged_survives_power_loss() {
    let marks = run_all(0..90, Crash::PowerLoss);
    for mark in [
        "replay_record_appended",
        "replay_record_skipped",
        "replay_record_in_part",
        "replay_record_dropped",
        "journal_share_behind_a_gap",
        "journal_full",
        "write_behind_for_room",
        "write_overtakes_the_journal",
        "roll_under_a_checkpoint",
        "flushed_while_in_line",
    ] {
        assert!(marks.contains_key(mark), "no seed reached {mark}: {marks:?}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    run_all(1000..1020, Crash::Kill);
}

#[test]
fn one_seed_of_group_commit_is_one_run() {
    assert_eq!(run(5, Crash::PowerLoss), run(5, Crash::PowerLoss));
}

/// Where bytes are written behind at any time, what waits for a group is still acknowledged by itself:
/// no append waits for the next checkpoint, which is an hour off here.
#[test]
fn writing_behind_makes_no_append_wait_for_a_checkpoint() {
    let settings = Settings {
        checkpoint_interval_ms: 3_600_000,
        write_behind_size_bytes: 1 << 20,
        dirty_size_bytes_max: 64 << 10,
        journal_size_bytes_max: 64 << 20,
        ..hostile_settings()
    };
    for seed in 0..20 {
        let knobs = Knobs { disk_slow: 0.03, ..Knobs::default() };
        let simulation = Simulation::new(seed, knobs);
        let node = simulation.add_node("node", [10, 0, 0, 1].into());
        let settings = settings.clone();
        let took = simulation.block_on(node, LIMIT, async move {
            let path = Path::new("/data");
            reactor::directory::create_all(path).await.expect("made");
            let volume = Volume::of_core(path, 0, settings, ChunkPool::new(1 << 20));
            let began = reactor::now();
            let mut writers = Vec::new();
            for index in 0..PARTITION_COUNT as usize {
                let known = Known::default();
                let mut random = Random::new(seed, &format!("writer {index}"));
                let log = create(&known, &volume, index, random_id(&mut random)).await;
                writers.push(reactor::spawn(async move {
                    for count in 0..300 {
                        log.ready_for_append(1_000).await.expect("room");
                        let end = append(&log, &batch(count, 1, random.below(3000) as usize));
                        if random.chance(0.3) {
                            log.wait_durable(end).await.expect("durable");
                        }
                    }
                }));
            }
            for writer in writers {
                writer.await;
            }
            reactor::now() - began
        });
        let took = took.expect("in time");
        assert!(took < Duration::from_secs(60), "seed {seed}: {took:?} for what takes a moment");
    }
}
