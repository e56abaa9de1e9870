//! A full disk refuses records, loses none, and takes them again once there is space.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use protocol::model::Offset;
use protocol::record_batch::RecordBatch;
use reactor::directory;
use reactor::file::{File, Open};
use reactor::sim::{Crash, DiskFaults, Knobs, NodeId, Simulation};
use storage::{LogDirectory, PartitionLog, Settings, StorageError};

use crate::support::*;

const DATA: &str = "/data";
const LIMIT: Duration = Duration::from_secs(3600);
/// A refusal holds for a second; then the disk is looked at again.
const PROBED: Duration = Duration::from_millis(1_100);
const RESERVE: &str = "millrace-reserve";

fn world(seed: u64) -> (Simulation, NodeId) {
    let simulation = Simulation::new(seed, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let made = async { directory::create_all(Path::new(DATA)).await };
    simulation.block_on(node, LIMIT, made).expect("in time").expect("a directory");
    (simulation, node)
}

fn set_capacity(simulation: &Simulation, node: NodeId, bytes: u64) {
    let faults = DiskFaults { capacity_bytes: Some(bytes), ..DiskFaults::default() };
    simulation.set_disk_faults(node, Path::new(DATA), faults).expect("a disk");
}

/// As a node's start opens it.
async fn opened_directory() -> LogDirectory {
    let directory = LogDirectory::open(Path::new(DATA)).await.expect("a log directory");
    directory.prepare_space(&Settings::default()).await;
    directory
}

/// Appends batches until one is refused. Returns those that were accepted, all of them durable.
async fn fill(log: &PartitionLog, value_size_bytes: usize) -> Vec<RecordBatch> {
    let mut accepted = Vec::new();
    loop {
        let batch = batch(accepted.len() as i64, 1, value_size_bytes);
        match log.ready_for_append(batch.size_bytes()).await {
            Ok(()) => {
                append(log, &batch);
                accepted.push(batch);
            }
            Err(StorageError::Full { .. }) => break,
            Err(error) => panic!("a full disk is {error}"),
        }
        assert!(accepted.len() < 10_000, "a full disk refuses");
    }
    log.flush().await.expect("what was accepted has its blocks");
    accepted
}

#[test]
fn records_are_refused_and_then_taken_again() {
    for (seed, capacity_bytes, value_size_bytes) in
        [(1, 2 << 20, 3_000), (2, 1 << 20, 200), (3, 3 << 20, 40_000), (4, 300 << 10, 10_000)]
    {
        let (simulation, node) = world(seed);
        set_capacity(&simulation, node, capacity_bytes);
        let opened = Rc::new(RefCell::new(None));
        let known = opened.clone();
        let filled = simulation.block_on(node, LIMIT, async move {
            opened_directory().await;
            let log = create(Path::new(DATA)).await;
            let accepted = fill(&log, value_size_bytes).await;
            assert_holds(&log, &accepted, 100_000).await;
            let space = directory::space(Path::new(DATA)).await.expect("measured");
            // Rolls may have used what records left, and more.
            let left = space.free_bytes + reserve_size().await;
            assert!(left >= capacity_bytes / 64 / 16384 * 16384, "records leave {space:?}");
            *known.borrow_mut() = Some(log);
            accepted
        });
        let mut accepted = filled.expect("in time");
        assert!(!accepted.is_empty(), "seed {seed}");
        set_capacity(&simulation, node, 2 * capacity_bytes);
        let ended = simulation.block_on(node, LIMIT, async move {
            let log = opened.borrow_mut().take().expect("the log is online");
            reactor::sleep(PROBED).await;
            let more = fill(&log, value_size_bytes).await;
            assert!(!more.is_empty(), "seed {seed}: there is space again");
            accepted.extend(more);
            assert_holds(&log, &accepted, 100_000).await;
            log.close().await.expect("a stop needs what is left, or the reserve");
            let log = open(Path::new(DATA), true).await;
            assert_holds(&log, &accepted, 100_000).await;
        });
        ended.expect("in time");
        for mark in ["disk_full_refused", "disk_full_resumed"] {
            assert!(simulation.marks().contains_key(mark), "seed {seed}: {mark}");
        }
    }
}

/// A foreign file takes all that is free, and with it what records have left for all else.
async fn take_all_space() {
    let file = File::open(Path::new("/data/foreign"), Open::OrCreate).await.expect("a file");
    loop {
        let free = directory::space(Path::new(DATA)).await.expect("measured").free_bytes;
        match free {
            0 => return,
            free => file.allocate(file.size()..file.size() + free).await.expect("free blocks"),
        }
    }
}

async fn reserve_size() -> u64 {
    let entries = directory::list(Path::new(DATA)).await.expect("listed");
    entries.iter().find(|entry| entry.name == RESERVE).map_or(0, |entry| entry.size_bytes)
}

#[test]
fn what_was_accepted_waits_for_space() {
    let (simulation, node) = world(5);
    set_capacity(&simulation, node, 4 << 20);
    let durable = Rc::new(Cell::new(Offset(0)));
    let heard = durable.clone();
    simulation
        .block_on(node, LIMIT, async move {
            let log = create(Path::new(DATA)).await;
            let first = batch(0, 1, 1_000);
            log.ready_for_append(first.size_bytes()).await.expect("room");
            append(&log, &first);
            log.flush().await.expect("durable");
            take_all_space().await;
            // More than was allocated ahead, accepted all the same: nobody asked for room.
            (0..40).for_each(|number| {
                append(&log, &batch(number, 1, 10_000));
            });
            log.on_durable(move |news| heard.set(news.expect("the log stays online")));
            reactor::sleep(Duration::from_secs(30)).await;
            assert!(log.durable_end_offset() < log.log_end_offset(), "there are no blocks");
            assert_eq!(reserve_size().await, 0, "the reserve was spent");
            let refused = log.ready_for_append(100_000).await;
            assert!(matches!(refused, Err(StorageError::Full { .. })), "{refused:?}");
            directory::remove_file(Path::new("/data/foreign")).await.expect("removed");
            log.flush().await.expect("durable once there is space");
            assert_eq!(log.durable_end_offset(), Offset(41));
            reactor::sleep(PROBED).await;
            log.ready_for_append(100_000).await.expect("room");
            assert_eq!(reserve_size().await, 64 << 10, "the reserve is refilled first");
        })
        .expect("in time");
    assert_eq!(durable.get(), Offset(41));
    for mark in ["reserve_spent", "reserve_used_up"] {
        assert!(simulation.marks().contains_key(mark), "{mark}");
    }
}

#[test]
fn a_node_starts_on_a_full_disk() {
    for seed in 10..30 {
        let (simulation, node) = world(seed);
        set_capacity(&simulation, node, 2 << 20);
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let known = accepted.clone();
        let filled = simulation.block_on(node, LIMIT, async move {
            let locked = opened_directory().await;
            let log = create(Path::new(DATA)).await;
            let filled = fill(&log, 3_000).await;
            *known.borrow_mut() = filled;
            // Rolled segments get their indexes, but for the last that a crash may catch.
            reactor::sleep(Duration::from_secs(1)).await;
            drop(locked);
        });
        filled.expect("in time");
        for crash in [Crash::Kill, Crash::PowerLoss] {
            let (simulated, known) = (&simulation, accepted.clone());
            simulated.crash(node, crash);
            simulated.block_on(node, LIMIT, take_all_space()).expect("in time");
            let started = simulated.block_on(node, LIMIT, async move {
                opened_directory().await;
                let log = open(Path::new(DATA), false).await;
                let accepted = known.borrow().clone();
                assert_holds(&log, &accepted, 100_000).await;
                // What the start has left of the reserve is set aside again before records come.
                let refused = log.ready_for_append(3_000).await;
                assert!(matches!(refused, Err(StorageError::Full { .. })), "{refused:?}");
                assert!(reserve_size().await > 0);
            });
            started.expect("in time");
        }
        assert!(simulation.marks().contains_key("reserve_spent_at_start"), "seed {seed}");
    }
}

#[test]
fn blocks_are_allocated_ahead_and_given_back() {
    in_both_worlds(|path| async move {
        let log = create(&path).await;
        let file = path.join("orders-0/00000000000000000000.log");
        let size = async || directory::read(&file).await.expect("readable").len();
        assert_eq!(size().await, 0, "an empty partition has no blocks");
        let first = batch(0, 1, 1_000);
        log.ready_for_append(first.size_bytes()).await.expect("room");
        let ahead = size().await;
        assert!((4096..=32 << 10).contains(&ahead), "a first append gets {ahead}");
        append(&log, &first);
        log.flush().await.expect("durable");
        let bytes = directory::read(&file).await.expect("readable");
        let (records, zeros) = bytes.split_at(first.size_bytes());
        assert_eq!(records[17..], first.bytes()[17..], "the batch");
        assert!(zeros.iter().all(|byte| *byte == 0), "then zeros alone");
        log.close().await.expect("closed");
        assert_eq!(size().await, first.size_bytes(), "what was too much is given back");
    });
}
