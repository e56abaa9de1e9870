//! A partition's log, on a real disk and on a simulated one.

use std::cell::RefCell;
use std::rc::Rc;

use crate::support::*;
use protocol::model::{LeaderEpoch, Offset, TimestampMs};
use storage::{
    AppendError, Appended, EpochEnd, PartitionLog, RaiseLogStartError, ReadError, StorageError,
};

/// Enough for several segments of 64 KiB, batches of very different sizes among them.
fn many_batches() -> Vec<protocol::record_batch::RecordBatch> {
    (0..60).map(|n| batch(1000 * n, 1 + n % 7, if n % 10 == 0 { 5000 } else { 200 })).collect()
}

#[test]
fn what_is_appended_is_read_before_and_after_it_is_durable() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        assert_eq!(log.topic_id(), Some(TOPIC_ID));
        let batches = many_batches();
        let mut end = Offset(0);
        for batch in &batches {
            end = append(&log, batch);
        }
        assert_eq!((log.log_end_offset(), log.durable_end_offset()), (end, Offset(0)));
        assert_holds(&log, &batches, 10_000).await;
        log.wait_durable(end).await.expect("durable");
        assert_eq!(log.durable_end_offset(), end);
        assert_holds(&log, &batches, 10_000).await;
        log.close().await.expect("closed");
    });
}

#[test]
fn a_clean_stop_leaves_exact_files_and_loses_nothing() {
    in_both_worlds(|directory| async move {
        let mut batches = Vec::new();
        for round in 0..3 {
            let log =
                if round == 0 { create(&directory).await } else { open(&directory, true).await };
            assert_eq!(log.durable_end_offset(), log.log_end_offset());
            assert_holds(&log, &batches, 1 << 20).await;
            for batch in many_batches() {
                append(&log, &batch);
                batches.push(batch);
            }
            // Reads of what is in files, across segments, in small pieces.
            log.flush().await.expect("durable");
            assert_holds(&log, &batches, 300).await;
            let size_bytes = log.size_bytes();
            log.close().await.expect("closed");
            let entries =
                reactor::directory::list(&directory.join("orders-0")).await.expect("listed");
            let logs: Vec<_> = entries.iter().filter(|it| it.name.ends_with(".log")).collect();
            assert!(logs.len() > 1, "{} segments", logs.len());
            assert_eq!(logs.iter().map(|it| it.size_bytes).sum::<u64>(), size_bytes);
            let is_there = |name: String| entries.iter().any(|entry| entry.name == name);
            for log in logs {
                let stem = log.name.trim_end_matches(".log");
                for extension in ["index", "timeindex"] {
                    assert!(is_there(format!("{stem}.{extension}")), "{stem}.{extension}");
                }
            }
            assert!(entries.iter().any(|it| it.name.ends_with(".snapshot")));
            assert!(matches!(
                log.append_as_leader(&[batch(0, 1, 1)], how(0)),
                Err(AppendError::Storage(StorageError::Closed { .. }))
            ));
        }
    });
}

#[test]
fn an_unclean_stop_is_scanned_and_cut_behind_the_last_whole_batch() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        let batches = many_batches();
        let end = batches.iter().map(|batch| append(&log, batch)).last().expect("some");
        log.wait_durable(end).await.expect("durable");
        drop(log);
        // Half a batch behind the last whole one, as a crash may leave it.
        let path = directory.join("orders-0");
        let entries = reactor::directory::list(&path).await.expect("listed");
        let last = entries.iter().rfind(|it| it.name.ends_with(".log")).expect("one");
        let file = reactor::file::File::open(&path.join(&last.name), reactor::file::Open::Existing)
            .await
            .expect("opened");
        let mut torn = reactor::buffer::AlignedBuffer::zeroed(4096);
        torn[..100].copy_from_slice(&batch(1, 5, 100).bytes()[..100]);
        let position = file.size().next_multiple_of(4096);
        file.write_at(torn.into_bytes(), position).await.expect("written");
        drop(file);
        let log = open(&directory, false).await;
        assert_eq!((log.log_end_offset(), log.durable_end_offset()), (end, end));
        assert_holds(&log, &batches, 1 << 20).await;
        let next = append(&log, &batch(5, 3, 50));
        log.wait_durable(next).await.expect("durable");
        log.close().await.expect("closed");
        let log = open(&directory, true).await;
        assert_eq!(log.log_end_offset(), next);
    });
}

#[test]
fn readers_follow_a_writer() {
    for seed in 0..30 {
        in_simulation(seed, |directory| async move {
            let log = create(&directory).await;
            let appended = Rc::new(RefCell::new(Vec::new()));
            let readers: Vec<_> = [1, 900, 100_000]
                .into_iter()
                .map(|max_bytes| {
                    let (log, appended) = (log.clone(), appended.clone());
                    reactor::spawn(async move { follow(&log, &appended, max_bytes, 3000).await })
                })
                .collect();
            let mut next = Offset(0);
            while next < Offset(3000) {
                let draw = reactor::random::u64();
                let batch = batch(next.0, 1 + (draw % 9) as i64, (draw % 4000) as usize);
                appended.borrow_mut().push(batch.clone());
                next = append(&log, &batch);
                match draw >> 16 & 15 {
                    0 => log.flush().await.expect("durable"),
                    // Long enough to be idle, so that readers find the rest in files.
                    1 if draw >> 32 & 7 == 0 => {
                        reactor::time::sleep(std::time::Duration::from_secs(15)).await;
                    }
                    1..4 => reactor::time::sleep(std::time::Duration::from_millis(3)).await,
                    _ => {}
                }
            }
            for reader in readers {
                reader.await;
            }
        });
    }
}

/// Reads on as the log grows, up to the offset `until`, and compares.
async fn follow(
    log: &PartitionLog,
    appended: &RefCell<Vec<protocol::record_batch::RecordBatch>>,
    max_bytes: usize,
    until: i64,
) {
    let (mut next, mut seen) = (Offset(0), 0);
    while next < Offset(until) {
        let grown = log.appended();
        let bound = log.log_end_offset();
        let read = log.read(next, max_bytes, true, bound).await.expect("readable");
        for batch in protocol::record_batch::Batches::new(read.contiguous()) {
            let batch = batch.expect("a whole batch");
            assert_eq!(batch.header().base_offset, next);
            assert!(content(&batch) == content(&appended.borrow()[seen]), "batch {seen} at {next}");
            next = batch.header().next_offset();
            seen += 1;
        }
        if next == bound && next < Offset(until) {
            grown.await;
        }
    }
}

#[test]
fn a_new_log_does_not_take_over_an_old_one() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        append(&log, &batch(0, 1, 10));
        log.close().await.expect("closed");
        let path = directory.join("orders-0");
        let other = protocol::model::Uuid::ONE;
        let refused = PartitionLog::create(&volume(&directory), &path, small_config(), other).await;
        assert!(matches!(refused, Err(StorageError::Io { operation: "create", .. })));
        assert_eq!(open(&directory, true).await.topic_id(), Some(TOPIC_ID));
    });
}

#[test]
fn missing_and_broken_indexes_are_rebuilt() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        let batches = many_batches();
        for batch in &batches {
            append(&log, batch);
        }
        log.close().await.expect("closed");
        let path = directory.join("orders-0");
        let read =
            async |name: &str| reactor::directory::read(&path.join(name)).await.expect("read");
        let names: Vec<String> = reactor::directory::list(&path)
            .await
            .expect("listed")
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| name.ends_with("index"))
            .collect();
        assert!(names.len() >= 4, "{names:?}");
        for (n, name) in names.iter().enumerate() {
            let whole = read(name).await;
            if n % 2 == 0 {
                reactor::directory::remove_file(&path.join(name)).await.expect("removed");
            } else {
                // As Apache Kafka leaves it at a crash: grown in advance, with zeros.
                let padded = [&whole[..], &[0; 240]].concat();
                reactor::directory::write_atomic(&path.join(name), &padded).await.expect("written");
            }
            let log = open(&directory, true).await;
            assert_holds(&log, &batches, 700).await;
            append(&log, &batch(0, 1, 10));
            log.truncate_to(Offset(log.log_end_offset().0 - 1)).await.expect("truncated");
            log.close().await.expect("closed");
            assert_eq!(read(name).await, whole, "{name}");
        }
    });
}

/// Ten batches of ten records each, and what reads of them give.
async fn check_bounds(log: &PartitionLog, source: &str) {
    let one = batch(0, 10, 100).size_bytes();
    for (from, max_bytes, min_one, upper, base, next) in [
        (0, 1 << 20, false, 100, Some(0), 100),
        (55, 1 << 20, false, 100, Some(50), 100),
        (55, 1 << 20, false, 99, Some(50), 90),
        (55, 1 << 20, true, 57, None, 55),
        (55, 1, true, 100, Some(50), 60),
        (55, 1, false, 100, None, 55),
        (0, 3 * one, false, 100, Some(0), 30),
        (100, 1 << 20, true, 100, None, 100),
        (100, 1 << 20, true, 500, None, 100),
    ] {
        let row = format!("{from} {max_bytes} {min_one} {upper} from {source}");
        let read = log.read(Offset(from), max_bytes, min_one, Offset(upper)).await.expect(&row);
        assert_eq!(read.base_offset, base.map(Offset), "{row}");
        assert_eq!(read.next_offset, Offset(next), "{row}");
        assert_eq!(read.contiguous().len(), read.size_bytes, "{row}");
    }
    for from in [-1, 101] {
        let refused = log.read(Offset(from), 1, true, Offset(100)).await;
        assert!(matches!(refused, Err(ReadError::OffsetOutOfRange { .. })), "{from} {source}");
    }
}

#[test]
fn reads_keep_their_bounds() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        for n in 0..10 {
            append(&log, &batch(n, 10, 100));
        }
        check_bounds(&log, "memory").await;
        log.close().await.expect("closed");
        check_bounds(&open(&directory, true).await, "its file").await;
    });
}

#[test]
fn an_idle_log_lets_go_of_its_memory_and_goes_on() {
    in_simulation(3, |directory| async move {
        let log = create(&directory).await;
        for n in 0..10 {
            append(&log, &batch(n, 10, 100));
        }
        reactor::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(log.durable_end_offset(), Offset(100));
        check_bounds(&log, "its file").await;
        // What follows begins within the last block of the file.
        let next = append(&log, &batch(10, 10, 100));
        log.wait_durable(next).await.expect("durable");
        let all: Vec<_> = (0..11).map(|n| batch(n, 10, 100)).collect();
        assert_holds(&log, &all, 1000).await;
        log.close().await.expect("closed");
        assert_holds(&open(&directory, true).await, &all, 1000).await;
    });
}

#[test]
fn waiting_hears_of_durability_in_order() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        let heard = Rc::new(RefCell::new(Vec::new()));
        let listener = heard.clone();
        log.on_durable(move |news| listener.borrow_mut().push(news.expect("no failure")));
        let appended = log.appended();
        let mut waiting = Vec::new();
        for n in 0..20 {
            let end = append(&log, &batch(n, 2, 300));
            let log = log.clone();
            waiting.push(reactor::spawn(async move {
                log.wait_durable(end).await.expect("durable");
                assert!(log.durable_end_offset() >= end);
            }));
        }
        appended.await;
        for waiting in waiting {
            waiting.await;
        }
        log.ready_for_append(1000).await.expect("room");
        let heard = heard.borrow();
        assert_eq!(heard.last(), Some(&Offset(40)));
        assert!(heard.is_sorted(), "{heard:?}");
    });
}

#[test]
fn a_retry_gets_its_old_offsets_also_after_a_restart() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        append(&log, &batch(0, 4, 10));
        for n in 0..7 {
            append(&log, &idempotent(2 * n, 2));
        }
        let duplicate = |log: &PartitionLog, sequence| match log
            .append_as_leader(&[idempotent(sequence, 2)], how(0))
        {
            Ok(Appended::Duplicate { base_offset, next_offset, .. }) => {
                assert_eq!(next_offset, Offset(base_offset.0 + 2));
                Some(base_offset.0)
            }
            Ok(Appended::New { .. }) => panic!("{sequence} was appended again"),
            Err(AppendError::OutOfOrderSequence { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(duplicate(&log, 12), Some(16));
        assert_eq!(duplicate(&log, 4), Some(8));
        assert_eq!(duplicate(&log, 2), None);
        assert_eq!(duplicate(&log, 15), None);
        log.flush().await.expect("durable");
        drop(log);
        // A crash: the batches are in the log. A clean stop: they are in the producer snapshot.
        let log = open(&directory, false).await;
        assert_eq!(duplicate(&log, 4), Some(8));
        log.close().await.expect("closed");
        let log = open(&directory, true).await;
        assert_eq!(duplicate(&log, 12), Some(16));
        assert_eq!(duplicate(&log, 4), Some(8));
        assert_eq!(duplicate(&log, 2), None);
        append(&log, &idempotent(14, 2));
    });
}

#[test]
fn leader_epochs_are_found_by_offset_and_survive() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        for (leader_epoch, count) in [(0, 5), (3, 5), (3, 5), (4, 1)] {
            log.append_as_leader(&[batch(0, count, 10)], how(leader_epoch)).expect("appended");
        }
        log.flush().await.expect("durable");
        drop(log);
        for clean in [false, true] {
            let log = open(&directory, clean).await;
            assert_eq!(log.latest_leader_epoch(), Some(LeaderEpoch(4)));
            assert_eq!(log.leader_epoch_at(Offset(9)), Some(LeaderEpoch(3)));
            let end = EpochEnd { leader_epoch: LeaderEpoch(3), end_offset: Offset(15) };
            assert_eq!(log.end_offset_for_epoch(LeaderEpoch(3)), Some(end));
            let batches = read_all(&log, Offset(0), 1 << 20).await;
            let epochs = batches.iter().map(|it| it.header().partition_leader_epoch.map(|e| e.0));
            assert!(epochs.eq([Some(0), Some(3), Some(3), Some(4)]));
            log.close().await.expect("closed");
        }
    });
}

#[test]
fn records_are_found_by_time() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        assert_eq!(log.max_timestamp().await.expect("searched"), None);
        // 100 batches of 10 over several segments: offset n has timestamp 10_000 + 7 n.
        let timestamp = |offset: i64| 10_000 + 7 * offset;
        for n in 0..100 {
            append(&log, &batch_with_step(timestamp(10 * n), 10, 7));
        }
        log.flush().await.expect("durable");
        for clean in [true, false, true] {
            let find = async |target| {
                let found = log.offset_for_timestamp(TimestampMs(target)).await.expect("searched");
                found.map(|found| (found.offset.0, found.timestamp.0))
            };
            assert_eq!(find(0).await, Some((0, timestamp(0))));
            for offset in [0, 1, 9, 10, 555, 556, 990, 999] {
                let want = Some((offset, timestamp(offset)));
                assert_eq!(find(timestamp(offset)).await, want);
                assert_eq!(find(timestamp(offset) - 6).await, want);
            }
            assert_eq!(find(timestamp(999) + 1).await, None);
            let largest = log.max_timestamp().await.expect("searched").expect("a record");
            assert_eq!((largest.offset.0, largest.timestamp.0), (999, timestamp(999)));
            assert_eq!(largest.leader_epoch, Some(LeaderEpoch(0)));
            if !clean {
                break;
            }
        }
        log.close().await.expect("closed");
    });
}

#[test]
fn truncation_cuts_whole_batches_and_fails_who_waits() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        let batches = many_batches();
        batches.iter().for_each(|batch| {
            append(&log, batch);
        });
        log.flush().await.expect("durable");
        let waiter = log.clone();
        let waiting = reactor::spawn(async move { waiter.wait_durable(Offset(1000)).await });
        reactor::yield_now().await;
        // Within the fourth batch: offsets 6..10.
        for (cut, end, left) in [(8, 6, 3), (6, 6, 3), (100, 6, 3), (1, 1, 1), (0, 0, 0)] {
            log.truncate_to(Offset(cut)).await.expect("truncated");
            assert_eq!(log.log_end_offset(), Offset(end), "cut to {cut}");
            assert_eq!(log.durable_end_offset(), Offset(end), "cut to {cut}");
            assert_holds(&log, &batches[..left], 1 << 20).await;
        }
        assert!(matches!(waiting.await, Err(StorageError::Truncated { .. })));
        batches[..5].iter().for_each(|batch| {
            append(&log, batch);
        });
        log.close().await.expect("closed");
        assert_holds(&open(&directory, true).await, &batches[..5], 1 << 20).await;
    });
}

#[test]
fn a_deleted_log_is_gone() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        append(&log, &batch(0, 100, 100));
        log.delete().await.expect("deleted");
        let entries = reactor::directory::list(&directory).await.expect("listed");
        assert!(
            matches!(&entries[..], [one] if one.name.starts_with("orders-0.")
                && one.name.ends_with("-delete")),
            "{entries:?}"
        );
        let read = log.read(Offset(0), 1, true, Offset(1)).await;
        assert!(matches!(read, Err(ReadError::Storage(StorageError::Closed { .. }))));
        let log = create(&directory).await;
        assert_eq!(log.log_end_offset(), Offset(0));
    });
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        let refused = log.append_as_leader(&[batch(0, 1, 70_000)], how(0));
        assert!(matches!(refused, Err(AppendError::BatchTooLarge { .. })));
        assert_eq!(log.log_end_offset(), Offset(0));
    });
}

#[test]
fn the_log_start_moves_below_the_high_watermark_only() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        for leader_epoch in [0, 2] {
            log.append_as_leader(&[batch(0, 10, 10)], how(leader_epoch)).expect("appended");
        }
        log.flush().await.expect("durable");
        let out_of_range =
            |moved| matches!(moved, Err(RaiseLogStartError::OffsetOutOfRange { .. }));
        assert!(out_of_range(log.raise_log_start(Offset(1))), "nobody has told a high watermark");
        log.set_high_watermark(Offset(15));
        for (offset, moved, start) in [(0, false, 0), (4, true, 4), (3, false, 4), (15, true, 15)] {
            assert_eq!(log.raise_log_start(Offset(offset)).expect("in range"), moved, "{offset}");
            assert_eq!(log.log_start_offset(), Offset(start), "{offset}");
        }
        assert!(out_of_range(log.raise_log_start(Offset(16))));
        assert_eq!(log.leader_epoch_at(Offset(14)), None);
        assert_eq!(log.leader_epoch_at(Offset(15)), Some(LeaderEpoch(2)));
        let refused = log.read(Offset(14), 1, true, Offset(20)).await;
        assert!(matches!(refused, Err(ReadError::OffsetOutOfRange { .. })));
        let read = log.read(Offset(15), 1, true, Offset(20)).await.expect("read");
        assert_eq!(read.base_offset, Some(Offset(10)), "the batch that holds it");
        // A batch that holds the log start is cut whole, and the start goes down with it, as in Kafka.
        log.truncate_to(Offset(15)).await.expect("truncated");
        assert_eq!((log.log_start_offset(), log.high_watermark()), (Offset(10), Offset(10)));
    });
}
