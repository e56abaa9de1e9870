//! INV-4 on one replica: what was durable once is there after any power loss, in order and whole.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use protocol::model::Offset;
use reactor::sim::{Crash, DiskFaults, Knobs, Random, Simulation};

const LIMIT: Duration = Duration::from_secs(3600);

/// What the test knows of the log across lives.
#[derive(Default)]
struct Known {
    /// Every batch of the log's current incarnation of its end, by base offset.
    appended: RefCell<Vec<(Offset, protocol::record_batch::RecordBatch)>>,
    durable: Cell<Offset>,
}

impl Known {
    /// The log after a crash: all that was durable, then a prefix of what else was appended.
    async fn check(&self, log: &storage::PartitionLog) {
        let end = log.log_end_offset();
        let durable = self.durable.get();
        assert!(end >= durable, "INV-4: durable up to {durable}, found up to {end}");
        assert_eq!(log.durable_end_offset(), end);
        let found = read_all(log, Offset(0), 20_000).await;
        let mut appended = self.appended.borrow_mut();
        appended.retain(|(base_offset, _)| *base_offset < end);
        assert_eq!(found.len(), appended.len(), "batches below {end}");
        for (found, (base_offset, appended)) in found.iter().zip(appended.iter()) {
            assert_eq!(found.header().base_offset, *base_offset);
            assert!(content(found) == content(appended), "INV-2: batch at {base_offset}");
        }
        self.durable.set(end);
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
        known.appended.borrow_mut().push((base_offset, batch.clone()));
        let end = append(&log, &batch);
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
    Outcome { trace_hash: simulation.trace_hash(), durable: known.durable.get() }
}

fn run_all(seeds: Range<u64>, crash: Crash) {
    let compared = seeds.clone().filter(|&seed| {
        println!("SEED={seed:#x}");
        run(seed, crash).durable > Offset(0)
    });
    let (compared, all) = (compared.count(), seeds.count());
    assert!(compared * 10 > all * 9, "{compared} of {all} seeds had something to compare");
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
