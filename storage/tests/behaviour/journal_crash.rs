//! INV-4 of the journal: whatever is lost at a crash, a replay over what segments hold gives back all
//! that was acknowledged, in order, and nothing that was void or of an earlier use of a file.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, PartitionId};
use reactor::sim::{Crash, Knobs, NodeId, Random, Simulation};
use storage::Settings;
use storage::journal::{FenceKind, Group, Journal, Replay, Share, Verdict, guard};

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(3600);
const DIRECTORY: &str = "/data";
const PARTITIONS: i32 = 6;

/// A batch: base offset, offset after it, bytes.
type Entry = (i64, i64, Bytes);

/// One partition, as the test knows it across crashes.
#[derive(Clone, Default)]
struct Known {
    log: Vec<Entry>,
    /// What segments hold for good.
    segment_end: i64,
    acknowledged: i64,
}

impl Known {
    fn end(&self) -> i64 {
        self.log.last().map_or(0, |(_, next, _)| *next)
    }
}

#[derive(Default)]
struct World {
    partitions: RefCell<BTreeMap<i32, Known>>,
    /// Makes every batch unlike all others.
    counter: Cell<u64>,
    replayed: Cell<usize>,
}

fn settings() -> Settings {
    Settings {
        journal_file_size_bytes_first: 64 << 10,
        journal_file_size_bytes_max: 64 << 10,
        ..Settings::default()
    }
}

impl World {
    /// Appends a batch in memory. Returns its share.
    fn append(&self, partition: i32, random: &mut Random) -> (Share, Bytes) {
        let mut partitions = self.partitions.borrow_mut();
        let known = partitions.entry(partition).or_default();
        let base = known.end();
        let next = base + 1 + random.below(5) as i64;
        let size = if random.below(12) == 0 { 12_000 } else { random.below(400) as usize };
        self.counter.set(self.counter.get() + 1);
        let mut body = format!("{} ", self.counter.get()).into_bytes();
        body.resize(size.max(body.len()), b'.');
        let body = Bytes::from(body);
        known.log.push((base, next, body.clone()));
        let share = Share {
            topic_id: TOPIC_ID,
            partition: PartitionId(partition),
            base_offset: Offset(base),
            next_offset: Offset(next),
            leader_epoch: LeaderEpoch(0),
            durable_end_offset: Offset(known.acknowledged),
        };
        (share, body)
    }

    fn of<T>(&self, partition: i32, with: impl FnOnce(&mut Known) -> T) -> T {
        with(self.partitions.borrow_mut().entry(partition).or_default())
    }

    /// What a start does: replays over the segments, checks what comes out, and voids the journal.
    async fn recover(&self) {
        reactor::directory::create_all(Path::new(DIRECTORY)).await.expect("made");
        let replay = Replay::read(Path::new(DIRECTORY)).await.expect("read");
        assert_eq!(replay.damages(), [], "a crash damages nothing that was flushed");
        for partition in 0..PARTITIONS {
            let mut known = self.of(partition, |known| known.clone());
            let mut end = known.segment_end;
            let mut log: Vec<Entry> =
                known.log.iter().filter(|(_, next, _)| *next <= end).cloned().collect();
            for record in replay.records(TOPIC_ID, PartitionId(partition)) {
                match record.verdict(Offset(end)) {
                    Verdict::Skip | Verdict::Drop => {}
                    Verdict::Append { from } => {
                        let body = replay.body(record).await.expect("whole");
                        let next = record.share.next_offset.0;
                        let entry = (from.0, next, body);
                        assert!(known.log.contains(&entry), "{partition}: {from}..{next} is stale");
                        log.push(entry);
                        end = next;
                        self.replayed.set(self.replayed.get() + 1);
                    }
                    Verdict::Corrupt => panic!("{partition}: {record:?} with an end of {end}"),
                }
            }
            let acknowledged = known.acknowledged;
            assert!(end >= acknowledged, "INV-4: {partition} to {acknowledged}, found to {end}");
            known = Known { log, segment_end: end, acknowledged: end };
            self.of(partition, |kept| *kept = known);
        }
        replay.void().await.expect("void");
    }

    /// A life of the process: recovers, then works until it is killed.
    async fn live(self: Rc<Self>, mut random: Random) {
        self.recover().await;
        let journal = Journal::open(Path::new(DIRECTORY), 0, &settings()).await.expect("opened");
        let mut recycling: Option<reactor::Task<Result<(), storage::StorageError>>> = None;
        loop {
            match random.below(12) {
                0 => self.truncate(&journal, &mut random).await,
                1 => {
                    if let Some(task) = recycling.take() {
                        task.await.expect("recycled");
                    }
                    recycling = Some(self.checkpoint(&journal, &mut random));
                }
                2 => self.commit_behind_a_bypass(&journal, &mut random).await,
                3 if random.below(10) == 0 => {
                    if let Some(task) = recycling.take() {
                        task.await.expect("recycled");
                    }
                    return self.stop(&journal).await;
                }
                _ => self.commit(&journal, &mut random).await,
            }
        }
    }

    async fn commit(&self, journal: &Journal, random: &mut Random) {
        let mut group = Group::with_capacity(random.below(20_000) as usize);
        let mut ends = BTreeMap::new();
        for _ in 0..1 + random.below(5) {
            let partition = random.below(PARTITIONS as u64) as i32;
            let (share, body) = self.append(partition, random);
            group.push(share, &[body]);
            ends.insert(partition, share.next_offset.0);
        }
        journal.write(group).await.expect("written");
        journal.flush().await.expect("flushed");
        for (partition, end) in ends {
            self.of(partition, |known| known.acknowledged = end);
        }
    }

    /// A bulk goes to the segment and is lost or not; what follows it is in the journal before that.
    async fn commit_behind_a_bypass(&self, journal: &Journal, random: &mut Random) {
        let partition = random.below(PARTITIONS as u64) as i32;
        let (bulk, _) = self.append(partition, random);
        let (share, body) = self.append(partition, random);
        let mut group = Group::with_capacity(1);
        group.push(share, &[body]);
        journal.commit(group).await.expect("committed");
        self.of(partition, |known| {
            known.segment_end = bulk.next_offset.0;
            known.acknowledged = share.next_offset.0;
        });
    }

    /// Fences a partition in the journal, then cuts it. What stays is in the segment before.
    async fn truncate(&self, journal: &Journal, random: &mut Random) {
        let partition = random.below(PARTITIONS as u64) as i32;
        let keep = self.of(partition, |known| {
            let keep = random.below(known.log.len() as u64 + 1) as usize;
            let end = known.log[..keep].last().map_or(0, |(_, next, _)| *next);
            known.segment_end = known.segment_end.max(end);
            known.acknowledged = end;
            keep
        });
        let mut group = Group::with_capacity(1);
        group.fence(TOPIC_ID, PartitionId(partition), FenceKind::Truncation);
        journal.commit(group).await.expect("committed");
        self.of(partition, |known| {
            known.log.truncate(keep);
            known.segment_end = known.end();
        });
    }

    /// All segments are flushed at once; the journal is given back while others commit.
    fn checkpoint(
        &self,
        journal: &Journal,
        random: &mut Random,
    ) -> reactor::Task<Result<(), storage::StorageError>> {
        let mark = journal.mark();
        self.flush_segments();
        let journal = journal.clone();
        let checkpointed = Duration::from_micros(random.below(30_000));
        reactor::spawn(async move {
            reactor::sleep(checkpointed).await;
            journal.recycle_before(mark).await
        })
    }

    fn flush_segments(&self) {
        for known in self.partitions.borrow_mut().values_mut() {
            known.segment_end = known.end();
        }
    }

    async fn stop(&self, journal: &Journal) {
        self.flush_segments();
        journal.clear().await.expect("cleared");
        guard::remove(Path::new(DIRECTORY)).await.expect("removed");
    }
}

fn node_of(simulation: &Simulation) -> NodeId {
    simulation.add_node("node", [10, 0, 0, 1].into())
}

/// Lives under one seed, each ended by a crash. Returns how many records were replayed.
fn run(seed: u64, crash: Crash) -> (usize, BTreeMap<&'static str, u64>) {
    let world = if seed.is_multiple_of(2) { Knobs::hostile(seed) } else { Knobs::default() };
    let knobs = Knobs { unsynced_lost: 0.9, disk_slow: 0.03, ..world };
    let simulation = Simulation::new(seed, knobs);
    let node = node_of(&simulation);
    let known = Rc::new(World::default());
    let mut random = simulation.random("crashes");
    for life in 0..10 {
        let workload = simulation.random(&format!("life {life}"));
        let client = simulation.spawn_client(node, known.clone().live(workload));
        simulation.run_for(Duration::from_micros(5_000 + random.below(300_000)));
        simulation.crash(node, crash);
        drop(client);
    }
    let last = known.clone();
    let recovered = async move { last.recover().await };
    simulation.block_on(node, LIMIT, recovered).expect("in time");
    (known.replayed.get(), simulation.marks())
}

#[test]
fn what_was_committed_survives_power_loss() {
    let mut marks = BTreeMap::<_, u64>::new();
    let mut replayed = 0;
    for seed in 0..60 {
        println!("SEED={seed:#x}");
        let (count, reached) = run(seed, Crash::PowerLoss);
        replayed += count;
        for (name, count) in reached {
            *marks.entry(name).or_default() += count;
        }
    }
    assert!(replayed > 60 * 20, "{replayed} records were replayed");
    for mark in [
        "journal_file_recycled",
        "journal_file_left",
        "journal_file_grown",
        "journal_record_fenced",
        "journal_tail_cut",
    ] {
        assert!(marks.get(mark).is_some_and(|&count| count > 0), "{mark} was never reached");
    }
}

#[test]
fn what_was_written_survives_a_kill() {
    let replayed: usize = (1000..1020).map(|seed| run(seed, Crash::Kill).0).sum();
    assert!(replayed > 20 * 20, "{replayed} records were replayed");
}

#[test]
fn power_may_go_at_any_turn() {
    for polls in (1..3000).step_by(7) {
        let simulation = Simulation::new(3, Knobs { unsynced_lost: 1.0, ..Knobs::default() });
        let node = node_of(&simulation);
        let known = Rc::new(World::default());
        for life in 0..2 {
            let workload = simulation.random(&format!("life {life}"));
            let client = simulation.spawn_client(node, known.clone().live(workload));
            let until = simulation.polls() + polls;
            simulation.run_until(|| simulation.polls() >= until, LIMIT);
            simulation.crash(node, Crash::PowerLoss);
            drop(client);
        }
        let last = known.clone();
        let recovered = async move { last.recover().await };
        simulation.block_on(node, LIMIT, recovered).expect("in time");
    }
}

/// Writes without a flush between them are all durable after one, whatever files they went to.
#[test]
fn one_flush_covers_writes_to_several_files() {
    let simulation = Simulation::new(5, Knobs { unsynced_lost: 1.0, ..Knobs::default() });
    let node = node_of(&simulation);
    let written = async {
        let directory = Path::new(DIRECTORY);
        reactor::directory::create_all(directory).await.expect("made");
        let journal = Journal::open(directory, 0, &settings()).await.expect("opened");
        for base in 0..40 {
            let mut group = Group::with_capacity(1);
            group.push(share_of(base), &[Bytes::from(vec![base as u8; 5000])]);
            journal.write(group).await.expect("written");
            // Time for the next file to be made.
            reactor::sleep(Duration::from_millis(5)).await;
        }
        journal.flush().await.expect("flushed");
    };
    simulation.block_on(node, LIMIT, written).expect("in time");
    simulation.crash(node, Crash::PowerLoss);
    let read = async {
        let replay = Replay::read(Path::new(DIRECTORY)).await.expect("read");
        assert_eq!(replay.damages(), []);
        let records = replay.records(TOPIC_ID, PartitionId(0));
        let bases: Vec<i64> = records.iter().map(|record| record.share.base_offset.0).collect();
        assert_eq!(bases, (0..40).collect::<Vec<_>>());
    };
    simulation.block_on(node, LIMIT, read).expect("in time");
}

fn share_of(base: i64) -> Share {
    Share {
        topic_id: TOPIC_ID,
        partition: PartitionId(0),
        base_offset: Offset(base),
        next_offset: Offset(base + 1),
        leader_epoch: LeaderEpoch(0),
        durable_end_offset: Offset(0),
    }
}

/// The guard is one for all cores: none may take it for durable because another has made it.
#[test]
fn the_guard_is_durable_before_any_core_is() {
    for seed in 0..200 {
        println!("SEED={seed:#x}");
        let knobs = Knobs { unsynced_lost: 1.0, disk_slow: 0.2, ..Knobs::default() };
        let simulation = Simulation::new(seed, knobs);
        let node = node_of(&simulation);
        let made = async { reactor::directory::create_all(Path::new(DIRECTORY)).await };
        simulation.block_on(node, LIMIT, made).expect("in time").expect("made");
        let committed = Rc::new(Cell::new(false));
        let first_core = |core: u32| {
            let committed = committed.clone();
            async move {
                let directory = Path::new(DIRECTORY);
                let journal = Journal::open(directory, core, &settings()).await.expect("opened");
                let mut group = Group::with_capacity(1);
                group.push(share_of(0), &[Bytes::from_static(b"first")]);
                journal.commit(group).await.expect("committed");
                committed.set(true);
            }
        };
        let cores: Vec<_> =
            (0..4).map(|core| simulation.spawn_client(node, first_core(core))).collect();
        assert!(simulation.run_until(|| committed.get(), LIMIT));
        simulation.crash(node, Crash::PowerLoss);
        drop(cores);
        let exists = async { guard::exists(Path::new(DIRECTORY)).await.expect("listed") };
        assert!(simulation.block_on(node, LIMIT, exists).expect("in time"));
    }
}
