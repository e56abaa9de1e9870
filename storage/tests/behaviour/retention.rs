//! Deleting old segments: what goes, what stays, and what a crash in between leaves.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use protocol::model::{Offset, TimestampMs};
use storage::{LogConfig, Opening, PartitionLog, ReadError, StorageError, Volume};

/// Batches of one record and about 10 KB, six to a segment, a second apart.
async fn filled(volume: &Rc<Volume>, count: i64) -> PartitionLog {
    let directory = volume.path().join("orders-0");
    let config = LogConfig { file_delete_delay_ms: 0, ..small_config() };
    let log = PartitionLog::create(volume, &directory, config, TOPIC_ID).await.expect("a new log");
    for n in 0..count {
        append(&log, &batch(1000 * n, 1, 10_000));
    }
    log.flush().await.expect("durable");
    log.set_high_watermark(log.log_end_offset());
    log
}

fn keeping(retention_ms: Option<u64>, retention_bytes: Option<u64>) -> LogConfig {
    LogConfig { retention_ms, retention_bytes, file_delete_delay_ms: 0, ..small_config() }
}

/// The files of the log by name, `.deleted` ones among them.
async fn names(directory: &Path) -> Vec<String> {
    let entries = reactor::directory::list(&directory.join("orders-0")).await.expect("listed");
    entries.into_iter().map(|entry| entry.name).collect()
}

fn bases(names: &[String]) -> Vec<i64> {
    let stems = names.iter().filter_map(|name| name.strip_suffix(".log"));
    stems.map(|stem| stem.parse().expect("a base offset")).collect()
}

#[test]
fn old_segments_go_by_time_and_by_size() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 20).await;
        let all = bases(&names(&directory).await);
        assert_eq!(all, [0, 6, 12, 18]);
        let now = TimestampMs(20_000);
        for (config, start) in [
            (keeping(None, None), 0),
            (keeping(Some(14_999), None), 6), // the first segment's last record is of 5000
            (keeping(None, Some(log.size_bytes())), 6),
            (keeping(None, Some(90_000)), 6), // without the next one less would be left
            (keeping(None, Some(80_000)), 12),
        ] {
            log.set_config(config);
            log.delete_old_segments(now).await.expect("deleted");
            assert_eq!(log.log_start_offset(), Offset(start));
        }
        let refused = log.read(Offset(11), 1, true, Offset(20)).await;
        assert!(matches!(refused, Err(ReadError::OffsetOutOfRange { .. })));
        let left = read_all(&log, Offset(12), 1 << 20).await;
        assert_eq!(left.len(), 8);
        let found = log.offset_for_timestamp(TimestampMs(0)).await.expect("searched");
        assert_eq!(found.expect("a record").offset, Offset(12));
        // No name is left of what is gone, and a restart finds the same log.
        reactor::sleep(Duration::from_millis(50)).await;
        for name in names(&directory).await {
            let is_old = ["00000000000000000000.", "00000000000000000006."];
            assert!(!is_old.iter().any(|old| name.starts_with(old)), "{name}");
        }
        log.close().await.expect("closed");
        let log = open(&directory, true).await;
        assert_eq!(log.log_start_offset(), Offset(12));
        assert_eq!(read_all(&log, Offset(12), 1 << 20).await.len(), 8);
    });
}

#[test]
fn a_log_of_which_all_is_old_goes_on_where_it_ended() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 20).await;
        log.set_config(keeping(Some(0), None));
        let count = log.delete_old_segments(TimestampMs(100_000)).await.expect("deleted");
        assert_eq!(count, 4);
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(20), Offset(20)));
        assert_eq!(log.delete_old_segments(TimestampMs(200_000)).await.expect("none"), 0);
        // A crash right then: the offsets go on.
        drop(log);
        let log = open(&directory, false).await;
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(20), Offset(20)));
        append(&log, &batch(0, 1, 100));
        log.flush().await.expect("durable");
        assert_eq!(read_all(&log, Offset(20), 1 << 20).await.len(), 1);
        log.close().await.expect("closed");
    });
}

#[test]
fn a_log_of_which_all_is_old_rolls_first() {
    let marks = in_simulation(9, |directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 3).await;
        log.set_config(keeping(Some(0), None));
        assert_eq!(log.delete_old_segments(TimestampMs(100_000)).await.expect("deleted"), 1);
        // A stop right then finds a segment to close.
        log.close().await.expect("closed");
        assert_eq!(open(&directory, true).await.log_start_offset(), Offset(3));
    });
    assert_eq!(marks["retention_rolls"], 1);
}

#[test]
fn nothing_goes_above_the_high_watermark() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 20).await;
        log.close().await.expect("closed");
        let log = open(&directory, true).await;
        log.set_config(keeping(Some(0), None));
        assert_eq!(log.delete_old_segments(TimestampMs(100_000)).await.expect("none"), 0);
        log.set_high_watermark(Offset(17));
        log.delete_old_segments(TimestampMs(100_000)).await.expect("deleted");
        assert_eq!(log.log_start_offset(), Offset(12));
    });
}

#[test]
fn segments_below_the_log_start_go_whatever_the_policy() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 20).await;
        log.set_config(LogConfig { cleanup_deletes: false, ..keeping(Some(0), Some(0)) });
        assert_eq!(log.delete_old_segments(TimestampMs(100_000)).await.expect("none"), 0);
        log.raise_log_start(Offset(13)).expect("in range");
        assert_eq!(log.delete_old_segments(TimestampMs(100_000)).await.expect("deleted"), 2);
        assert_eq!(log.log_start_offset(), Offset(13));
        assert_eq!(log.delete_old_segments(TimestampMs(100_000)).await.expect("none"), 0);
    });
}

#[test]
fn a_deleted_file_stays_for_its_delay_and_no_longer() {
    in_simulation(5, |directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 20).await;
        log.set_config(LogConfig { file_delete_delay_ms: 60_000, ..keeping(Some(0), None) });
        log.delete_old_segments(TimestampMs(100_000)).await.expect("deleted");
        let deleted = |names: &[String]| names.iter().filter(|it| it.ends_with(".deleted")).count();
        reactor::sleep(Duration::from_secs(59)).await;
        // Log and two indexes of each segment, and the snapshots of all but the first.
        assert_eq!(deleted(&names(&directory).await), 4 * 3 + 3);
        reactor::sleep(Duration::from_secs(2)).await;
        assert_eq!(deleted(&names(&directory).await), 0);
        log.set_config(LogConfig { file_delete_delay_ms: 60_000, ..keeping(None, None) });
        log.delete().await.expect("deleted");
        reactor::sleep(Duration::from_secs(59)).await;
        assert_eq!(reactor::directory::list(&directory).await.expect("listed").len(), 1);
        reactor::sleep(Duration::from_secs(2)).await;
        assert_eq!(reactor::directory::list(&directory).await.expect("listed").len(), 0);
    });
}

#[test]
fn the_largest_time_is_that_of_records_that_are_left() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        // Its largest time is that of its first record, as a header says of all of them.
        append(&log, &batch_with_step(9000, 10, -10));
        append(&log, &batch(2000, 10, 10));
        log.flush().await.expect("durable");
        log.set_high_watermark(log.log_end_offset());
        for (start, largest) in [(0, (0, 9000)), (3, (3, 8970)), (9, (9, 8910)), (10, (19, 2009))] {
            log.raise_log_start(Offset(start)).expect("in range");
            let found = log.max_timestamp().await.expect("searched").expect("a record");
            assert_eq!((found.offset.0, found.timestamp.0), largest, "from {start}");
        }
    });
}

#[test]
fn searches_by_time_see_nothing_below_the_log_start() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        for timestamp in [1000, 9000, 2000, 3000] {
            append(&log, &batch(timestamp, 10, 10));
        }
        log.flush().await.expect("durable");
        log.set_high_watermark(log.log_end_offset());
        for (start, first_of_2500, largest) in [
            (0, Some((10, 9000)), (19, 9009)),
            (15, Some((15, 9005)), (19, 9009)),
            (20, Some((30, 3000)), (39, 3009)),
            (35, Some((35, 3005)), (39, 3009)),
        ] {
            log.raise_log_start(Offset(start)).expect("in range");
            let found = log.offset_for_timestamp(TimestampMs(2500)).await.expect("searched");
            let found = found.map(|it| (it.offset.0, it.timestamp.0));
            assert_eq!(found, first_of_2500, "from {start}");
            let found = log.max_timestamp().await.expect("searched").expect("a record");
            assert_eq!((found.offset.0, found.timestamp.0), largest, "from {start}");
        }
        log.raise_log_start(Offset(40)).expect("in range");
        assert_eq!(log.max_timestamp().await.expect("searched"), None);
    });
}

#[test]
fn who_reads_what_is_being_deleted_ends_cleanly() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 60).await;
        log.close().await.expect("closed");
        for round in 0..5 {
            let config = keeping(None, None);
            let opening = Opening { clean: true, ..Opening::default() };
            let path = directory.join("orders-0");
            let log = PartitionLog::open(&volume, &path, config, opening).await.expect("opens");
            log.set_high_watermark(log.log_end_offset());
            let mut readers = Vec::new();
            for from in log.log_start_offset().0..log.log_end_offset().0 {
                let log = log.clone();
                readers.push(reactor::spawn(async move {
                    match log.read(Offset(from), 1, true, Offset(60)).await {
                        Ok(read) => assert_eq!(read.base_offset, Some(Offset(from))),
                        Err(ReadError::OffsetOutOfRange { .. }) => {
                            assert!(log.log_start_offset() > Offset(from));
                        }
                        Err(error) => panic!("reading {from}: {error}"),
                    }
                }));
            }
            log.raise_log_start(Offset(12 * round + 11)).expect("in range");
            log.delete_old_segments(TimestampMs(0)).await.expect("deleted");
            for reader in readers {
                reader.await;
            }
            log.close().await.expect("closed");
        }
    });
}

#[test]
fn producers_outlive_their_records() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 12).await;
        append(&log, &idempotent(0, 1));
        log.flush().await.expect("durable");
        log.set_high_watermark(log.log_end_offset());
        log.set_config(keeping(Some(0), None));
        log.delete_old_segments(TimestampMs(100_000)).await.expect("deleted");
        assert_eq!(log.log_start_offset(), Offset(13));
        drop(log);
        let log = open(&directory, false).await;
        let retried = log.append_as_leader(&[idempotent(0, 1)], how(0)).expect("known");
        assert!(matches!(retried, storage::Appended::Duplicate { .. }), "{retried:?}");
        log.close().await.expect("closed");
    });
}

#[test]
fn a_closed_log_deletes_nothing() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = filled(&volume, 20).await;
        log.close().await.expect("closed");
        log.set_config(keeping(Some(0), None));
        let refused = log.delete_old_segments(TimestampMs(100_000)).await;
        assert!(matches!(refused, Err(StorageError::Closed { .. })));
    });
}
