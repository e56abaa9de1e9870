//! `recover`: from any crash to what a clean stop leaves, or a clear word and the guard.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use protocol::model::{Offset, PartitionId};
use reactor::sim::{Crash, Knobs, NodeId, Simulation};
use storage::verify::{Severity, verify};
use storage::{
    ChunkPool, LogConfig, LogDirectory, Recovered, Settings, StorageError, TopicPartition, Volume,
    recover,
};

const LIMIT: Duration = Duration::from_secs(3600);
const DATA: &str = "/data";
const BATCH_COUNT: i32 = 30;

fn name() -> TopicPartition {
    TopicPartition { topic: "orders".to_owned(), partition: PartitionId(0) }
}

fn plain_volume() -> Rc<Volume> {
    Volume::new(Path::new(DATA), Settings::default(), ChunkPool::new(16 << 20))
}

async fn exists(name: &str) -> bool {
    let entries = reactor::directory::list(Path::new(DATA)).await.expect("listed");
    entries.iter().any(|entry| entry.name == name)
}

/// A log whose last batches are durable in the journal alone, when its node is killed.
fn crashed(seed: u64, crash: Crash) -> (Simulation, NodeId) {
    let simulation = Simulation::new(seed, Knobs { unsynced_lost: 0.9, ..Knobs::default() });
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let life = async {
        let path = Path::new(DATA);
        reactor::directory::create_all(path).await.expect("made");
        let directory = LogDirectory::open(path).await.expect("a log directory");
        let chunks = ChunkPool::new(16 << 20);
        let volume = Volume::of_core(path, 0, Settings::default(), chunks);
        let log = directory
            .create_partition(&volume, &name(), LogConfig::default(), TOPIC_ID)
            .await
            .expect("a new log");
        for sequence in 0..BATCH_COUNT {
            append(&log, &idempotent(sequence, 1));
            log.flush().await.expect("durable");
        }
        assert!(exists("millrace-journal-not-empty").await, "small batches go into the journal");
    };
    simulation.block_on(node, LIMIT, life).expect("in time");
    simulation.crash(node, crash);
    (simulation, node)
}

async fn recovered() -> Result<Recovered, StorageError> {
    recover(&plain_volume(), &mut |_| {}).await
}

#[test]
fn after_a_crash_everything_is_as_a_clean_stop_leaves_it() {
    for seed in 0..20 {
        let crash = if seed % 2 == 0 { Crash::Kill } else { Crash::PowerLoss };
        let (simulation, node) = crashed(seed, crash);
        let check = async {
            let found = recovered().await.expect("recovered");
            assert_eq!((found.was_clean, found.partitions), (false, 1));
            assert!(found.appended_bytes > 0, "the journal had what the segment lacked");
            assert!(found.offline.is_empty(), "{:?}", found.offline);
            assert!(!exists("millrace-journal-not-empty").await);
            let verified = verify(Path::new(DATA), &mut |_| {}).await.expect("readable");
            assert_eq!(verified.records, BATCH_COUNT as u64);
            let worse = |severity| verified.count(severity);
            let worse = worse(Severity::Mended) + worse(Severity::Damage);
            assert_eq!(worse, 0, "{:?}", verified.findings);
            assert!(recovered().await.expect("nothing to do").was_clean);
            let directory = LogDirectory::open(Path::new(DATA)).await.expect("a log directory");
            // The logs are complete, but no broker has said good-bye under an epoch.
            assert_eq!(directory.clean_shutdown().map(|it| it.broker_epoch), Some(None));
            assert_eq!(directory.opening(&name()).recovery_point, Offset(i64::from(BATCH_COUNT)));
            let config = LogConfig::default();
            let log = directory.open_partition(&plain_volume(), &name(), config).await;
            assert_eq!(log.expect("opened").log_end_offset(), Offset(i64::from(BATCH_COUNT)));
        };
        simulation.block_on(node, LIMIT, check).expect("in time");
    }
}

#[test]
fn what_cannot_be_recovered_keeps_apache_kafka_out() {
    let (simulation, node) = crashed(100, Crash::Kill);
    let check = async {
        let metadata = Path::new(DATA).join("orders-0/partition.metadata");
        let whole = reactor::directory::read(&metadata).await.expect("a file");
        reactor::directory::write_atomic(&metadata, b"version: 0\n").await.expect("damaged");
        let found = recovered().await.expect("the others are recovered");
        assert_eq!(found.offline.len(), 1, "{found:?}");
        assert_eq!(found.offline[0].0, name());
        assert!(exists("millrace-journal-not-empty").await);
        assert!(!exists(".kafka_cleanshutdown").await);
        // What the journal has of it is not thrown away, nor is the log opened without it.
        let entries = reactor::directory::list(Path::new(DATA)).await.expect("listed");
        let journals = entries.iter().filter(|it| !it.is_directory && it.name.contains("journal"));
        assert_eq!(journals.count(), 1, "{entries:?}");
        reactor::directory::write_atomic(&metadata, &whole).await.expect("mended");
        let again = recovered().await.expect("recovered");
        assert_eq!(again.offline.len(), 1, "{again:?}");
        assert!(exists("millrace-journal-not-empty").await);
    };
    simulation.block_on(node, LIMIT, check).expect("in time");
}

#[test]
fn a_directory_in_use_is_refused() {
    let (simulation, node) = crashed(200, Crash::Kill);
    let check = async {
        let held = LogDirectory::open(Path::new(DATA)).await.expect("a log directory");
        let refused = recovered().await.expect_err("it is locked");
        assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
        let refused = verify(Path::new(DATA), &mut |_| {}).await.expect_err("it is locked");
        assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
        drop(held);
        assert_eq!(recovered().await.expect("recovered").partitions, 1);
    };
    simulation.block_on(node, LIMIT, check).expect("in time");
}
