//! Disks that fail in ways a log can do nothing about.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use protocol::model::Offset;
use reactor::directory;
use reactor::file::{File, Open};
use reactor::sim::{DiskFaults, Knobs, Simulation};
use storage::{ChunkPool, Opening, PartitionLog, ReadError, Settings, Volume};

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(3600);

fn volume_of_core() -> Rc<Volume> {
    Volume::of_core(Path::new("/data"), 0, Settings::default(), ChunkPool::new(64 << 20))
}

async fn create_in(volume: &Rc<Volume>) -> PartitionLog {
    let path = volume.path().join("orders-0");
    PartitionLog::create(volume, &path, small_config(), TOPIC_ID).await.expect("a new log")
}

#[test]
fn a_disk_that_cannot_be_read_takes_its_logs_offline() {
    let simulation = Simulation::new(1, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let opened = simulation.block_on(node, LIMIT, async {
        directory::create_all(Path::new("/data")).await.expect("made");
        let log = create_in(&volume_of_core()).await;
        append(&log, &batch(0, 1, 100));
        log.close().await.expect("closed");
        let volume = volume_of_core();
        let opening = Opening { clean: true, ..Opening::default() };
        let path = volume.path().join("orders-0");
        let log = PartitionLog::open(&volume, &path, small_config(), opening).await.expect("open");
        (volume, log)
    });
    let (volume, log) = opened.expect("in time");
    let told = Rc::new(Cell::new(0));
    let count = told.clone();
    volume.on_failure(move |_| count.set(count.get() + 1));
    let faults = DiskFaults { read_error: 1.0, ..DiskFaults::default() };
    simulation.set_disk_faults(node, Path::new("/data"), faults).expect("a disk");
    simulation
        .block_on(node, LIMIT, async move {
            let read = log.read(Offset(0), 1000, true, log.log_end_offset()).await;
            assert!(matches!(read, Err(ReadError::Storage(_))), "{read:?}");
            let refused = log.append_as_leader(&[batch(1, 1, 100)], how(0));
            refused.expect_err("the directory is offline");
            assert!(volume.failure().is_some());
        })
        .expect("in time");
    assert_eq!(told.get(), 1, "the owner hears of it once");
    assert!(simulation.marks().contains_key("read_failed"));
}

#[test]
fn without_room_for_a_journal_records_go_to_their_segments() {
    let simulation = Simulation::new(2, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let faults = DiskFaults { capacity_bytes: Some(4 << 20), ..DiskFaults::default() };
    simulation.set_disk_faults(node, Path::new("/data"), faults).expect("a disk");
    simulation
        .block_on(node, LIMIT, async {
            directory::create_all(Path::new("/data")).await.expect("made");
            let log = create_in(&volume_of_core()).await;
            let record = batch(0, 1, 100);
            log.ready_for_append(record.size_bytes()).await.expect("room");
            let foreign = File::open(Path::new("/data/foreign"), Open::New).await.expect("made");
            let free = directory::space(Path::new("/data")).await.expect("measured").free_bytes;
            foreign.allocate(0..free).await.expect("free blocks");
            append(&log, &record);
            log.flush().await.expect("its blocks were allocated");
            assert_holds(&log, &[record], 1000).await;
        })
        .expect("in time");
}
