//! INV-4 on one replica: what was durable once is there after any power loss, in order and whole.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use protocol::model::{Offset, TimestampMs};
use reactor::file::{File, Open};
use reactor::sim::{Crash, DiskFaults, Knobs, Random, Simulation};
use storage::LogConfig;

const LIMIT: Duration = Duration::from_secs(3600);

/// What the test knows of the log across lives.
#[derive(Default)]
struct Known {
    /// Every batch of the log's current incarnation of its end: its offsets, and what it is.
    appended: RefCell<Vec<(Offset, Offset, protocol::record_batch::RecordBatch)>>,
    durable: Cell<Offset>,
    /// Below the first, segments are deleted durably; below the second, they may be.
    deleted: Cell<Offset>,
    deletable: Cell<Offset>,
    deletion_count: Cell<u64>,
}

impl Known {
    /// The log after a crash: all that was durable and not deleted, then a prefix of what else was
    /// appended.
    async fn check(&self, log: &storage::PartitionLog) {
        let end = log.log_end_offset();
        let durable = self.durable.get();
        assert!(end >= durable, "INV-4: durable up to {durable}, found up to {end}");
        assert_eq!(log.durable_end_offset(), end);
        let start = log.log_start_offset();
        let (deleted, deletable) = (self.deleted.get(), self.deletable.get());
        assert!(deleted <= start && start <= deletable, "{deleted} <= {start} <= {deletable}");
        let found = read_all(log, start, 20_000).await;
        let mut appended = self.appended.borrow_mut();
        appended.retain(|(_, batch_end, _)| *batch_end > start);
        appended.retain(|(base_offset, _, _)| *base_offset < end);
        assert_eq!(found.len(), appended.len(), "batches below {end}");
        for (found, (base_offset, _, appended)) in found.iter().zip(appended.iter()) {
            assert_eq!(found.header().base_offset, *base_offset);
            assert!(content(found) == content(appended), "INV-2: batch at {base_offset}");
        }
        self.durable.set(end);
        self.deleted.set(start);
    }

    /// Moves the log start a little or deletes some segments, or all of them.
    async fn delete(&self, log: &storage::PartitionLog, random: &mut Random) {
        log.set_high_watermark(log.durable_end_offset());
        self.deletable.set(self.deletable.get().max(log.high_watermark()));
        let start = log.log_start_offset();
        let reachable = (log.high_watermark().0 - start.0) as u64;
        match random.below(4) {
            0 => {
                let wanted = Offset(start.0 + random.below(reachable + 1) as i64);
                log.raise_log_start(wanted).expect("below the high watermark");
            }
            1 => log.set_config(LogConfig { retention_bytes: Some(0), ..small_config() }),
            _ => {
                let kept = log.size_bytes() - log.size_bytes().min(random.below(200_000));
                log.set_config(LogConfig { retention_bytes: Some(kept), ..small_config() });
            }
        }
        let count = log.delete_old_segments(TimestampMs(0)).await.expect("deleted");
        log.set_config(small_config());
        self.deletion_count.set(self.deletion_count.get() + count as u64);
        if count > 0 {
            let oldest = log.log_start_offset();
            let segments = reactor::directory::list(log.directory()).await.expect("listed");
            let first = segments.iter().find_map(|entry| entry.name.strip_suffix(".log"));
            let first = Offset(first.expect("a segment").parse().expect("a base offset"));
            assert!(first <= oldest, "{first} <= {oldest}");
            self.deleted.set(first);
        }
    }
}

/// One life of the process: opens the log, checks it, appends until it is killed.
async fn live(known: Rc<Known>, mut random: Random) {
    let directory = Path::new("/data");
    let exists = reactor::directory::list(Path::new("/"))
        .await
        .expect("listed")
        .iter()
        .any(|entry| entry.name == "data");
    if !exists {
        assert_eq!(known.durable.get(), Offset(0), "a log that was durable is gone");
        reactor::directory::create_all(directory).await.expect("made");
    }
    let is_made = reactor::directory::list(directory)
        .await
        .expect("listed")
        .iter()
        .any(|entry| entry.name == "orders-0");
    let log = if is_made && known.durable.get() > Offset(0) {
        open(directory, false).await
    } else if is_made {
        // The crash may have hit the creation of the log itself.
        let path = directory.join("orders-0");
        reactor::directory::remove_all(&path).await.expect("removed");
        known.appended.borrow_mut().clear();
        create(directory).await
    } else {
        create(directory).await
    };
    known.check(&log).await;
    let durable = known.clone();
    log.on_durable(move |news| {
        if let Ok(offset) = news {
            durable.durable.set(offset);
        }
    });
    loop {
        let count = 1 + random.below(20) as i64;
        let size_bytes = if random.below(10) == 0 { 2500 } else { 100 };
        let batch = batch(random.below(1000) as i64, count, size_bytes);
        let base_offset = log.log_end_offset();
        let end = Offset(base_offset.0 + count);
        known.appended.borrow_mut().push((base_offset, end, batch.clone()));
        assert_eq!(append(&log, &batch), end);
        if random.below(50) == 0 {
            known.delete(&log, &mut random).await;
        }
        match random.below(4) {
            0 => log.wait_durable(end).await.expect("durable"),
            1 => reactor::time::sleep(Duration::from_micros(random.below(2000))).await,
            _ => {}
        }
    }
}

/// What a run ended with.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace_hash: u64,
    durable: Offset,
    deletion_count: u64,
}

/// Six lives under one seed; in every second one the world is hostile.
fn run(seed: u64, crash: Crash) -> Outcome {
    let world = if seed.is_multiple_of(2) { Knobs::hostile(seed) } else { Knobs::default() };
    let knobs = Knobs { unsynced_lost: 0.9, disk_slow: 0.03, ..world };
    let simulation = Simulation::new(seed, knobs);
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let known = Rc::new(Known::default());
    let mut random = simulation.random("crashes");
    for life in 0..6 {
        let workload = simulation.random(&format!("life {life}"));
        let client = simulation.spawn_client(node, live(known.clone(), workload));
        simulation.run_for(Duration::from_micros(50_000 + random.below(900_000)));
        simulation.crash(node, crash);
        drop(client);
    }
    let survivor = known.clone();
    let last = async move {
        if survivor.durable.get() > Offset(0) {
            survivor.check(&open(Path::new("/data"), false).await).await;
        }
    };
    simulation.block_on(node, LIMIT, last).expect("in time");
    Outcome {
        trace_hash: simulation.trace_hash(),
        durable: known.durable.get(),
        deletion_count: known.deletion_count.get(),
    }
}

fn run_all(seeds: Range<u64>, crash: Crash) {
    let (mut compared, mut deletion_count) = (0, 0);
    for seed in seeds.clone() {
        println!("SEED={seed:#x}");
        let outcome = run(seed, crash);
        compared += usize::from(outcome.durable > Offset(0));
        deletion_count += outcome.deletion_count;
    }
    let all = seeds.count();
    assert!(compared * 10 > all * 9, "{compared} of {all} seeds had something to compare");
    assert!(2 * deletion_count > all as u64, "{deletion_count} segments deleted under {all} seeds");
}

#[test]
fn what_was_durable_survives_power_loss() {
    run_all(0..120, Crash::PowerLoss);
}

#[test]
fn all_that_was_written_survives_a_kill() {
    run_all(1000..1030, Crash::Kill);
}

#[test]
fn one_seed_is_one_run() {
    assert_eq!(run(5, Crash::PowerLoss), run(5, Crash::PowerLoss));
}

#[test]
fn a_failed_flush_takes_the_log_offline() {
    let simulation = Simulation::new(11, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let made = async {
        reactor::directory::create_all(Path::new("/data")).await.expect("made");
        let log = create(Path::new("/data")).await;
        let end = append(&log, &batch(0, 5, 100));
        log.wait_durable(end).await.expect("durable");
        (log, end)
    };
    let (log, durable) = simulation.block_on(node, LIMIT, made).expect("in time");
    for faults in [
        DiskFaults { flush_error: 1.0, ..DiskFaults::default() },
        DiskFaults::default(), // mended: the log stays offline
    ] {
        simulation.set_disk_faults(node, Path::new("/data"), faults).expect("a disk");
        let log = log.clone();
        let refused = async move {
            let refused = match log.append_as_leader(&[batch(0, 1, 100)], how(0)) {
                Ok(_) => log.wait_durable(Offset(6)).await.expect_err("the flush fails"),
                Err(storage::AppendError::Storage(error)) => error,
                Err(error) => panic!("{error}"),
            };
            assert!(matches!(refused, storage::StorageError::Offline { .. }), "{refused}");
            assert_eq!(log.durable_end_offset(), durable);
            assert!(log.close().await.is_err());
        };
        simulation.block_on(node, LIMIT, refused).expect("in time");
    }
}

#[test]
fn a_rotten_batch_is_never_served() {
    let simulation = Simulation::new(12, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let made = async {
        reactor::directory::create_all(Path::new("/data")).await.expect("made");
        let log = create(Path::new("/data")).await;
        (0..10).for_each(|n| {
            append(&log, &batch(n, 5, 100));
        });
        log.close().await.expect("closed");
    };
    simulation.block_on(node, LIMIT, made).expect("in time");
    let one = batch(0, 5, 100).size_bytes() as u64;
    let path = Path::new("/data/orders-0/00000000000000000000.log");
    assert!(simulation.rot(node, path, 4 * one + 90).expect("a disk"));
    let check = async {
        let log = open(Path::new("/data"), true).await;
        let read = log.read(Offset(0), 1, true, Offset(50)).await.expect("the first is good");
        assert_eq!(read.next_offset, Offset(5));
        let read = log.read(Offset(21), 1, true, Offset(50)).await;
        assert!(
            matches!(
                read,
                Err(storage::ReadError::Storage(storage::StorageError::CorruptBatch { .. }))
            ),
            "{read:?}"
        );
    };
    simulation.block_on(node, LIMIT, check).expect("in time");
}

/// Found by seed 0xe3c of the simulator's logs: a crash within a truncation left the snapshot of producers
/// at a roll that was cut off. The next start removed it, a loss of power brought it back, and by then the
/// log ended there again.
#[test]
fn a_snapshot_of_what_was_cut_off_stays_away() {
    for seed in 0..20 {
        let simulation = Simulation::new(seed, Knobs { unsynced_lost: 1.0, ..Knobs::default() });
        let node = simulation.add_node("node", [10, 0, 0, 1].into());
        let half_cut = async move {
            reactor::directory::create_all(Path::new("/data")).await.expect("made");
            reactor::directory::sync(Path::new("/")).await.expect("flushed");
            let log = create(Path::new("/data")).await;
            // The fourth does not fit into the first segment.
            for sequence in 0..4 {
                append(&log, &idempotent_with(sequence, 20_000));
            }
            log.close().await.expect("closed");
            let path = Path::new("/data/orders-0");
            let later = path.join("00000000000000000003.log");
            reactor::directory::remove_file(&later).await.expect("removed");
            reactor::directory::sync(path).await.expect("flushed");
            let first = path.join("00000000000000000000.log");
            let first = File::open(&first, Open::Existing).await.expect("opened");
            first.truncate(idempotent_with(0, 20_000).size_bytes() as u64).await.expect("cut");
            first.flush().await.expect("flushed");
        };
        simulation.block_on(node, LIMIT, half_cut).expect("in time");
        simulation.crash(node, Crash::Kill);
        let two_in_one = idempotent(1, 2);
        let appended = two_in_one.clone();
        let grown = async move {
            let log = open(Path::new("/data"), false).await;
            let end = append(&log, &appended);
            assert_eq!(end, Offset(3), "where the first segment had ended");
            log.wait_durable(end).await.expect("durable");
        };
        simulation.block_on(node, LIMIT, grown).expect("in time");
        simulation.crash(node, Crash::PowerLoss);
        let retry = async move {
            let log = open(Path::new("/data"), false).await;
            let retried = log.append_as_leader(std::slice::from_ref(&two_in_one), how(0));
            let is_known =
                matches!(retried, Ok(storage::Appended::Duplicate { base_offset: Offset(1), .. }));
            assert!(is_known, "seed {seed}: {retried:?}");
        };
        simulation.block_on(node, LIMIT, retry).expect("in time");
    }
}
