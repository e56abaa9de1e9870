//! What the behaviour tests share: both worlds, and batches.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use protocol::model::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, Uuid,
};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, BatchProducer, Batches, ControlRecordType, EndTxnMarker,
    RecordBatch,
};
use reactor::sim::{Knobs, Simulation};
use storage::{
    AppendAsLeader, Appended, ChunkPool, LogConfig, Opening, Origin, PartitionLog, Settings, Volume,
};

pub const TOPIC_ID: Uuid = Uuid(*b"storage test log");

/// Runs `test` on a real core in a directory of its own, then in a simulated world.
pub fn in_both_worlds<F, Fut>(test: F)
where
    F: Fn(PathBuf) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    on_real_core(test.clone());
    in_simulation(7, test);
}

pub fn on_real_core<F, Fut>(test: F)
where
    F: Fn(PathBuf) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (sender, receiver) = mpsc::channel();
    let seed = (directory.path().to_owned(), sender);
    reactor::launch(reactor::Settings::default(), vec![seed], move |_, (path, sender)| {
        let test = test.clone();
        async move {
            test(path).await;
            sender.send(()).expect("the test waits");
        }
    })
    .expect("a core")
    .join();
    receiver.recv().expect("the test ended");
}

/// Returns the marks that the run reached.
pub fn in_simulation<F, Fut>(seed: u64, test: F) -> BTreeMap<&'static str, u64>
where
    F: Fn(PathBuf) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    let simulation = Simulation::new(seed, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let limit = Duration::from_secs(3600);
    let made = simulation
        .block_on(node, limit, async { reactor::directory::create_all(Path::new("/data")).await });
    made.expect("in time").expect("a directory");
    simulation.block_on(node, limit, test(PathBuf::from("/data"))).expect("in time");
    simulation.marks()
}

/// Segments small enough that little data makes many; batches of any time keep their producers.
pub fn small_config() -> LogConfig {
    LogConfig {
        segment_size_bytes: 64 << 10,
        producer_id_expiration_ms: u64::MAX,
        ..LogConfig::default()
    }
}

pub fn volume(directory: &Path) -> Rc<Volume> {
    Volume::new(directory, Settings::default(), ChunkPool::new(64 << 20))
}

pub async fn create(directory: &Path) -> PartitionLog {
    PartitionLog::create(&volume(directory), &directory.join("orders-0"), small_config(), TOPIC_ID)
        .await
        .expect("a new log")
}

pub async fn open(directory: &Path, clean: bool) -> PartitionLog {
    let opening = Opening { clean, ..Opening::default() };
    PartitionLog::open(&volume(directory), &directory.join("orders-0"), small_config(), opening)
        .await
        .expect("the log opens")
}

/// A batch of `count` records with values of `value_size_bytes`, the first with `timestamp`, each
/// next one a millisecond later.
pub fn batch(timestamp: i64, count: i64, value_size_bytes: usize) -> RecordBatch {
    build(timestamp, count, 1, value_size_bytes, None)
}

/// A batch whose timestamps are `step` apart.
pub fn batch_with_step(timestamp: i64, count: i64, step: i64) -> RecordBatch {
    build(timestamp, count, step, 200, None)
}

/// A batch of an idempotent producer.
pub fn idempotent(sequence: i32, count: i64) -> RecordBatch {
    idempotent_batch(sequence, count, 20)
}

/// A batch of one record of that size, of an idempotent producer.
pub fn idempotent_with(sequence: i32, value_size_bytes: usize) -> RecordBatch {
    idempotent_batch(sequence, 1, value_size_bytes)
}

fn idempotent_batch(sequence: i32, count: i64, value_size_bytes: usize) -> RecordBatch {
    let producer = BatchProducer {
        id: ProducerId(77),
        epoch: ProducerEpoch(0),
        base_sequence: Some(Sequence(sequence)),
    };
    build(i64::from(sequence), count, 1, value_size_bytes, Some(producer))
}

/// A batch of one record of the transaction of `producer_id`.
pub fn transactional(producer_id: i64, timestamp: i64) -> RecordBatch {
    let options = BatchOptions { is_transactional: true, ..of_producer(producer_id) };
    let mut builder = BatchBuilder::new(options);
    builder.append(TimestampMs(timestamp), Some(b"key"), Some(&[b'.'; 1000]), &[]);
    RecordBatch::new(builder.build()).expect("a valid batch")
}

/// The end of the transaction of `producer_id`.
pub fn marker(producer_id: i64, kind: ControlRecordType) -> RecordBatch {
    let options =
        BatchOptions { is_transactional: true, is_control: true, ..of_producer(producer_id) };
    let mut builder = BatchBuilder::new(options);
    builder.append_control(TimestampMs(0), kind, &EndTxnMarker { coordinator_epoch: 0 }.value());
    RecordBatch::new(builder.build()).expect("a valid batch")
}

fn of_producer(producer_id: i64) -> BatchOptions {
    let id = ProducerId(producer_id);
    let producer = BatchProducer { id, epoch: ProducerEpoch(0), base_sequence: None };
    BatchOptions { producer: Some(producer), ..Default::default() }
}

fn build(
    timestamp: i64,
    count: i64,
    step: i64,
    value_size_bytes: usize,
    producer: Option<BatchProducer>,
) -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions { producer, ..Default::default() });
    for record in 0..count {
        let mut value = format!("{timestamp}/{record} ").into_bytes();
        value.resize(value_size_bytes.max(value.len()), b'.');
        builder.append(TimestampMs(timestamp + step * record), Some(b"key"), Some(&value), &[]);
    }
    RecordBatch::new(builder.build()).expect("a valid batch")
}

pub fn how(leader_epoch: i32) -> AppendAsLeader {
    AppendAsLeader {
        leader_epoch: LeaderEpoch(leader_epoch),
        origin: Origin::Client,
        now: TimestampMs(reactor::wall_clock()),
        log_append_time: false,
    }
}

/// Appends one batch and returns the offset after it.
pub fn append(log: &PartitionLog, batch: &RecordBatch) -> Offset {
    match log.append_as_leader(std::slice::from_ref(batch), how(0)).expect("appended") {
        Appended::New { next_offset, .. } => next_offset,
        Appended::Duplicate { .. } => panic!("{batch:?} is taken for a duplicate"),
    }
}

/// All batches of the log from `from` on, read in pieces of at most `max_bytes`.
pub async fn read_all(log: &PartitionLog, from: Offset, max_bytes: usize) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut from = from;
    let end = log.log_end_offset();
    while from < end {
        let read = log.read(from, max_bytes, true, end).await.expect("readable");
        assert!(read.next_offset > from, "a read at {from} of {end} goes on");
        let mut next = None;
        for batch in Batches::new(read.contiguous()) {
            let batch = batch.expect("a whole batch");
            batch.verify_crc().expect("the CRC of what was appended");
            next = Some(batch.header().next_offset());
            batches.push(batch);
        }
        assert_eq!(next, Some(read.next_offset));
        from = read.next_offset;
    }
    batches
}

/// What is left of a batch that was appended: its bytes but for offset and leader epoch.
pub fn content(batch: &RecordBatch) -> Bytes {
    batch.bytes().slice(16..)
}

/// Asserts that the log holds `expected`, at successive offsets from 0.
pub async fn assert_holds(log: &PartitionLog, expected: &[RecordBatch], max_bytes: usize) {
    let found = read_all(log, Offset(0), max_bytes).await;
    assert_eq!(found.len(), expected.len());
    let mut offset = Offset(0);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.header().base_offset, offset);
        assert!(content(found) == content(expected), "batch at {offset}");
        offset = found.header().next_offset();
    }
    assert_eq!(offset, log.log_end_offset());
}
