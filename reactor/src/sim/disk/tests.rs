//! What [`crate::file`] and [`crate::directory`] meet on a simulated disk.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::buffer::AlignedBuffer;
use crate::file::File;
use crate::sim::{Crash, Knobs, NodeId, Simulation};
use crate::{directory, sleep, spawn, timeout};

const SECOND: Duration = Duration::from_secs(1);

struct Host {
    simulation: Simulation,
    node: NodeId,
}

impl Host {
    fn new(seed: u64, knobs: Knobs) -> Self {
        let simulation = Simulation::new(seed, knobs);
        let node = simulation.add_node("a", Ipv4Addr::new(10, 0, 0, 1).into());
        Host { simulation, node }
    }

    fn lossy(seed: u64) -> Self {
        Host::new(seed, Knobs { unsynced_lost: 1.0, ..Knobs::default() })
    }

    fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        self.simulation.block_on(self.node, SECOND * 1_000, future).unwrap()
    }

    /// Runs `future` for `span` and then crashes the node, whether or not it has ended.
    fn run_into<T: 'static>(
        &self,
        crash: Crash,
        span: Duration,
        future: impl Future<Output = T> + 'static,
    ) {
        let client = self.simulation.spawn_client(self.node, future);
        self.simulation.run_for(span);
        self.simulation.crash(self.node, crash);
        drop(client);
    }

    fn set_faults(&self, faults: DiskFaults) {
        self.simulation.set_disk_faults(self.node, Path::new("/"), faults).unwrap();
    }
}

fn blocks(fills: &[u8]) -> Bytes {
    let mut buffer = AlignedBuffer::zeroed(fills.len() * ALIGNMENT);
    for (block, fill) in buffer.chunks_mut(ALIGNMENT).zip(fills) {
        block.fill(*fill);
    }
    buffer.into_bytes()
}

async fn open(path: &str) -> File {
    File::open(Path::new(path), Open::OrCreate).await.unwrap()
}

async fn contents(path: &str) -> Vec<u8> {
    directory::read(Path::new(path)).await.unwrap()
}

/// The first byte of each sector.
fn sectors(contents: &[u8]) -> Vec<u8> {
    contents.chunks(512).map(|sector| sector[0]).collect()
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

fn is_io_error<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EIO))
}

#[test]
fn a_file_reads_back_what_was_written() {
    Host::new(1, Knobs::default()).run(async {
        let file = open("/a").await;
        assert_eq!(file.size(), 0);
        file.write_at(blocks(&[1, 2]), 0).await.unwrap();
        file.write_at(blocks(&[3]), 3 * ALIGNMENT as u64).await.unwrap();
        assert_eq!(file.size(), 4 * ALIGNMENT as u64);
        file.truncate(3 * ALIGNMENT as u64 + 10).await.unwrap();
        let read = file.read_range(ALIGNMENT as u64 - 1..file.size()).await.unwrap();
        assert_eq!((read[0], read[1], read[ALIGNMENT]), (1, 2, 2));
        assert_eq!(read[ALIGNMENT + 1..2 * ALIGNMENT + 1], [0; ALIGNMENT]);
        assert_eq!(read[2 * ALIGNMENT + 1..], [3; 10]);
        let (buffer, inside) =
            file.read_at(AlignedBuffer::zeroed(2 * ALIGNMENT), 3 * ALIGNMENT as u64).await;
        assert_eq!(inside.unwrap(), 10);
        assert!(buffer[10..].iter().all(|byte| *byte == 0));
        file.allocate(0..10 * ALIGNMENT as u64).await.unwrap();
        assert_eq!(file.size(), 10 * ALIGNMENT as u64);
        assert_eq!(open("/a").await.size(), file.size());
    });
}

#[test]
fn names_are_made_listed_moved_and_removed() {
    Host::new(1, Knobs::default()).run(async {
        let path = Path::new;
        directory::create_all(path("/logs/orders-0")).await.unwrap();
        directory::create_all(path("/logs/orders-0")).await.unwrap();
        directory::write_atomic(path("/logs/meta"), b"one").await.unwrap();
        directory::write_atomic(path("/logs/meta"), b"second").await.unwrap();
        assert_eq!(contents("/logs/meta").await, b"second");
        let entries = directory::list(path("/logs")).await.unwrap();
        let entries: Vec<_> =
            entries.iter().map(|e| (e.name.as_str(), e.is_directory, e.size_bytes)).collect();
        assert_eq!(entries, [("meta", false, 6), ("orders-0", true, 0)]);
        open("/logs/orders-0/0.log").await;
        directory::rename(path("/logs/orders-0"), path("/logs/orders-0-delete")).await.unwrap();
        let old = File::open(path("/logs/orders-0/0.log"), Open::Existing).await;
        assert_eq!(kind(old), io::ErrorKind::NotFound);
        let again = File::open(path("/logs/orders-0-delete/0.log"), Open::New).await;
        assert_eq!(kind(again), io::ErrorKind::AlreadyExists);
        directory::remove_all(path("/logs/orders-0-delete")).await.unwrap();
        directory::remove_file(path("/logs/meta")).await.unwrap();
        assert!(directory::list(path("/logs")).await.unwrap().is_empty());
        assert_eq!(kind(directory::read(path("/logs/meta")).await), io::ErrorKind::NotFound);
        assert_eq!(kind(directory::read(path("/logs/../x")).await), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    for seed in 0..50 {
        let host = Host::lossy(seed);
        host.run_into(Crash::Kill, SECOND, async {
            open("/a").await.write_at(blocks(&[1, 2]), 0).await.unwrap();
        });
        assert_eq!(sectors(&host.run(contents("/a"))), [[1; 8], [2; 8]].concat());
    }
}

#[test]
fn a_write_in_flight_at_a_kill_has_happened_or_not() {
    let outcomes: BTreeSet<u64> = (0..50)
        .map(|seed| {
            let host = Host::lossy(seed);
            let file = host.run(open("/a"));
            // Ten microseconds are less than any write takes.
            host.run_into(Crash::Kill, Duration::from_micros(10), async move {
                file.write_at(blocks(&[1]), 0).await
            });
            host.run(async { open("/a").await.size() })
        })
        .collect();
    assert_eq!(outcomes, BTreeSet::from([0, ALIGNMENT as u64]));
}

#[test]
fn power_loss_spares_what_was_flushed_and_tears_the_rest() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let host = Host::lossy(seed);
        host.run_into(Crash::PowerLoss, SECOND, async {
            let file = open("/a").await;
            file.write_at(blocks(&[1, 1]), 0).await.unwrap();
            file.flush().await.unwrap();
            directory::sync(Path::new("/")).await.unwrap();
            file.write_at(blocks(&[2]), ALIGNMENT as u64).await.unwrap();
        });
        let sectors = sectors(&host.run(contents("/a")));
        assert_eq!(sectors[..8], [1; 8], "seed {seed}");
        assert!(sectors[8..].iter().all(|byte| [1, 2].contains(byte)), "seed {seed}");
        outcomes.insert(sectors[8..].to_vec());
    }
    assert!(outcomes.contains(&vec![1; 8]) && outcomes.contains(&vec![2; 8]));
    assert!(outcomes.len() > 20, "{} ways to tear eight sectors", outcomes.len());
}

#[test]
fn a_durable_write_outlasts_a_power_loss_and_takes_no_other_along() {
    let (mut is_lost, mut is_torn) = (false, false);
    for seed in 0..40 {
        let host = Host::lossy(seed);
        host.run(async {
            let file = open("/a").await;
            file.write_at(blocks(&[1, 1, 1]), 0).await.unwrap();
            file.flush().await.unwrap();
            directory::sync(Path::new("/")).await.unwrap();
            file.write_at(blocks(&[2, 2, 2]), 0).await.unwrap();
            file.write_durably_at(blocks(&[3]), ALIGNMENT as u64).await.unwrap();
            file.write_at(blocks(&[4]), 2 * ALIGNMENT as u64).await.unwrap();
        });
        host.simulation.crash(host.node, Crash::PowerLoss);
        let found = host.run(async { contents("/a").await });
        let found = sectors(&found);
        assert_eq!(found[8..16], [3; 8], "seed {seed}");
        assert!(found[..8].iter().all(|byte| [1, 2].contains(byte)), "seed {seed}: {found:?}");
        assert!(found[16..].iter().all(|byte| [1, 2, 4].contains(byte)), "seed {seed}: {found:?}");
        is_lost |= found[..8].contains(&1);
        is_torn |= found[..8] != [found[0]; 8];
    }
    assert!(is_lost && is_torn);
}

#[test]
fn knobs_may_spare_everything_at_a_power_loss() {
    for seed in 0..20 {
        let host = Host::new(seed, Knobs { unsynced_lost: 0.0, ..Knobs::default() });
        host.run_into(Crash::PowerLoss, SECOND, async {
            open("/a").await.write_at(blocks(&[1]), 0).await.unwrap();
        });
        assert_eq!(sectors(&host.run(contents("/a"))), [1; 8]);
    }
}

#[test]
fn an_atomic_write_is_old_or_new_at_every_moment() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let host = Host::lossy(seed);
        host.run(directory::write_atomic(Path::new("/meta"), b"old")).unwrap();
        let span = Duration::from_micros(seed * 10);
        let crash = if seed % 4 == 0 { Crash::Kill } else { Crash::PowerLoss };
        let has_ended = Rc::new(Cell::new(false));
        let ended = has_ended.clone();
        host.run_into(crash, span, async move {
            directory::write_atomic(Path::new("/meta"), b"newer").await.unwrap();
            ended.set(true);
        });
        let contents = host.run(contents("/meta"));
        assert!(contents == b"newer" || (contents == b"old" && !has_ended.get()), "seed {seed}");
        seen.insert(contents);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn an_atomic_write_goes_on_without_its_caller() {
    let host = Host::new(1, Knobs::default());
    host.run(async {
        let writing = directory::write_atomic(Path::new("/meta"), b"whole");
        assert!(timeout(Duration::from_micros(30), writing).await.is_err());
        sleep(SECOND).await;
        assert_eq!(contents("/meta").await, b"whole");
    });
}

#[test]
fn a_dropped_write_still_ends_and_moves_the_size() {
    Host::new(1, Knobs::default()).run(async {
        let file = open("/a").await;
        let writing = file.write_at(blocks(&[9]), 0);
        assert!(timeout(Duration::from_micros(1), writing).await.is_err());
        sleep(SECOND).await;
        assert_eq!(file.size(), ALIGNMENT as u64);
    });
}

#[test]
fn writes_of_one_file_end_out_of_order() {
    let first_to_end = |seed| {
        Host::new(seed, Knobs::default()).run(async {
            let file = open("/a").await;
            let order = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..2u64)
                .map(|index| {
                    let (file, order) = (file.clone(), order.clone());
                    spawn(async move {
                        file.write_at(blocks(&[1]), index * ALIGNMENT as u64).await.unwrap();
                        order.borrow_mut().push(index);
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            order.take()[0]
        })
    };
    assert_eq!((0..20).map(first_to_end).collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]));
}

#[test]
#[should_panic(expected = "two writes in flight to one block")]
fn two_writes_to_one_block_are_a_bug() {
    Host::new(1, Knobs::default()).run(async {
        let file = open("/a").await;
        let other = file.clone();
        let writing = spawn(async move { other.write_at(blocks(&[1, 2]), 0).await });
        file.write_at(blocks(&[3]), ALIGNMENT as u64).await.unwrap();
        writing.await.unwrap();
    });
}

#[test]
fn a_stalled_disk_answers_when_it_is_healed() {
    let host = Host::new(1, Knobs::default());
    let file = host.run(open("/a"));
    host.set_faults(DiskFaults { is_stalled: true, ..DiskFaults::default() });
    let writing = host
        .simulation
        .spawn_client(host.node, async move { file.write_at(blocks(&[1]), 0).await });
    host.simulation.run_for(SECOND * 600);
    assert!(writing.take_result().is_none());
    host.set_faults(DiskFaults::default());
    host.simulation.run_for(SECOND);
    assert!(writing.take_result().unwrap().is_ok());
}

#[test]
fn a_full_disk_refuses_what_it_cannot_hold_and_takes_it_once_there_is_room() {
    let host = Host::new(1, Knobs { disk_capacity_bytes: 10 << 12, ..Knobs::default() });
    host.run(async {
        let root = Path::new("/");
        let [first, second] = [open("/a").await, open("/b").await];
        first.write_at(blocks(&[1; 6]), 0).await.unwrap();
        assert_eq!(directory::space(root).await.unwrap().free_bytes, 4 << 12);
        assert_eq!(kind(second.write_at(blocks(&[2; 5]), 0).await), io::ErrorKind::StorageFull);
        assert_eq!(kind(second.allocate(0..5 << 12).await), io::ErrorKind::StorageFull);
        assert_eq!(second.size(), 0, "nothing has changed");
        second.write_at(blocks(&[2; 4]), 0).await.unwrap();
        // What is allocated can be written again.
        first.write_at(blocks(&[3; 6]), 0).await.unwrap();
        first.truncate(1 << 12).await.unwrap();
        assert_eq!(directory::space(root).await.unwrap().free_bytes, 5 << 12);
        directory::remove_file(Path::new("/b")).await.unwrap();
        assert_eq!(directory::space(root).await.unwrap().free_bytes, 9 << 12);
        directory::write_atomic(Path::new("/a"), b"").await.unwrap();
        assert_eq!(directory::space(root).await.unwrap().free_bytes, 10 << 12);
    });
    host.simulation.crash(host.node, Crash::PowerLoss);
    host.set_faults(DiskFaults { capacity_bytes: Some(1 << 12), ..DiskFaults::default() });
    let full = host.run(async { open("/c").await.write_at(blocks(&[1; 2]), 0).await });
    assert_eq!(kind(full), io::ErrorKind::StorageFull);
}

#[test]
fn each_kind_of_access_fails_when_asked() {
    let host = Host::new(1, Knobs::default());
    let (file, other) = (host.run(open("/a")), host.run(open("/b")));
    host.set_faults(DiskFaults { read_error: 1.0, ..DiskFaults::default() });
    let reader = file.clone();
    assert!(is_io_error(
        host.run(async move { reader.read_at(AlignedBuffer::zeroed(ALIGNMENT), 0).await.1 })
    ));
    host.set_faults(DiskFaults { write_error: 1.0, ..DiskFaults::default() });
    let writer = file.clone();
    assert!(is_io_error(host.run(async move { writer.write_at(blocks(&[1; 8]), 0).await })));
    assert!(is_io_error(host.run(async move { other.truncate(100).await })));
    host.set_faults(DiskFaults { flush_error: 1.0, ..DiskFaults::default() });
    assert!(is_io_error(host.run(async move { file.flush().await })));
    assert!(is_io_error(host.run(directory::sync(Path::new("/")))));
    let faults = host.simulation.counters().faults;
    assert_eq!((faults["read_error"], faults["write_error"], faults["flush_error"]), (1, 2, 2));
}

#[test]
fn a_failed_write_leaves_any_part_of_it() {
    let sizes: BTreeSet<u64> = (0..50)
        .map(|seed| {
            let host = Host::new(seed, Knobs { write_error: 0.0, ..Knobs::default() });
            let file = host.run(open("/a"));
            host.set_faults(DiskFaults { write_error: 1.0, ..DiskFaults::default() });
            host.run(async move { file.write_at(blocks(&[1, 2]), 0).await.unwrap_err() });
            host.simulation.file_size(host.node, Path::new("/a")).unwrap() >> 12
        })
        .collect();
    assert_eq!(sizes, BTreeSet::from([0, 1, 2]));
}

#[test]
fn a_disk_of_its_own_fails_alone() {
    let host = Host::new(1, Knobs::default());
    host.simulation.add_disk(host.node, Path::new("/second"));
    let faults = DiskFaults { write_error: 1.0, ..DiskFaults::default() };
    host.simulation.set_disk_faults(host.node, Path::new("/second/logs"), faults).unwrap();
    host.run(async {
        let path = Path::new;
        directory::write_atomic(path("/first"), b"here").await.unwrap();
        assert!(is_io_error(directory::create_all(path("/second/logs")).await));
        let moved = directory::rename(path("/first"), path("/second/first")).await;
        assert_eq!(kind(moved), io::ErrorKind::CrossesDevices);
    });
}

#[test]
fn a_misdirected_write_succeeds_and_lies() {
    let host = Host::new(1, Knobs::default());
    let file = host.run(async {
        let file = open("/a").await;
        file.write_at(blocks(&[1; 100]), 0).await.unwrap();
        file
    });
    host.set_faults(DiskFaults { misdirected_write: 1.0, ..DiskFaults::default() });
    host.run(async move { file.write_at(blocks(&[2]), 0).await.unwrap() });
    host.set_faults(DiskFaults::default());
    let contents = host.run(contents("/a"));
    let hit = contents.iter().position(|byte| *byte == 2).unwrap() / ALIGNMENT;
    assert!((1..100).contains(&hit), "block {hit}");
}

#[test]
fn rot_outlasts_a_crash() {
    let host = Host::lossy(1);
    host.run(directory::write_atomic(Path::new("/a"), &[0; 100])).unwrap();
    assert_eq!(host.simulation.file_paths(host.node, Path::new("/")).unwrap(), ["/a"]);
    assert!(host.simulation.rot(host.node, Path::new("/a"), 50).unwrap());
    assert!(!host.simulation.rot(host.node, Path::new("/a"), 100).unwrap());
    host.simulation.crash(host.node, Crash::PowerLoss);
    let contents = host.run(contents("/a"));
    assert_eq!(contents.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    assert_ne!(contents[50], 0);
}

#[test]
fn a_lock_is_held_by_one_and_freed_by_its_drop_or_its_process() {
    let host = Host::new(1, Knobs::default());
    let root = Path::new("/");
    host.run(async move {
        let lock = directory::lock(root).await.unwrap();
        assert_eq!(kind(directory::lock(root).await), io::ErrorKind::WouldBlock);
        drop(lock);
        std::mem::forget(directory::lock(root).await.unwrap());
    });
    assert_eq!(kind(host.run(directory::lock(root))), io::ErrorKind::WouldBlock);
    host.simulation.crash(host.node, Crash::Kill);
    assert!(host.run(directory::lock(root)).is_ok());
}
