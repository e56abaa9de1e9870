//! What a start makes of the journals of a process that was killed.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::support::*;
use protocol::model::{Offset, PartitionId, Uuid};
use protocol::record_batch::RecordBatch;
use storage::{
    ChunkPool, Durability, LogConfig, LogDirectory, PartitionLog, Replayed, Settings, StorageError,
    TopicPartition, Volume,
};

fn name(index: i32) -> TopicPartition {
    TopicPartition { topic: "orders".to_owned(), partition: PartitionId(index) }
}

fn path_of(path: &Path, index: i32) -> PathBuf {
    path.join(name(index).to_string())
}

/// A core that writes no checkpoint by itself while a test runs.
fn core_volume(path: &Path) -> Rc<Volume> {
    let settings = Settings { checkpoint_interval_ms: 3_600_000, ..Settings::default() };
    Volume::of_core(path, 0, settings, ChunkPool::new(16 << 20))
}

async fn create_one(volume: &Rc<Volume>, path: &Path, index: i32) -> PartitionLog {
    PartitionLog::create(volume, &path_of(path, index), small_config(), TOPIC_ID)
        .await
        .expect("a new log")
}

async fn append_durably(log: &PartitionLog, batch: RecordBatch, appended: &mut Vec<RecordBatch>) {
    let end = append(log, &batch);
    log.wait_durable(end).await.expect("durable");
    appended.push(batch);
}

async fn start(path: &Path) -> (LogDirectory, Replayed) {
    let mut directory = LogDirectory::open(path).await.expect("a log directory");
    let direct = Volume::new(path, Settings::default(), ChunkPool::new(16 << 20));
    let mut seen = Vec::new();
    let replayed = directory
        .replay_journals(&direct, &|_| small_config(), &mut |progress| seen.push(progress))
        .await
        .expect("replayed");
    assert!(seen.is_sorted_by_key(|progress| progress.done_bytes), "{seen:?}");
    assert!(seen.iter().all(|progress| progress.done_bytes <= progress.total_bytes), "{seen:?}");
    directory.claim().await.expect("claimed");
    (directory, replayed)
}

async fn open_one(directory: &LogDirectory, index: i32) -> Result<PartitionLog, StorageError> {
    let volume = Volume::new(directory.path(), Settings::default(), ChunkPool::new(16 << 20));
    directory.open_partition(&volume, &name(index), small_config()).await
}

async fn entries(path: &Path) -> Vec<String> {
    let entries = reactor::directory::list(path).await.expect("listed");
    entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_kill_loses_nothing_and_a_second_one_neither() {
    in_both_worlds(|path| async move {
        let volume = core_volume(&path);
        let mut appended = [Vec::new(), Vec::new()];
        for (index, appended) in appended.iter_mut().enumerate() {
            let log = create_one(&volume, &path, index as i32).await;
            for n in 0..20 {
                append_durably(&log, batch(n, 3, 200), appended).await;
            }
            // A large one goes past the journal, the next does not.
            append_durably(&log, batch(20, 1, 60_000), appended).await;
            append_durably(&log, batch(21, 3, 200), appended).await;
        }
        for _ in 0..2 {
            let (directory, replayed) = start(&path).await;
            assert!(replayed.offline.is_empty() && replayed.set_aside.is_empty(), "{replayed:?}");
            for (index, appended) in appended.iter().enumerate() {
                let log = open_one(&directory, index as i32).await.expect("opened");
                assert_holds(&log, appended, 3000).await;
            }
        }
    });
}

#[test]
fn a_partition_that_lacks_what_was_durable_is_offline_and_others_are_not() {
    let marks = in_simulation(21, |path| async move {
        let volume = core_volume(&path);
        let mut appended = [Vec::new(), Vec::new()];
        for (index, appended) in appended.iter_mut().enumerate() {
            let log = create_one(&volume, &path, index as i32).await;
            append_durably(&log, batch(0, 5, 100), appended).await;
            for n in 1..4 {
                // Straight to its segment, all that is before it too.
                let large: Vec<_> = (0..3).map(|m| batch(10 * n + m, 1, 50_000)).collect();
                log.append_as_leader(&large, how(0)).expect("appended");
                log.flush().await.expect("durable");
                appended.extend(large);
                append_durably(&log, batch(n, 5, 100), appended).await;
            }
        }
        // The last segment of one log is gone: a disk has lost what it had flushed.
        let names = entries(&path_of(&path, 1)).await;
        let last = names.iter().filter(|name| name.ends_with(".log")).max().expect("a segment");
        let damaged = path_of(&path, 1).join(last);
        reactor::directory::write_atomic(&damaged, &[]).await.expect("emptied");
        let (directory, replayed) = start(&path).await;
        assert_eq!(replayed.offline.len(), 1, "{replayed:?}");
        assert_eq!(replayed.offline[0].0, name(1));
        assert!(!replayed.set_aside.is_empty(), "no record is thrown away");
        assert_holds(&open_one(&directory, 0).await.expect("opened"), &appended[0], 3000).await;
        assert!(matches!(
            open_one(&directory, 1).await,
            Err(StorageError::PartitionOffline { .. })
        ));
        // Apache Kafka would serve what is left as the whole: it must not start, and neither do we
        // forget it.
        directory.mark_clean(1).await.expect("marked");
        drop(directory);
        assert!(entries(&path).await.contains(&"millrace-journal-not-empty".to_owned()));
        let (directory, replayed) = start(&path).await;
        assert_eq!(replayed.offline.len(), 1, "{replayed:?}");
        assert!(open_one(&directory, 1).await.is_err());
    });
    assert!(marks.contains_key("replay_found_a_gap"), "{marks:?}");
}

#[test]
fn records_of_a_topic_that_is_gone_go_to_no_other() {
    let marks = in_simulation(22, |path| async move {
        let volume = core_volume(&path);
        let log = create_one(&volume, &path, 0).await;
        append_durably(&log, batch(0, 5, 100), &mut Vec::new()).await;
        // As a crash right after the rename of a deletion leaves it, and another topic of the name.
        reactor::directory::remove_all(&path_of(&path, 0)).await.expect("removed");
        let direct = Volume::new(&path, Settings::default(), ChunkPool::new(1 << 20));
        let other =
            PartitionLog::create(&direct, &path_of(&path, 0), small_config(), Uuid::ONE).await;
        drop(other.expect("a new log"));
        let (directory, replayed) = start(&path).await;
        assert!(replayed.offline.is_empty(), "{replayed:?}");
        let log = open_one(&directory, 0).await.expect("opened");
        assert_eq!(log.log_end_offset(), Offset(0));
    });
    assert!(marks.contains_key("replay_partition_gone"), "{marks:?}");
}

#[test]
fn written_is_acknowledged_without_a_flush() {
    in_simulation(23, |path| async move {
        let volume = core_volume(&path);
        let config = LogConfig {
            durability: Durability::Written,
            segment_size_bytes: 1 << 20,
            ..small_config()
        };
        let log = PartitionLog::create(&volume, &path_of(&path, 0), config, TOPIC_ID)
            .await
            .expect("a new log");
        let mut appended = Vec::new();
        for n in 0..10 {
            append_durably(&log, batch(n, 1, 100), &mut appended).await;
            assert!(log.durable_end_offset() <= log.acknowledgeable_end_offset());
        }
        append_durably(&log, batch(10, 1, 150_000), &mut appended).await;
        assert!(log.durable_end_offset() < log.log_end_offset(), "no flush was waited for");
        // The process is killed: what was written is there.
        let (directory, _) = start(&path).await;
        let log = open_one(&directory, 0).await.expect("opened");
        assert_holds(&log, &appended, 3000).await;
    });
}
