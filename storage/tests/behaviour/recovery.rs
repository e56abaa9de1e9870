//! What a stop may have left in a partition's directory, file by file, and what an open makes of it.

use std::path::{Path, PathBuf};

use crate::support::*;
use protocol::model::{LeaderEpoch, Offset};
use protocol::record_batch::RecordBatch;
use storage::verify::{Severity, verify};
use storage::{Appended, LogConfig, Opening, PartitionLog, ReadError, StorageError};

const BATCH_COUNT: usize = 60;
/// Batches before leader epoch 3 begins.
const FIRST_EPOCH_COUNT: usize = 20;

fn config() -> LogConfig {
    LogConfig { segment_size_bytes: 16 << 10, index_interval_bytes: 1024, ..small_config() }
}

/// A log of several segments and two leader epochs, closed cleanly.
async fn make(path: &Path) -> Vec<RecordBatch> {
    let log = PartitionLog::create(&volume(path), &path.join("orders-0"), config(), TOPIC_ID)
        .await
        .expect("a new log");
    let mut appended = Vec::new();
    for n in 0..BATCH_COUNT {
        let batch = idempotent_with(n as i32, 900);
        let leader_epoch = if n < FIRST_EPOCH_COUNT { 1 } else { 3 };
        log.append_as_leader(std::slice::from_ref(&batch), how(leader_epoch)).expect("appended");
        appended.push(batch);
    }
    log.close().await.expect("closed");
    appended
}

/// The files of a partition, to be changed.
struct Files {
    directory: PathBuf,
    /// Base offsets, ascending.
    segments: Vec<i64>,
}

impl Files {
    async fn of(path: &Path) -> Files {
        let directory = path.join("orders-0");
        let entries = reactor::directory::list(&directory).await.expect("listed");
        let segments = entries.iter().filter_map(|entry| entry.name.strip_suffix(".log"));
        let segments = segments.map(|name| name.parse().expect("an offset")).collect();
        Files { directory, segments }
    }

    fn path(&self, segment: i64, extension: &str) -> PathBuf {
        self.directory.join(format!("{segment:020}.{extension}"))
    }

    fn active(&self) -> i64 {
        *self.segments.last().expect("a segment")
    }

    fn first(&self) -> i64 {
        self.segments[0]
    }

    async fn change(&self, path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = reactor::directory::read(&path).await.expect("a file");
        change(&mut bytes);
        write(&path, &bytes).await;
    }

    async fn exists(&self, name: &str) -> bool {
        let entries = reactor::directory::list(&self.directory).await.expect("listed");
        entries.iter().any(|entry| entry.name == name)
    }
}

async fn write(path: &Path, bytes: &[u8]) {
    reactor::directory::write_atomic(path, bytes).await.expect("written");
}

async fn remove(path: PathBuf) {
    reactor::directory::remove_file(&path).await.expect("removed");
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Nothing,
    ActiveEndsAmidABatch,
    ActiveEndsInZeros,
    ActiveEndsInManyZeros,
    ActiveEndsInGarbage,
    ActiveHasAHoleNearItsEnd,
    FirstHasAFlippedBit,
    AllSegmentsGone,
    Indexes(&'static str, Side),
    SnapshotsGone,
    SnapshotsGarbage,
    EpochsGone,
    EpochsGarbage,
    MetadataGone,
    MetadataGarbage,
    LeftoversOfADeletion,
    LeftoversOfACompaction,
    ForeignFiles,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Gone,
    Empty,
    Short,
    Zeros,
    Garbage,
    OtherSegments,
}

impl Damage {
    async fn apply(self, files: &Files) {
        let active = files.path(files.active(), "log");
        match self {
            Damage::Nothing => {}
            Damage::ActiveEndsAmidABatch => {
                files.change(active, |bytes| bytes.truncate(bytes.len() - 100)).await;
            }
            Damage::ActiveEndsInZeros => {
                files.change(active, |bytes| bytes.extend([0; 1000])).await;
            }
            Damage::ActiveEndsInManyZeros => {
                files.change(active, |bytes| bytes.extend(vec![0; 3 << 20])).await;
            }
            Damage::ActiveEndsInGarbage => {
                files.change(active, |bytes| bytes.extend([0xa5; 300])).await;
            }
            Damage::ActiveHasAHoleNearItsEnd => {
                let hole = |bytes: &mut Vec<u8>| {
                    let end = bytes.len();
                    bytes[end - 1200..end - 700].fill(0);
                };
                files.change(active, hole).await;
            }
            Damage::FirstHasAFlippedBit => {
                files.change(files.path(files.first(), "log"), |bytes| bytes[1300] ^= 4).await;
            }
            Damage::AllSegmentsGone => {
                for &segment in &files.segments {
                    for extension in ["log", "index", "timeindex"] {
                        remove(files.path(segment, extension)).await;
                    }
                }
            }
            Damage::Indexes(extension, side) => {
                for &segment in &files.segments {
                    side.apply(files, segment, extension).await;
                }
            }
            Damage::SnapshotsGone | Damage::SnapshotsGarbage => {
                let entries = reactor::directory::list(&files.directory).await.expect("listed");
                for entry in entries.iter().filter(|entry| entry.name.ends_with(".snapshot")) {
                    let path = files.directory.join(&entry.name);
                    match self {
                        Damage::SnapshotsGone => remove(path).await,
                        _ => files.change(path, |bytes| bytes[7] ^= 1).await,
                    }
                }
            }
            Damage::EpochsGone => remove(files.directory.join("leader-epoch-checkpoint")).await,
            Damage::EpochsGarbage => {
                write(&files.directory.join("leader-epoch-checkpoint"), &[0xff, 0, 7]).await;
            }
            Damage::MetadataGone => remove(files.directory.join("partition.metadata")).await,
            Damage::MetadataGarbage => {
                write(&files.directory.join("partition.metadata"), b"version: 0\n").await;
            }
            Damage::LeftoversOfADeletion => {
                write(&files.path(0, "log.deleted"), b"old").await;
                write(&files.path(0, "index.deleted"), b"old").await;
                write(&files.path(7, "log.cleaned"), b"half").await;
            }
            Damage::LeftoversOfACompaction => write(&files.path(7, "log.swap"), b"new").await,
            Damage::ForeignFiles => {
                write(&files.directory.join("notes.txt"), b"mine").await;
                write(&files.directory.join("12.log.bak"), b"mine").await;
                let below = files.directory.join("below");
                reactor::directory::create_all(&below).await.expect("made");
            }
        }
    }
}

impl Side {
    async fn apply(self, files: &Files, segment: i64, extension: &str) {
        let path = files.path(segment, extension);
        match self {
            Side::Gone => remove(path).await,
            Side::Empty => write(&path, &[]).await,
            Side::Short => files.change(path, |bytes| bytes.truncate(bytes.len() - 5)).await,
            // As Apache Kafka leaves one that it had mapped.
            Side::Zeros => files.change(path, |bytes| bytes.extend([0; 4800])).await,
            Side::Garbage => {
                files.change(path, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x5a)).await;
            }
            Side::OtherSegments => {
                let other = reactor::directory::read(&files.path(files.first(), extension)).await;
                if segment != files.first() {
                    let mut other = other.expect("an index");
                    // In order, within the segment, and leading to no batch.
                    let position = other.len() - 1;
                    other[position] ^= 1;
                    write(&path, &other).await;
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// All batches but so many of the last.
    HoldsAllBut(usize),
    /// So many of the first.
    HoldsFirst(usize),
    /// All is there, but what is damaged is not served.
    ReadFailsAt(usize),
    CorruptBatch,
    LostRecords,
    Malformed,
}

fn refusal(error: &StorageError) -> Outcome {
    match error {
        StorageError::CorruptBatch { .. } => Outcome::CorruptBatch,
        StorageError::LostRecords { .. } => Outcome::LostRecords,
        StorageError::Malformed { .. } => Outcome::Malformed,
        other => panic!("{other}"),
    }
}

/// What is read from the log, batch by batch.
async fn outcome(log: &PartitionLog, appended: &[RecordBatch]) -> Outcome {
    let mut found = 0;
    let mut from = log.log_start_offset();
    let end = log.log_end_offset();
    while from < end {
        match log.read(from, 1, true, end).await {
            Ok(read) => {
                let batch = RecordBatch::new(read.contiguous()).expect("a batch");
                assert!(content(&batch) == content(&appended[found]), "batch {found}");
                found += 1;
                from = read.next_offset;
            }
            Err(ReadError::Storage(error)) => {
                assert_eq!(refusal(&error), Outcome::CorruptBatch);
                check_each(log, appended, Some(found)).await;
                return Outcome::ReadFailsAt(found);
            }
            Err(error) => panic!("{error}"),
        }
    }
    check_each(log, appended, None).await;
    match appended.len() - found {
        missing if missing < 10 => Outcome::HoldsAllBut(missing),
        _ => Outcome::HoldsFirst(found),
    }
}

/// That each batch that is there is found by way of its index, but for the one that is damaged.
async fn check_each(log: &PartitionLog, appended: &[RecordBatch], damaged: Option<usize>) {
    let end = log.log_end_offset();
    for n in (0..end.0 as usize).rev().filter(|&n| Some(n) != damaged) {
        let read = log.read(Offset(n as i64), 1, true, end).await;
        let read = read.unwrap_or_else(|error| panic!("batch {n}: {error}"));
        let batch = RecordBatch::new(read.contiguous()).expect("a batch");
        assert!(content(&batch) == content(&appended[n]), "batch {n}");
    }
}

/// That a log with all its batches knows its producer and its epochs, and can go on.
async fn check_state(log: &PartitionLog, damage: Damage) {
    for n in BATCH_COUNT - 5..BATCH_COUNT {
        let again = log.append_as_leader(&[idempotent_with(n as i32, 900)], how(3));
        assert!(matches!(again, Ok(Appended::Duplicate { .. })), "{damage:?} {n}: {again:?}");
    }
    assert_eq!(log.latest_leader_epoch(), Some(LeaderEpoch(3)), "{damage:?}");
    let end = log.end_offset_for_epoch(LeaderEpoch(1)).map(|end| end.end_offset);
    assert_eq!(end, Some(Offset(FIRST_EPOCH_COUNT as i64)), "{damage:?}");
    log.append_as_leader(&[idempotent_with(BATCH_COUNT as i32, 10)], how(3)).expect("appended");
    log.close().await.expect("closed");
}

/// Whether `verify` sees the damage, whatever the next open would do about it.
async fn check_verify(path: &Path, damage: Damage, clean: bool, want: Option<Severity>) {
    let before = reactor::directory::list(&path.join("orders-0")).await.expect("listed");
    if clean {
        write(&path.join(".kafka_cleanshutdown"), b"").await;
        write(&path.join("recovery-point-offset-checkpoint"), b"0\n1\norders 0 60\n").await;
    }
    let mut done_bytes = 0;
    let verified = verify(path, &mut |progress| done_bytes = progress.done_bytes).await;
    let verified = verified.expect("readable");
    // That the stop was unclean is a finding, too.
    let found = verified.findings.iter().filter(|it| it.path != path);
    let worst = found.clone().map(|it| it.severity).max();
    assert_eq!(worst, want, "{damage:?} clean={clean}: {:?}", found.collect::<Vec<_>>());
    assert!(done_bytes > 0 || matches!(damage, Damage::AllSegmentsGone));
    assert_eq!(reactor::directory::list(&path.join("orders-0")).await.expect("listed"), before);
}

async fn check(path: PathBuf, row: (Damage, bool, Outcome, Option<Severity>)) {
    let (damage, clean, want, verified) = row;
    reactor::directory::create_all(&path).await.expect("made");
    let appended = make(&path).await;
    let files = Files::of(&path).await;
    assert!(files.segments.len() >= 3, "{:?}", files.segments);
    damage.apply(&files).await;
    check_verify(&path, damage, clean, verified).await;
    // As Kafka's checkpoint of the stop before has it.
    let recovery_point = Offset(if clean { BATCH_COUNT as i64 } else { 0 });
    let opening = Opening { clean, recovery_point, ..Opening::default() };
    let opened = PartitionLog::open(&volume(&path), &files.directory, config(), opening).await;
    let found = match &opened {
        Ok(log) => outcome(log, &appended).await,
        Err(error) => refusal(error),
    };
    assert_eq!(found, want, "{damage:?} clean={clean}");
    if let (Ok(log), Outcome::HoldsAllBut(0)) = (opened, want) {
        check_state(&log, damage).await;
    }
    match damage {
        Damage::LeftoversOfADeletion => {
            assert!(!files.exists("00000000000000000000.log.deleted").await);
            assert!(!files.exists("00000000000000000007.log.cleaned").await);
        }
        Damage::ForeignFiles => assert!(files.exists("notes.txt").await),
        _ => {}
    }
}

#[test]
fn every_kind_of_file_in_every_condition() {
    use Damage::*;
    use Outcome::*;
    const WHOLE: Outcome = HoldsAllBut(0);
    const NONE: Option<Severity> = None;
    const MENDED: Option<Severity> = Some(Severity::Mended);
    const DAMAGE: Option<Severity> = Some(Severity::Damage);
    let mut rows = vec![
        // After a clean stop what an open gives and what verify says; then the same after a crash.
        (Nothing, (WHOLE, NONE), (WHOLE, NONE)),
        (ActiveEndsAmidABatch, (CorruptBatch, DAMAGE), (HoldsAllBut(1), MENDED)),
        (ActiveEndsInZeros, (CorruptBatch, DAMAGE), (WHOLE, NONE)),
        (ActiveEndsInManyZeros, (CorruptBatch, DAMAGE), (WHOLE, NONE)),
        (ActiveEndsInGarbage, (CorruptBatch, DAMAGE), (WHOLE, MENDED)),
        (ActiveHasAHoleNearItsEnd, (CorruptBatch, DAMAGE), (HoldsAllBut(2), MENDED)),
        (FirstHasAFlippedBit, (ReadFailsAt(1), DAMAGE), (HoldsFirst(1), DAMAGE)),
        (AllSegmentsGone, (LostRecords, DAMAGE), (HoldsFirst(0), MENDED)),
        (SnapshotsGone, (WHOLE, NONE), (WHOLE, NONE)),
        (SnapshotsGarbage, (WHOLE, MENDED), (WHOLE, MENDED)),
        (EpochsGone, (WHOLE, MENDED), (WHOLE, MENDED)),
        (EpochsGarbage, (WHOLE, MENDED), (WHOLE, MENDED)),
        (MetadataGone, (WHOLE, MENDED), (WHOLE, MENDED)),
        (MetadataGarbage, (Malformed, DAMAGE), (Malformed, DAMAGE)),
        (LeftoversOfADeletion, (WHOLE, MENDED), (WHOLE, MENDED)),
        (LeftoversOfACompaction, (CorruptBatch, DAMAGE), (CorruptBatch, DAMAGE)),
        (ForeignFiles, (WHOLE, NONE), (WHOLE, NONE)),
        (Indexes("index", Side::OtherSegments), (WHOLE, DAMAGE), (WHOLE, DAMAGE)),
    ];
    for extension in ["index", "timeindex"] {
        rows.push((Indexes(extension, Side::Empty), (WHOLE, NONE), (WHOLE, NONE)));
        for side in [Side::Gone, Side::Short, Side::Zeros, Side::Garbage] {
            rows.push((Indexes(extension, side), (WHOLE, MENDED), (WHOLE, MENDED)));
        }
    }
    in_simulation(3, move |path| {
        let rows = rows.clone();
        async move {
            for (number, (damage, clean, unclean)) in rows.into_iter().enumerate() {
                let rows = [(true, clean), (false, unclean)];
                for (is_clean, (outcome, verified)) in rows {
                    let path = path.join(format!("{number} {is_clean}"));
                    check(path, (damage, is_clean, outcome, verified)).await;
                }
            }
        }
    });
}

#[test]
fn an_index_that_leads_astray_hides_nothing() {
    for (damaged, mark) in [(None, "index_rebuilt"), (Some(1), "index_distrusted")] {
        let marks = in_simulation(9, move |path| async move {
            let appended = make(&path).await;
            let files = Files::of(&path).await;
            let misled = |bytes: &mut Vec<u8>| {
                // The second entry names the batch behind the first one's, and leads to a later one.
                let named = u32::from_be_bytes(bytes[..4].try_into().expect("an offset"));
                bytes[8..12].copy_from_slice(&(named + 1).to_be_bytes());
            };
            files.change(files.path(files.first(), "index"), misled).await;
            if damaged.is_some() {
                Damage::FirstHasAFlippedBit.apply(&files).await;
            }
            let recovery_point = Offset(BATCH_COUNT as i64);
            let opening = Opening { clean: true, recovery_point, ..Opening::default() };
            let log = PartitionLog::open(&volume(&path), &files.directory, config(), opening).await;
            let log = log.expect("opened");
            check_each(&log, &appended, damaged).await;
            if let Some(n) = damaged {
                let read = log.read(Offset(n as i64), 1, true, log.log_end_offset()).await;
                assert!(matches!(read, Err(ReadError::Storage(_))), "{read:?}");
            }
        });
        assert!(marks.contains_key(mark), "{mark}: {marks:?}");
    }
}

/// A batch that fills one block of the disk.
fn block_of(sequence: i32) -> RecordBatch {
    let mut batches =
        (3900..4096).map(|value_size_bytes| idempotent_with(sequence, value_size_bytes));
    batches.find(|batch| batch.size_bytes() == 4096).expect("a batch of one block")
}

#[test]
fn a_segment_without_padding_hides_no_epochs_behind_it() {
    in_simulation(11, |path| async move {
        let config = LogConfig { segment_size_bytes: 8192, ..config() };
        let directory = path.join("orders-0");
        let log = PartitionLog::create(&volume(&path), &directory, config.clone(), TOPIC_ID)
            .await
            .expect("a new log");
        // The first segment is of two blocks; the epoch of its first batch is given up.
        let epochs = [1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4];
        for (n, &leader_epoch) in (0..).zip(&epochs) {
            let batch = if n < 2 { block_of(n) } else { idempotent_with(n, 900) };
            log.append_as_leader(&[batch], how(leader_epoch)).expect("appended");
        }
        log.flush().await.expect("flushed");
        log.set_high_watermark(log.log_end_offset());
        log.raise_log_start(Offset(1)).expect("below the high watermark");
        log.close().await.expect("closed");
        let (log_start_offset, recovery_point) = (Offset(1), log.log_end_offset());
        let opening = Opening { recovery_point, log_start_offset, ..Opening::default() };
        let log = PartitionLog::open(&volume(&path), &directory, config, opening).await;
        let log = log.expect("the log opens");
        for (offset, &leader_epoch) in (0..).zip(&epochs).skip(1) {
            assert_eq!(log.leader_epoch_at(Offset(offset)), Some(LeaderEpoch(leader_epoch)));
        }
    });
}
