//! A journal on a disk that is full or failing.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, PartitionId};
use reactor::sim::{DiskFaults, Knobs, NodeId, Simulation};
use storage::journal::{Group, Journal, Replay, Share};
use storage::{Settings, StorageError};

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(3600);

fn directory() -> &'static Path {
    Path::new("/data")
}

fn settings() -> Settings {
    Settings {
        journal_file_size_bytes_first: 64 << 10,
        journal_file_size_bytes_max: 64 << 10,
        ..Settings::default()
    }
}

fn world() -> (Simulation, NodeId) {
    let simulation = Simulation::new(4, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    run(&simulation, node, async {
        reactor::directory::create_all(directory()).await.expect("made");
    });
    (simulation, node)
}

fn run<T: 'static>(
    simulation: &Simulation,
    node: NodeId,
    future: impl Future<Output = T> + 'static,
) -> T {
    simulation.block_on(node, LIMIT, future).expect("in time")
}

fn set_faults(simulation: &Simulation, node: NodeId, faults: DiskFaults) {
    simulation.set_disk_faults(node, directory(), faults).expect("a disk");
}

fn group(base: i64) -> Group {
    let mut group = Group::with_capacity(1);
    let share = Share {
        topic_id: TOPIC_ID,
        partition: PartitionId(0),
        base_offset: Offset(base),
        next_offset: Offset(base + 1),
        leader_epoch: LeaderEpoch(0),
        durable_end_offset: Offset(base),
    };
    group.push(share, &[Bytes::from(vec![b'x'; 3000])]);
    group
}

fn is_full(error: &StorageError) -> bool {
    let full = std::io::ErrorKind::StorageFull;
    matches!(error, StorageError::Io { source, .. } if source.kind() == full)
}

async fn replayed_count() -> usize {
    let replay = Replay::read(directory()).await.expect("read");
    assert_eq!(replay.damages(), []);
    replay.records(TOPIC_ID, PartitionId(0)).len()
}

#[test]
fn a_full_disk_refuses_groups_until_there_is_room() {
    let (simulation, node) = world();
    // The guard is there, and the file has room for the fifteen groups that fit behind its header.
    let journal = run(&simulation, node, async {
        let journal = Journal::open(directory(), 0, &settings()).await.expect("opened");
        journal.commit(group(0)).await.expect("committed");
        journal
    });
    let full = DiskFaults { capacity_bytes: Some(0), ..DiskFaults::default() };
    set_faults(&simulation, node, full);
    let on_full = journal.clone();
    run(&simulation, node, async move {
        for base in 1..15 {
            on_full.commit(group(base)).await.expect("the file has room for it");
        }
        for _ in 0..3 {
            let refused = on_full.commit(group(15)).await.expect_err("the disk is full");
            assert!(is_full(&refused), "{refused}");
        }
        assert_eq!(replayed_count().await, 15);
    });
    set_faults(&simulation, node, DiskFaults::default());
    run(&simulation, node, async move {
        for base in 15..60 {
            journal.commit(group(base)).await.expect("there is room again");
        }
        assert_eq!(replayed_count().await, 60);
    });
}

#[test]
fn a_journal_opens_on_a_full_disk() {
    let (simulation, node) = world();
    let full = DiskFaults { capacity_bytes: Some(0), ..DiskFaults::default() };
    set_faults(&simulation, node, full);
    let journal = run(&simulation, node, async {
        let journal = Journal::open(directory(), 0, &settings()).await.expect("opened");
        let refused = journal.commit(group(0)).await.expect_err("the disk is full");
        assert!(is_full(&refused), "{refused}");
        journal
    });
    set_faults(&simulation, node, DiskFaults::default());
    run(&simulation, node, async move {
        // A group that is refused has the journal look for room again, once a second at most.
        let mut refused_count = 0;
        while let Err(error) = journal.commit(group(0)).await {
            assert!(is_full(&error), "{error}");
            refused_count += 1;
            assert!(refused_count <= 3, "there is room again");
            reactor::sleep(Duration::from_secs(1)).await;
        }
        journal.commit(group(1)).await.expect("committed");
        assert_eq!(replayed_count().await, 2);
    });
}

#[test]
fn a_failed_write_or_flush_ends_the_journal() {
    for (what, faults) in [
        ("write", DiskFaults { write_error: 1.0, ..DiskFaults::default() }),
        ("flush", DiskFaults { flush_error: 1.0, ..DiskFaults::default() }),
    ] {
        let (simulation, node) = world();
        let journal = run(&simulation, node, async {
            let journal = Journal::open(directory(), 0, &settings()).await.expect("opened");
            journal.commit(group(0)).await.expect("committed");
            journal
        });
        set_faults(&simulation, node, faults);
        let failing = journal.clone();
        run(&simulation, node, async move {
            let refused = failing.commit(group(1)).await.expect_err(what);
            assert!(matches!(refused, StorageError::Offline { .. }), "{what}: {refused}");
        });
        set_faults(&simulation, node, DiskFaults::default());
        run(&simulation, node, async move {
            let mark = journal.mark();
            for refused in [
                journal.commit(group(2)).await,
                journal.flush().await,
                journal.recycle_before(mark).await,
                journal.clear().await,
            ] {
                let refused = refused.expect_err("no failed write is forgotten");
                assert!(matches!(refused, StorageError::Offline { .. }), "{what}: {refused}");
            }
            let count = replayed_count().await;
            assert!((1..=2).contains(&count), "{what}: {count} records");
        });
    }
}

#[test]
fn a_flush_that_fails_for_a_full_disk_ends_the_journal_too() {
    let (simulation, node) = world();
    // Half of the file is written, so that the next one is made; and the last group is not flushed, so
    // that it is when the file is left.
    let journal = run(&simulation, node, async {
        let journal = Journal::open(directory(), 0, &settings()).await.expect("opened");
        for base in 0..14 {
            journal.commit(group(base)).await.expect("committed");
        }
        reactor::sleep(Duration::from_secs(1)).await;
        journal.write(group(14)).await.expect("written");
        journal
    });
    let faults = DiskFaults { flush_error: 1.0, is_flush_full: true, ..DiskFaults::default() };
    set_faults(&simulation, node, faults);
    let failing = journal.clone();
    run(&simulation, node, async move {
        let refused = failing.write(group(15)).await.expect_err("the file before is not flushed");
        assert!(matches!(refused, StorageError::Offline { .. }), "{refused}");
    });
    // What the failed flush has not written is lost to a later one that succeeds.
    set_faults(&simulation, node, DiskFaults::default());
    run(&simulation, node, async move {
        let refused = journal.write(group(15)).await.expect_err("no failed flush is forgotten");
        assert!(matches!(refused, StorageError::Offline { .. }), "{refused}");
        let refused = journal.flush().await.expect_err("no failed flush is forgotten");
        assert!(matches!(refused, StorageError::Offline { .. }), "{refused}");
    });
}
