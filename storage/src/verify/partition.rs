//! One partition's directory.

use std::path::Path;
use std::sync::Arc;

use protocol::model::{LeaderEpoch, Offset};

use super::directory::Check;
use super::finding::Severity;
use super::segment::{SegmentCheck, verify_segment};
use crate::checkpoint::PartitionCheckpoint;
use crate::error::StorageError;
use crate::recovery::end_of_segment;
use crate::segment::{FileKind, SegmentFile, path_of};
use crate::small_file;
use crate::state::{LeaderEpochs, Producers, partition_metadata};

/// What the directory's files say of a partition.
pub(super) struct Expected {
    pub(super) is_clean: bool,
    pub(super) recovery_point: Option<Offset>,
    pub(super) log_start_offset: Option<Offset>,
    pub(super) high_watermark: Option<Offset>,
    pub(super) checkpointed: Vec<Arc<PartitionCheckpoint>>,
}

const REBUILT: &str = "the next start rebuilds it";
const RESTORE: &str = "restore it from a copy; docs/storage.md says what else can be done";

pub(super) async fn verify_partition(
    directory: &Path,
    expected: &Expected,
    check: &mut Check<'_>,
) -> Result<(), StorageError> {
    let topic_id = match partition_metadata::read(directory).await {
        Ok(Some(topic_id)) => Some(topic_id),
        Ok(None) => {
            let what = "partition.metadata is missing: nothing says of which topic this is";
            let help = "the next start takes it for the topic of its name";
            check.verified.find(Severity::Mended, (directory, None), what, help);
            None
        }
        Err(StorageError::Malformed { path, reason, .. }) => {
            let what = format!("no valid partition.metadata: {reason}");
            check.verified.find(Severity::Damage, (&path, None), what, RESTORE);
            None
        }
        Err(error) => return Err(error),
    };
    let entries =
        reactor::directory::list(directory).await.map_err(StorageError::io("list", directory))?;
    let mut segments = Vec::new();
    let mut snapshots = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_directory) {
        let at = directory.join(&entry.name);
        match SegmentFile::parse(&entry.name) {
            SegmentFile::Kept(FileKind::Log, offset) => segments.push((offset, entry.size_bytes)),
            SegmentFile::Kept(FileKind::ProducerSnapshot, offset) => snapshots.push(offset),
            SegmentFile::Kept(
                FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TransactionIndex,
                _,
            )
            | SegmentFile::Other => {}
            SegmentFile::Discarded | SegmentFile::Cleaned(_) => {
                let what = "left over from a deletion or a compaction";
                let help = "the next start removes it";
                check.verified.find(Severity::Mended, (&at, None), what, help);
            }
            SegmentFile::Swap(FileKind::Log, base_offset)
                if end_of_segment(&at, base_offset).await.is_err() =>
            {
                let what = "of an unfinished compaction, and damaged: the partition stays offline";
                check.verified.find(Severity::Damage, (&at, None), what, RESTORE);
            }
            SegmentFile::Swap(..) => {
                let what = "left over from an unfinished compaction";
                let help = "the next start finishes it, or takes it back";
                check.verified.find(Severity::Mended, (&at, None), what, help);
            }
        }
    }
    let of_topic = expected
        .checkpointed
        .iter()
        .find(|entry| topic_id.is_some_and(|topic_id| entry.topic_id == topic_id.0));
    let claimed = of_topic.map(|entry| Offset(entry.flushed_end));
    let of_last_stop = expected.recovery_point.filter(|_| expected.is_clean);
    let flushed_end = claimed.max(of_last_stop);
    let mut epochs = LeaderEpochs::default();
    let mut end = Offset::ZERO;
    let last = segments.len().saturating_sub(1);
    for (index, &(base_offset, size_bytes)) in segments.iter().enumerate() {
        let segment = SegmentCheck {
            directory,
            base_offset,
            size_bytes,
            next: segments.get(index + 1).map(|&(next, _)| next),
            is_growing: index == last && !expected.is_clean,
            flushed_end: flushed_end.unwrap_or_default(),
        };
        end = verify_segment(&segment, &mut epochs, check).await?;
        check.verified.segments += 1;
    }
    let first = segments.first().map_or(Offset::ZERO, |&(first, _)| first);
    verify_offsets(directory, expected, (first, end), flushed_end, check);
    verify_snapshots(directory, &snapshots, end, check).await?;
    let (checkpointed, scanned_from): (&[_], _) = match of_topic.map(|entry| &entry.log) {
        Some(Some(log)) => (&log.leader_epochs, Offset(log.recovery_point)),
        Some(None) => (&[], Offset::ZERO),
        None => (&[], expected.recovery_point.unwrap_or_default()),
    };
    let mended_epochs = MendedEpochs { is_clean: expected.is_clean, checkpointed, scanned_from };
    verify_epochs(directory, &epochs, &mended_epochs, check).await
}

/// What the next start knows of leader epochs beside their file, which a crash leaves behind the batches.
struct MendedEpochs<'a> {
    is_clean: bool,
    /// Epochs with their start offsets.
    checkpointed: &'a [(i32, i64)],
    /// Batches from here on are read.
    scanned_from: Offset,
}

impl MendedEpochs<'_> {
    fn has(&self, leader_epoch: LeaderEpoch, start_offset: Offset) -> bool {
        let is_checkpointed = self.checkpointed.contains(&(leader_epoch.0, start_offset.0));
        !self.is_clean && (is_checkpointed || start_offset >= self.scanned_from)
    }
}

fn verify_offsets(
    directory: &Path,
    expected: &Expected,
    (first, end): (Offset, Offset),
    flushed_end: Option<Offset>,
    check: &mut Check<'_>,
) {
    let at = (directory, None);
    if let Some(flushed_end) = flushed_end.filter(|&flushed_end| flushed_end > end) {
        let what = format!("ends at offset {end}, but all below {flushed_end} was flushed");
        check.verified.find(Severity::Damage, at, what, RESTORE);
    }
    if let Some(start) = expected.log_start_offset.filter(|&start| start > end || start < first) {
        let what = format!("its checkpointed start {start} is outside of {first}..{end}");
        check.verified.find(Severity::Mended, at, what, "the next start begins with what is there");
    }
    if let Some(high_watermark) = expected.high_watermark.filter(|&offset| offset > end) {
        let what =
            format!("its checkpointed high watermark {high_watermark} is above its end {end}");
        check.verified.find(Severity::Mended, at, what, "the next start takes the end");
    }
}

async fn verify_snapshots(
    directory: &Path,
    snapshots: &[Offset],
    end: Offset,
    check: &mut Check<'_>,
) -> Result<(), StorageError> {
    for &offset in snapshots {
        let path = path_of(directory, FileKind::ProducerSnapshot, offset);
        let bytes = small_file::read(&path).await?.unwrap_or_default();
        let found = match Producers::decode_snapshot(&bytes) {
            Ok(_) if offset > end => Some(format!("is of offset {offset}, behind the end {end}")),
            Ok(_) => None,
            Err(reason) => Some(format!("no valid producer snapshot: {reason}")),
        };
        if let Some(what) = found {
            let help = "the next start removes it and reads the batches";
            check.verified.find(Severity::Mended, (&path, None), what, help);
        }
    }
    Ok(())
}

/// Compares the file with the epochs that the batches have.
async fn verify_epochs(
    directory: &Path,
    found: &LeaderEpochs,
    mended: &MendedEpochs<'_>,
    check: &mut Check<'_>,
) -> Result<(), StorageError> {
    let path = directory.join("leader-epoch-checkpoint");
    let at = (path.as_path(), None);
    let Some(bytes) = small_file::read(&path).await? else {
        if found.latest().is_some() {
            check.verified.find(Severity::Mended, at, "the file is missing", REBUILT);
        }
        return Ok(());
    };
    let text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text");
    let known = match text.and_then(|text| LeaderEpochs::decode(&text)) {
        Ok(known) => known,
        Err(reason) => {
            let what = format!("no valid leader epochs: {reason}");
            check.verified.find(Severity::Mended, at, what, REBUILT);
            return Ok(());
        }
    };
    // The file may begin with the log's start, within an epoch, and end with epochs that no batch has
    // yet.
    for (leader_epoch, start_offset) in found.iter().skip(1) {
        if known.at(start_offset) != Some(leader_epoch) {
            let what = format!(
                "batches of leader epoch {leader_epoch} begin at offset {start_offset}, where the \
                 file has {:?}",
                known.at(start_offset).map(|known| known.0)
            );
            let (severity, help) = match mended.has(leader_epoch, start_offset) {
                true => (Severity::Mended, "the next start adds it"),
                false => (Severity::Damage, "delete it: the next start rebuilds it"),
            };
            check.verified.find(severity, at, what, help);
        }
    }
    Ok(())
}
