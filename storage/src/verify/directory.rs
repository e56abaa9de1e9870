//! One log directory: its own files, then its partitions one by one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use protocol::model::Offset;
use reactor::directory::Entry;

use super::finding::{Severity, Verified};
use super::partition::{Expected, verify_partition};
use crate::checkpoint;
use crate::error::StorageError;
use crate::journal::{Replay, guard};
use crate::log_directory::clean_shutdown::Markers;
use crate::log_directory::{DirectoryName, OTHER_DIRECTORIES, TopicPartition, checkpoints};
use crate::small_file;

/// How far a check has come.
#[derive(Clone, Debug)]
pub struct VerifyProgress {
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// Where a check counts what it finds, and tells how far it is.
pub(super) struct Check<'a> {
    pub(super) verified: Verified,
    pub(super) progress: VerifyProgress,
    on_progress: &'a mut dyn FnMut(&VerifyProgress),
}

impl Check<'_> {
    pub(super) fn advance(&mut self, size_bytes: u64) {
        self.progress.done_bytes += size_bytes;
        (self.on_progress)(&self.progress);
    }
}

const RECOVER: &str = "run `millrace storage recover`";
const DELETE: &str = "delete it";

/// Checks everything in the log directory `path`, and changes nothing.
/// Errors: `Locked` while a process uses it; `Io` where the disk fails to read.
pub async fn verify(
    path: &Path,
    on_progress: &mut dyn FnMut(&VerifyProgress),
) -> Result<Verified, StorageError> {
    let _lock = reactor::directory::lock(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path: path.to_owned() },
        _ => StorageError::io("lock", path)(error),
    })?;
    let entries = list(path).await?;
    let progress = VerifyProgress { done_bytes: 0, total_bytes: 0 };
    let mut check = Check { verified: Verified::default(), progress, on_progress };
    let partitions = find_partitions(path, &entries, &mut check.verified);
    for name in &partitions {
        check.progress.total_bytes += segments_size_bytes(&path.join(name.to_string())).await?;
    }
    let is_clean = verify_stop(path, &entries, &mut check.verified).await?;
    let offsets = read_offsets(path, &partitions, &mut check.verified).await?;
    let checkpointed = verify_core_checkpoint(path, &entries, &mut check.verified).await?;
    for name in &partitions {
        let [recovery_point, log_start_offset, high_watermark] =
            offsets.each_ref().map(|offsets| offsets.get(name).copied());
        let expected = Expected {
            is_clean,
            recovery_point,
            log_start_offset,
            high_watermark,
            checkpointed: checkpointed.of(name),
        };
        verify_partition(&path.join(name.to_string()), &expected, &mut check).await?;
    }
    Ok(check.verified)
}

async fn list(path: &Path) -> Result<Vec<Entry>, StorageError> {
    reactor::directory::list(path).await.map_err(StorageError::io("list", path))
}

async fn segments_size_bytes(directory: &Path) -> Result<u64, StorageError> {
    let entries = list(directory).await?;
    let segments = entries.iter().filter(|entry| entry.name.ends_with(".log"));
    Ok(segments.map(|entry| entry.size_bytes).sum())
}

fn find_partitions(path: &Path, entries: &[Entry], verified: &mut Verified) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_directory) {
        if OTHER_DIRECTORIES.contains(&entry.name.as_str()) {
            continue;
        }
        let at = path.join(&entry.name);
        let at = (at.as_path(), None);
        match DirectoryName::parse(&entry.name) {
            Some(DirectoryName::Partition(partition)) => partitions.push(partition),
            Some(DirectoryName::Deleted(_)) => {
                let what = "a partition that was being deleted";
                verified.find(Severity::Mended, at, what, "the next start removes it");
            }
            Some(DirectoryName::Stray(_) | DirectoryName::Future(_)) => {
                let what = "a partition that is none of this broker's any more";
                verified.find(
                    Severity::Note,
                    at,
                    what,
                    "it is left alone; delete it if it is yours to",
                );
            }
            None => {
                let what = "a directory whose name is no topic and partition: no start succeeds";
                verified.find(Severity::Damage, at, what, "move it elsewhere");
            }
        }
    }
    verified.partitions = partitions.len() as u64;
    partitions
}

/// How the last stop was, by the files that say so. Returns whether it was clean.
async fn verify_stop(
    path: &Path,
    entries: &[Entry],
    verified: &mut Verified,
) -> Result<bool, StorageError> {
    let is_clean = Markers::read(path).await?.last_stop().is_some();
    let has_guard = entries.iter().any(|entry| entry.name == guard::NAME);
    let at = path.join(guard::NAME);
    if has_guard {
        let journals = Replay::read(path).await?;
        let what = format!(
            "the journal holds {} bytes of {} partitions that segments may lack; Apache Kafka does \
             not start here",
            journals.size_bytes(),
            journals.partitions().count()
        );
        let help = "start millrace, or run `millrace storage recover`";
        verified.find(Severity::Mended, (&at, None), what, help);
        for damage in journals.damages() {
            verified.find(Severity::Damage, (path, None), damage.to_string(), RECOVER);
        }
    } else if !is_clean && !entries.iter().all(|entry| !entry.is_directory) {
        let what = "the last stop was no clean one";
        verified.find(Severity::Mended, (path, None), what, "the next start recovers the logs");
    }
    if has_guard && is_clean {
        let what = "the guard of the journal is there although the last stop was clean";
        verified.find(Severity::Mended, (&at, None), what, RECOVER);
    }
    Ok(is_clean && !has_guard)
}

type Offsets = BTreeMap<TopicPartition, Offset>;

/// Recovery points, log starts and high watermarks of Kafka's checkpoints.
async fn read_offsets(
    path: &Path,
    partitions: &[TopicPartition],
    verified: &mut Verified,
) -> Result<[Offsets; 3], StorageError> {
    let names =
        [checkpoints::RECOVERY_POINT, checkpoints::LOG_START_OFFSET, checkpoints::HIGH_WATERMARK];
    let mut all = [Offsets::new(), Offsets::new(), Offsets::new()];
    for (offsets, name) in all.iter_mut().zip(names) {
        let at = path.join(name);
        let Some(bytes) = small_file::read(&at).await? else {
            continue;
        };
        let text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text");
        match text.and_then(|text| checkpoints::decode(&text)) {
            Ok(decoded) => *offsets = decoded,
            Err(reason) => {
                let what = format!("no valid offset checkpoint: {reason}");
                let help = "delete it: the next start does without";
                verified.find(Severity::Mended, (&at, None), what, help);
            }
        }
        for gone in offsets.keys().filter(|name| !partitions.contains(name)) {
            let what = format!("names {gone}, which is not here");
            verified.find(Severity::Note, (&at, None), what, "the next clean stop writes it anew");
        }
    }
    Ok(all)
}

async fn verify_core_checkpoint(
    path: &Path,
    entries: &[Entry],
    verified: &mut Verified,
) -> Result<checkpoint::Found, StorageError> {
    for entry in entries.iter().filter(|entry| checkpoint::is_checkpoint(&entry.name)) {
        let at = path.join(&entry.name);
        if let Some((position, reason)) = checkpoint::damage(&at).await? {
            let what = format!("the core checkpoint is damaged: {reason}");
            verified.find(Severity::Mended, (&at, Some(position)), what, DELETE);
        }
    }
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    checkpoint::peek(path, &names).await
}
