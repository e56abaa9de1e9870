//! What an interrupted compaction has left is finished or taken back, as Apache Kafka does it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::{Batches, RecordBatch};

use crate::support::*;

/// Where a compaction of the first two segments into one may be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupted {
    /// The new segment is being written.
    Cleaned,
    /// Its log is renamed, its index not.
    HalfSwapped,
    Swapped,
    /// One of the two that it replaces is gone, and the index of the other.
    HalfDeleted,
    Deleted,
    /// The new log has its name, its index not.
    HalfRenamed,
}

/// The batches of the segment in `path`.
async fn batches(path: &Path) -> Vec<RecordBatch> {
    let bytes = Bytes::from(reactor::directory::read(path).await.expect("a segment"));
    Batches::new(bytes).map(|batch| batch.expect("a batch")).collect()
}

fn path_in(directory: &Path, base_offset: Offset, extension: &str) -> PathBuf {
    directory.join(format!("{:020}.{extension}", base_offset.0))
}

async fn remove(directory: &Path, base_offset: Offset, extensions: &[&str]) {
    for extension in extensions {
        let path = path_in(directory, base_offset, extension);
        reactor::directory::remove_file(&path).await.expect("removed");
    }
}

async fn logs(directory: &Path) -> Vec<Offset> {
    let entries = reactor::directory::list(directory).await.expect("listed");
    let names = entries.iter().filter_map(|entry| entry.name.strip_suffix(".log"));
    names.map(|name| Offset(name.parse().expect("an offset"))).collect()
}

/// Leaves what a compaction does that keeps every third batch and is then `interrupted`. Returns what the
/// log is to hold.
async fn compact(directory: &Path, interrupted: Interrupted) -> Vec<RecordBatch> {
    let bases = logs(directory).await;
    assert!(bases.len() >= 4, "{bases:?}");
    let (first, second) = (bases[0], bases[1]);
    let mut old = Vec::new();
    for base in [first, second] {
        old.extend(batches(&path_in(directory, base, "log")).await);
    }
    let mut rest = Vec::new();
    for base in &bases[2..] {
        rest.extend(batches(&path_in(directory, *base, "log")).await);
    }
    // The last one stays, as in Kafka, so that the new segment ends where the old ones did.
    let last = old.len() - 1;
    let kept = old.iter().enumerate().filter(|(index, _)| index % 3 == 0 || *index == last);
    let kept: Vec<RecordBatch> = kept.map(|(_, batch)| batch.clone()).collect();
    let (log, index) = match interrupted {
        Interrupted::Cleaned => ("log.cleaned", "index.cleaned"),
        Interrupted::HalfSwapped => ("log.swap", "index.cleaned"),
        Interrupted::Swapped | Interrupted::HalfDeleted | Interrupted::Deleted => {
            ("log.swap", "index.swap")
        }
        Interrupted::HalfRenamed => ("log", "index.swap"),
    };
    match interrupted {
        Interrupted::HalfDeleted => {
            remove(directory, second, &["log", "index", "timeindex"]).await;
            remove(directory, first, &["index"]).await;
        }
        Interrupted::Deleted | Interrupted::HalfRenamed => {
            for base in [first, second] {
                remove(directory, base, &["log", "index", "timeindex"]).await;
            }
        }
        Interrupted::Cleaned | Interrupted::HalfSwapped | Interrupted::Swapped => {}
    }
    let bytes: Vec<u8> = kept.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
    for (extension, contents) in [(log, &bytes[..]), (index, &[])] {
        let path = path_in(directory, first, extension);
        reactor::directory::write_atomic(&path, contents).await.expect("written");
    }
    let is_taken_back = matches!(interrupted, Interrupted::Cleaned | Interrupted::HalfSwapped);
    let front = if is_taken_back { old } else { kept };
    front.into_iter().chain(rest).collect()
}

#[test]
fn an_interrupted_compaction_is_finished_or_taken_back() {
    let marks = in_simulation(31, |path| async move {
        for interrupted in [
            Interrupted::Cleaned,
            Interrupted::HalfSwapped,
            Interrupted::Swapped,
            Interrupted::HalfDeleted,
            Interrupted::Deleted,
            Interrupted::HalfRenamed,
        ] {
            for clean in [true, false] {
                let path = path.join(format!("{interrupted:?} {clean}"));
                reactor::directory::create_all(&path).await.expect("made");
                let log = create(&path).await;
                for n in 0..60 {
                    append(&log, &batch(n, 3, 2_000));
                }
                log.close().await.expect("closed");
                let directory = path.join("orders-0");
                let expected = compact(&directory, interrupted).await;
                // Also by one that comes after it.
                for _ in 0..2 {
                    let log = open(&path, clean).await;
                    assert_eq!(log.log_end_offset(), Offset(180), "{interrupted:?}");
                    let mut found = Vec::new();
                    let mut from = Offset(0);
                    while from < log.log_end_offset() {
                        let read = log.read(from, 1, true, log.log_end_offset()).await;
                        let read = read.expect("readable");
                        found.push(RecordBatch::new(read.contiguous()).expect("a batch"));
                        from = read.next_offset;
                    }
                    assert_eq!(found.len(), expected.len(), "{interrupted:?} clean={clean}");
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!(found.bytes() == expected.bytes(), "{interrupted:?}");
                    }
                    let entries = reactor::directory::list(&directory).await.expect("listed");
                    let is_left = |name: &str| name.ends_with("swap") || name.ends_with("cleaned");
                    assert!(!entries.iter().any(|entry| is_left(&entry.name)), "{entries:?}");
                }
            }
        }
    });
    for mark in ["compaction_finished", "compaction_taken_back"] {
        assert!(marks.contains_key(mark), "{mark}: {marks:?}");
    }
}
