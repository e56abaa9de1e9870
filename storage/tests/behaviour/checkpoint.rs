//! The core checkpoint: what it saves a start, and that nothing is believed that is not so.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::support::*;
use protocol::model::{Offset, PartitionId};
use storage::verify::{Severity, verify};
use storage::{
    ChunkPool, LogDirectory, PartitionLog, Settings, StorageError, TopicPartition, Volume,
};

const GUARD: &str = "millrace-journal-not-empty";

fn name() -> TopicPartition {
    TopicPartition { topic: "orders".to_owned(), partition: PartitionId(0) }
}

fn core_volume(path: &Path, core: u32) -> Rc<Volume> {
    // A few index entries reach the files, some stay in the checkpoint. Nothing goes into a journal.
    let settings =
        Settings { index_rest_size_bytes_max: 40, bypass_size_bytes: 0, ..Settings::default() };
    let chunks = ChunkPool::new(16 << 20);
    Volume::of_core(path, core, settings, chunks)
}

async fn open_log(path: &Path, core: u32) -> Result<PartitionLog, StorageError> {
    let directory = LogDirectory::open(path).await.expect("a log directory");
    directory.open_partition(&core_volume(path, core), &name(), small_config()).await
}

/// A log with a checkpoint in the middle, then a kill: nothing was closed.
async fn killed(path: &Path) -> Vec<protocol::record_batch::RecordBatch> {
    reactor::directory::create_all(&path.join(GUARD)).await.expect("the guard of a journal");
    let volume = core_volume(path, 3);
    let log = PartitionLog::create(&volume, &path.join("orders-0"), small_config(), TOPIC_ID)
        .await
        .expect("a new log");
    let mut appended = Vec::new();
    for sequence in 0..300 {
        let batch = idempotent(sequence, 1);
        append(&log, &batch);
        appended.push(batch);
        if [5, 100, 200].contains(&sequence) {
            let large = batch_with_step(i64::from(sequence), 40, 10);
            append(&log, &large);
            appended.push(large);
            volume.write_checkpoint(std::slice::from_ref(&log)).await.expect("a checkpoint");
        }
    }
    log.flush().await.expect("flushed");
    appended
}

async fn flip(path: PathBuf, position: usize) {
    let mut bytes = reactor::directory::read(&path).await.expect("a file");
    bytes[position] ^= 1;
    reactor::directory::write_atomic(&path, &bytes).await.expect("written");
}

#[test]
fn a_start_goes_on_from_the_checkpoint() {
    in_both_worlds(|path| async move {
        let appended = killed(&path).await;
        // A bad batch that lies below the recovery point is not met: nothing there is scanned.
        flip(path.join("orders-0/00000000000000000000.log"), 200).await;
        let log = open_log(&path, 0).await.expect("opened");
        assert_eq!(log.log_end_offset(), Offset(300 + 3 * 40));
        assert_eq!(log.durable_end_offset(), log.log_end_offset());
        let found = read_all(&log, Offset(46), 3000).await;
        assert_eq!(found.len(), appended.len() - 7);
        for (found, appended) in found.iter().zip(&appended[7..]) {
            assert!(content(found) == content(appended));
        }
        // The producer goes on, and each of its last five batches is known.
        for sequence in 295..300 {
            let again = log.append_as_leader(&[idempotent(sequence, 1)], how(0));
            assert!(
                matches!(again, Ok(storage::Appended::Duplicate { .. })),
                "{sequence}: {again:?}"
            );
        }
        append(&log, &idempotent(300, 1));
        log.close().await.expect("closed");
    });
}

#[test]
fn what_was_flushed_is_never_cut() {
    in_both_worlds(|path| async move {
        let appended = killed(&path).await;
        // The last checkpoint is behind the large batch that follows sequence 200.
        let (below, behind) = appended.split_at(201 + 3);
        let recovery_position: usize = below.iter().map(|batch| batch.size_bytes()).sum();
        let last_size_bytes = below.last().expect("batches").size_bytes();
        let segment = path.join("orders-0/00000000000000000000.log");
        let whole = reactor::directory::read(&segment).await.expect("a segment");
        let header_of_last = recovery_position - last_size_bytes + 20;
        for (what, position, size_bytes, is_refused) in [
            ("a bit of the last batch below it", Some(header_of_last), whole.len(), true),
            ("the file ends amid that batch", None, recovery_position - 70, true),
            ("the file ends before that batch", None, recovery_position - last_size_bytes, true),
            ("the file is empty", None, 0, true),
            ("a bit of the first batch behind", Some(recovery_position + 70), whole.len(), false),
            ("the file ends where it does", None, recovery_position, false),
        ] {
            let mut bytes = whole[..size_bytes].to_vec();
            if let Some(position) = position {
                bytes[position] ^= 1;
            }
            reactor::directory::write_atomic(&segment, &bytes).await.expect("damaged");
            let opened = open_log(&path, 0).await;
            let left = reactor::directory::read(&segment).await.expect("a segment");
            match opened {
                Err(StorageError::LostRecords { .. } | StorageError::CorruptBatch { .. }) => {
                    assert!(is_refused, "{what}");
                    assert!(left == bytes, "{what}: the file is as it was");
                }
                Err(error) => panic!("{what}: {error}"),
                Ok(log) => {
                    assert!(!is_refused, "{what}");
                    assert_eq!(left.len(), recovery_position, "{what}");
                    assert_holds(&log, below, 3000).await;
                }
            }
        }
        assert!(!behind.is_empty());
    });
}

#[test]
fn a_damaged_checkpoint_costs_a_scan() {
    in_both_worlds(|path| async move {
        let appended = killed(&path).await;
        for file in ["millrace-checkpoint-3", "millrace-checkpoint-3-changes"] {
            flip(path.join(file), 60).await;
        }
        let log = open_log(&path, 0).await.expect("opened");
        assert_holds(&log, &appended, 3000).await;
        log.close().await.expect("closed");
    });
}

#[test]
fn damaged_index_files_are_rebuilt() {
    in_both_worlds(|path| async move {
        let appended = killed(&path).await;
        for file in ["00000000000000000000.index", "00000000000000000000.timeindex"] {
            flip(path.join("orders-0").join(file), 3).await;
            let log = open_log(&path, 0).await.expect("opened");
            assert_holds(&log, &appended, 3000).await;
        }
    });
}

#[test]
fn a_truncation_takes_back_what_was_claimed() {
    in_both_worlds(|path| async move {
        killed(&path).await;
        let log = open_log(&path, 0).await.expect("opened");
        log.truncate_to(Offset(30)).await.expect("truncated");
        drop(log);
        let log = open_log(&path, 1).await.expect("opened");
        let end = log.log_end_offset();
        assert!(end <= Offset(30), "{end}");
        append(&log, &batch(7, 200, 100));
        log.flush().await.expect("flushed");
        drop(log);
        let log = open_log(&path, 2).await.expect("opened");
        assert_eq!(log.log_end_offset(), Offset(end.0 + 200));
    });
}

#[test]
fn damage_that_was_written_over_is_not_forgotten() {
    in_both_worlds(|path| async move {
        killed(&path).await;
        let log = open_log(&path, 0).await.expect("opened");
        log.truncate_to(Offset(30)).await.expect("truncated");
        drop(log);
        // The truncation is lost: what core 3 has claimed before it is all that can be read.
        flip(path.join("millrace-checkpoint-0"), 60).await;
        let directory = LogDirectory::open(&path).await.expect("a log directory");
        let volume = core_volume(&path, 0);
        let other = TopicPartition { topic: "other".to_owned(), partition: PartitionId(1) };
        let other = directory.create_partition(&volume, &other, small_config(), TOPIC_ID);
        let other = other.await.expect("another log");
        append(&other, &batch(7, 20, 100));
        other.flush().await.expect("flushed");
        volume.write_checkpoint(&[other]).await.expect("a whole file");
        // Killed again, before the truncated log has an entry of its own.
        drop(directory);
        let log = open_log(&path, 1).await.expect("a log that nothing claims to be longer");
        assert!(log.log_end_offset() <= Offset(30), "{}", log.log_end_offset());
    });
}

#[test]
fn a_truncation_keeps_the_claim_on_what_it_leaves() {
    in_both_worlds(|path| async move {
        killed(&path).await;
        let log = open_log(&path, 0).await.expect("opened");
        log.truncate_to(Offset(300)).await.expect("truncated");
        drop(log);
        // Killed at once: nothing but what was taken back is in the checkpoint. What is left was flushed.
        flip(path.join("orders-0/00000000000000000000.log"), 200).await;
        let refused = open_log(&path, 1).await.err();
        assert!(matches!(refused, Some(StorageError::CorruptBatch { .. })), "{refused:?}");
    });
}

#[test]
fn where_apache_kafka_ran_nothing_is_believed() {
    in_both_worlds(|path| async move {
        let cases = [
            (Some(7), Some("{\"version\":0,\"brokerEpoch\":7}"), true),
            (Some(7), Some("{\"version\":0,\"brokerEpoch\":8}"), false),
            (Some(7), Some(""), false),
            (None, Some("{\"version\":0,\"brokerEpoch\":7}"), false),
            (Some(7), None, false),
        ];
        for (number, (own_epoch, marker, is_believed)) in cases.into_iter().enumerate() {
            let path = path.join(format!("directory {number}"));
            reactor::directory::create_all(&path).await.expect("made");
            let volume = core_volume(&path, 0);
            let directory = LogDirectory::open(&path).await.expect("a log directory");
            let log = directory
                .create_partition(&volume, &name(), small_config(), TOPIC_ID)
                .await
                .expect("a new log");
            append(&log, &batch(0, 10, 100));
            log.close().await.expect("closed");
            volume.write_checkpoint(&[log]).await.expect("a checkpoint");
            if let Some(own_epoch) = own_epoch {
                directory.mark_clean(own_epoch).await.expect("marked");
            }
            drop(directory);
            let kafkas = path.join(".kafka_cleanshutdown");
            match marker {
                Some(text) => {
                    reactor::directory::write_atomic(&kafkas, text.as_bytes())
                        .await
                        .expect("written");
                }
                None => reactor::directory::remove_file(&kafkas).await.expect("removed"),
            }
            let directory = LogDirectory::open(&path).await.expect("a log directory");
            let opening = directory.opening(&name());
            assert_eq!(!opening.checkpoints.is_empty(), is_believed, "{own_epoch:?} {marker:?}");
            let names = reactor::directory::list(&path).await.expect("listed");
            let is_there = names.iter().any(|entry| entry.name == "millrace-checkpoint-0");
            assert_eq!(is_there, is_believed, "{own_epoch:?} {marker:?}");
            let log = directory.open_partition(&volume, &name(), small_config()).await;
            assert_eq!(log.expect("opened").log_end_offset(), Offset(10));
        }
    });
}

#[test]
fn a_crash_before_the_first_record_costs_no_scan() {
    in_both_worlds(|path| async move {
        let volume = core_volume(&path, 0);
        let directory = LogDirectory::open(&path).await.expect("a log directory");
        directory.claim().await.expect("claimed");
        let log = directory
            .create_partition(&volume, &name(), small_config(), TOPIC_ID)
            .await
            .expect("a new log");
        append(&log, &batch(0, 10, 100));
        log.close().await.expect("closed");
        volume.write_checkpoint(&[log]).await.expect("a checkpoint");
        directory.mark_clean(7).await.expect("marked");
        drop(directory);
        for crash in 0..3 {
            let mut directory = LogDirectory::open(&path).await.expect("a log directory");
            assert_eq!(directory.was_clean(), crash == 0, "crash {crash}");
            assert!(!directory.opening(&name()).checkpoints.is_empty(), "crash {crash}");
            let direct = Volume::new(&path, Settings::default(), ChunkPool::new(16 << 20));
            directory
                .replay_journals(&direct, &|_| small_config(), &mut |_| {})
                .await
                .expect("nothing to replay");
            directory.claim().await.expect("claimed");
        }
    });
}

#[test]
fn a_file_of_epochs_that_a_crash_left_behind_is_no_damage() {
    in_both_worlds(|path| async move {
        drop(killed(&path).await);
        let file = path.join("orders-0/leader-epoch-checkpoint");
        let old = reactor::directory::read(&file).await.expect("a file");
        let next = async |leader_epoch, is_checkpointed| {
            let directory = LogDirectory::open(&path).await.expect("a log directory");
            let volume = core_volume(&path, 0);
            let log = directory.open_partition(&volume, &name(), small_config()).await;
            let log = log.expect("opened");
            for _ in 0..2 {
                log.append_as_leader(&[batch(0, 1, 10)], how(leader_epoch)).expect("appended");
            }
            log.flush().await.expect("flushed");
            if is_checkpointed {
                volume.write_checkpoint(std::slice::from_ref(&log)).await.expect("a checkpoint");
            }
            (directory, log)
        };
        let count = async |severity| {
            reactor::directory::write_atomic(&file, &old).await.expect("written");
            let verified = verify(&path, &mut |_| {}).await.expect("readable");
            verified.findings.iter().filter(|it| it.path == file && it.severity == severity).count()
        };
        drop(next(1, false).await);
        assert_eq!(count(Severity::Mended).await, 1, "a scan finds it");
        drop(next(2, true).await);
        assert_eq!(count(Severity::Mended).await, 2, "the checkpoint has them");
        assert_eq!(count(Severity::Damage).await, 0);
        let (directory, log) = next(3, true).await;
        log.close().await.expect("closed");
        reactor::directory::remove_all(&path.join(GUARD)).await.expect("removed");
        directory.mark_clean(7).await.expect("marked");
        drop((directory, log));
        assert_eq!(count(Severity::Damage).await, 3, "a clean stop leaves them in the file");
    });
}
