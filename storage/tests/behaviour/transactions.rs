//! The last stable offset, and what a `read_committed` reader is told of aborted transactions.

use std::path::Path;

use crate::support::*;
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{ControlRecordType, RecordBatch};
use storage::{AppendAsLeader, Appended, LogConfig, Origin, PartitionLog};

fn append_for_coordinator(log: &PartitionLog, batch: &RecordBatch) -> Offset {
    let how = AppendAsLeader { origin: Origin::Coordinator, ..how(0) };
    match log.append_as_leader(std::slice::from_ref(batch), how).expect("appended") {
        Appended::New { base_offset, .. } => base_offset,
        Appended::Duplicate { .. } => panic!("a coordinator's batch is none"),
    }
}

/// Sixty transactions of one record each, every third aborted, two open at any time: that of producer
/// `n` begins at `2n` and its marker is at `2n + 3`. Of about 1 KB, so that there are several segments.
fn fill(log: &PartitionLog) {
    let end = |n: i64| {
        let kind = if n % 3 == 0 { ControlRecordType::Abort } else { ControlRecordType::Commit };
        append_for_coordinator(log, &marker(n, kind))
    };
    append_for_coordinator(log, &transactional(0, 0));
    for n in 1..60 {
        let first = append_for_coordinator(log, &transactional(n, n));
        assert_eq!(first, Offset(2 * n - 1));
        assert_eq!(end(n - 1), Offset(2 * n));
    }
}

/// `(first offset, marker)` of the aborted ones that a reader must know.
async fn aborted(log: &PartitionLog, from: i64, upper_bound: i64) -> Vec<(i64, i64)> {
    let found = log.aborted_transactions(Offset(from), Offset(upper_bound)).await.expect("found");
    found.into_iter().map(|one| (one.first_offset.0, one.last_offset.0)).collect()
}

/// Producer `n`'s, with an abort: its record is at `2n - 1`, or 0, its marker at `2n + 2`.
fn want(numbers: impl IntoIterator<Item = i64>) -> Vec<(i64, i64)> {
    numbers.into_iter().map(|n| ((2 * n - 1).max(0), 2 * n + 2)).collect()
}

async fn check(log: &PartitionLog, source: &str) {
    let all = want((0..57).step_by(3));
    assert_eq!(aborted(log, 0, 200).await, [all, want([57])].concat(), "{source}");
    assert_eq!(aborted(log, 3, 4).await, want([]), "{source}");
    assert_eq!(aborted(log, 0, 6).await, want([0, 3]), "{source}");
    assert_eq!(aborted(log, 50, 60).await, want([24, 27, 30]), "{source}");
}

fn small() -> LogConfig {
    LogConfig { segment_size_bytes: 8 << 10, ..small_config() }
}

async fn reopen(directory: &Path, clean: bool) -> PartitionLog {
    let log = open(directory, clean).await;
    log.set_config(small());
    log.set_high_watermark(log.durable_end_offset());
    log
}

#[test]
fn aborted_transactions_are_found_after_any_stop() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        log.set_config(small());
        fill(&log);
        check(&log, "memory").await;
        log.flush().await.expect("durable");
        drop(log);
        for (clean, source) in [(false, "a crash"), (false, "another crash"), (true, "a stop")] {
            let log = reopen(&directory, clean).await;
            check(&log, source).await;
            if clean || source == "another crash" {
                log.close().await.expect("closed");
            }
        }
    });
}

#[test]
fn the_last_stable_offset_waits_for_transactions_and_their_markers() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        fill(&log);
        log.flush().await.expect("durable");
        assert_eq!(log.log_end_offset(), Offset(119));
        // Producer n's record is undecided until its marker, two behind the next record, is below.
        for (high_watermark, last_stable) in [(0, 0), (2, 0), (3, 1), (4, 1), (5, 3), (119, 117)] {
            log.set_high_watermark(Offset(high_watermark));
            assert_eq!(log.last_stable_offset(), Offset(last_stable), "{high_watermark}");
        }
        log.close().await.expect("closed");
        let log = reopen(&directory, true).await;
        assert_eq!(log.last_stable_offset(), Offset(117), "it is open still");
        append_for_coordinator(&log, &marker(59, ControlRecordType::Abort));
        assert_eq!(log.last_stable_offset(), Offset(117));
        log.flush().await.expect("durable");
        log.set_high_watermark(Offset(120));
        assert_eq!(log.last_stable_offset(), Offset(120));
        log.raise_log_start(Offset(119)).expect("in range");
        assert!(log.last_stable_offset() >= log.log_start_offset(), "INV-1");
    });
}

#[test]
fn an_index_of_aborted_transactions_follows_its_segment() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        log.set_config(small());
        fill(&log);
        log.flush().await.expect("durable");
        // What is cut off is forgotten: the markers of producers 30 and later.
        log.truncate_to(Offset(62)).await.expect("truncated");
        assert_eq!(aborted(&log, 0, 200).await, want((0..30).step_by(3)));
        log.close().await.expect("closed");
        let log = reopen(&directory, true).await;
        assert_eq!(aborted(&log, 0, 200).await, want((0..30).step_by(3)));
        // And so is what is deleted.
        log.raise_log_start(Offset(30)).expect("in range");
        log.set_config(LogConfig { file_delete_delay_ms: 0, ..small() });
        log.delete_old_segments(TimestampMs(0)).await.expect("deleted");
        assert_eq!(aborted(&log, 30, 200).await, want((15..30).step_by(3)));
        log.close().await.expect("closed");
    });
}

#[test]
fn a_broken_index_of_aborted_transactions_is_rebuilt() {
    in_both_worlds(|directory| async move {
        let log = create(&directory).await;
        log.set_config(small());
        fill(&log);
        log.close().await.expect("closed");
        let path = directory.join("orders-0");
        let entries = reactor::directory::list(&path).await.expect("listed");
        let names: Vec<_> = entries.iter().filter(|it| it.name.ends_with(".txnindex")).collect();
        assert!(names.len() > 3, "{entries:?}");
        let mut whole = Vec::new();
        for (number, entry) in names.iter().enumerate() {
            let file = path.join(&entry.name);
            let mut bytes = reactor::directory::read(&file).await.expect("read");
            whole.push(bytes.clone());
            match number % 3 {
                0 => bytes[1] = 9,
                1 => bytes.truncate(33),
                _ => bytes[2 + 8 + 8] ^= 1 << 6,
            }
            reactor::directory::write_atomic(&file, &bytes).await.expect("written");
        }
        let log = reopen(&directory, true).await;
        check(&log, "the segments").await;
        for (entry, whole) in names.iter().zip(whole) {
            let bytes = reactor::directory::read(&path.join(&entry.name)).await.expect("read");
            assert_eq!(bytes, whole, "{}", entry.name);
        }
        log.close().await.expect("closed");
    });
}
