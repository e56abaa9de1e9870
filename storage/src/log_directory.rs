//! One of `log.dirs`: identity, lock, clean-stop marker, checkpoints, and the partitions in it.

pub(crate) mod checkpoints;
pub(crate) mod clean_shutdown;
mod meta_properties;
mod name;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use protocol::model::{Offset, TopicId};
use reactor::directory::Entry;

use crate::checkpoint;
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::journal::guard;
use crate::log::{Opening, PartitionLog};
use crate::replay::{ReplayProgress, Replayed, replay};
use crate::settings::Settings;
use crate::space::Space;
use crate::volume::Volume;
use checkpoints::Offsets;
use clean_shutdown::Markers;

pub use clean_shutdown::CleanShutdown;
pub use meta_properties::MetaProperties;
pub(crate) use name::DirectoryName;
pub use name::TopicPartition;
pub(crate) use name::{DELETE_SUFFIX, STRAY_SUFFIX, renamed};

/// Directories below `log.dirs` that hold no partition: one of Kafka's, and the journal's guard.
pub(crate) const OTHER_DIRECTORIES: [&str; 2] = ["remote-log-index-cache", guard::NAME];

/// What the checkpoints say of one log; its core may be another one than the directory's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    pub name: TopicPartition,
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    /// Below it the log is compacted.
    pub first_dirty_offset: Offset,
}

/// One log directory, locked for this process until dropped.
pub struct LogDirectory {
    path: PathBuf,
    markers: Markers,
    /// The journal's guard stood there when it was opened.
    was_guarded: bool,
    /// No partition was found to lack what was durable.
    is_whole: bool,
    partitions: BTreeSet<TopicPartition>,
    core_checkpoint: checkpoint::Found,
    deleted: Vec<PathBuf>,
    recovery_points: Offsets,
    /// Of the logs that the journals had records of.
    replayed_ends: Offsets,
    log_start_offsets: Offsets,
    high_watermarks: Offsets,
    first_dirty_offsets: Offsets,
    _lock: reactor::directory::Lock,
}

impl LogDirectory {
    /// Locks `path` and reads how the last stop has left it, which is as it was on return:
    /// [`Self::claim`] comes before anything is written.
    ///
    /// Errors: `Locked`; `Malformed` for a directory in it that is no partition's, as in Kafka.
    pub async fn open(path: &Path) -> Result<LogDirectory, StorageError> {
        let lock = reactor::directory::lock(path).await.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StorageError::Locked { path: path.to_owned() },
            _ => StorageError::io("lock", path)(error),
        })?;
        let entries =
            reactor::directory::list(path).await.map_err(StorageError::io("list", path))?;
        let (partitions, deleted) = find_partitions(path, &entries)?;
        let mut recovery_points = checkpoints::read(path, checkpoints::RECOVERY_POINT).await?;
        let mut log_start_offsets = checkpoints::read(path, checkpoints::LOG_START_OFFSET).await?;
        let mut high_watermarks = checkpoints::read(path, checkpoints::HIGH_WATERMARK).await?;
        let mut first_dirty_offsets =
            checkpoints::read(path, checkpoints::FIRST_DIRTY_OFFSET).await?;
        let markers = Markers::read(path).await?;
        let was_guarded = entries.iter().any(|entry| entry.name == guard::NAME);
        // After a crash it is ours if the journal's guard still keeps Apache Kafka from starting.
        let was_crash = markers.last_stop().is_none();
        if was_crash && was_guarded {
            // Kafka's files are of our last clean stop, and by name: since then another topic may have
            // got it. Our own checkpoint says what is true of a topic id.
            recovery_points.clear();
            log_start_offsets.clear();
            high_watermarks.clear();
            first_dirty_offsets.clear();
        }
        let is_ours = if was_crash { was_guarded } else { markers.are_ours() };
        let core_checkpoint = find_core_checkpoint(path, &entries, is_ours, &partitions).await?;
        Ok(LogDirectory {
            path: path.to_owned(),
            markers,
            was_guarded,
            is_whole: true,
            partitions,
            core_checkpoint,
            deleted,
            recovery_points,
            replayed_ends: Offsets::new(),
            log_start_offsets,
            high_watermarks,
            first_dirty_offsets,
            _lock: lock,
        })
    }

    /// Brings what the journals of all cores hold to the segments. `volume` is one without a journal;
    /// `config_of` says how segments are rolled. On return the journals are empty, or, where a partition
    /// lacks what was durable, set aside: see [`Replayed::offline`].
    ///
    /// Errors leave the journals as they were, and a later call does it all again.
    pub async fn replay_journals(
        &mut self,
        volume: &Rc<Volume>,
        config_of: &dyn Fn(&TopicPartition) -> LogConfig,
        on_progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<Replayed, StorageError> {
        let replayed = replay(self, volume, config_of, on_progress).await?;
        self.is_whole &= replayed.offline.is_empty();
        self.replayed_ends = replayed.ends.clone();
        Ok(replayed)
    }

    /// Before logs are opened: where the disk is full, what is set aside for that is given back; else
    /// as much as `settings` say is set aside. Where that fails the start goes on.
    pub async fn prepare_space(&self, settings: &Settings) {
        Space::new(&self.path, settings).prepare_start().await;
    }

    /// Takes the directory for this process, durably: after all that may keep it from starting, and
    /// before it writes what a clean stop would have to complete. Until [`Self::mark_clean`] a stop is
    /// unclean, and Apache Kafka does not start here. The guard is what tells the next start that the
    /// crash was ours, so that the core checkpoint holds; without it all logs would be scanned, as after
    /// a crash of Apache Kafka.
    ///
    /// On a full disk it does without the guard: the journal makes it before its first record, and a
    /// crash before that costs the scan.
    pub async fn claim(&self) -> Result<(), StorageError> {
        // First: a crash between the two leaves a clean stop behind, which was ours if it was.
        match guard::create(&self.path).await {
            Err(error) if error.is_full() => {
                let directory = self.path.display();
                tracing::warn!(%directory, %error, "a crash before the first record costs a scan");
            }
            created => created?,
        }
        self.markers.remove(&self.path).await
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the last clean stop left, if the last stop was one.
    pub fn clean_shutdown(&self) -> Option<CleanShutdown> {
        self.markers.last_stop()
    }

    /// Whether the last stop was clean.
    pub fn was_clean(&self) -> bool {
        self.clean_shutdown().is_some()
    }

    /// Whether no broker has left anything here: it was formatted, and no more.
    pub fn is_unused(&self) -> bool {
        !self.was_clean() && !self.was_guarded && self.partitions.is_empty()
    }

    /// The partitions that were in this directory when it was opened, `__cluster_metadata-0` with
    /// them; strays and moves under way are not.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.iter()
    }

    /// The directories of logs that were deleted and whose removal has not ended: to be removed, by
    /// [`Volume::finish_deletions`].
    pub fn deleted(&self) -> &[PathBuf] {
        &self.deleted
    }

    /// Sets a partition that was here aside, as one that the metadata do not know: its directory gets
    /// Kafka's `.<uuid>-stray` name, durably. Nothing in it is touched.
    pub async fn set_aside(&self, partition: &TopicPartition) -> Result<PathBuf, StorageError> {
        let directory = self.partition_path(partition);
        let stray = renamed(&directory, STRAY_SUFFIX);
        reactor::directory::rename(&directory, &stray)
            .await
            .map_err(StorageError::io("rename", &directory))?;
        reactor::directory::sync(&self.path)
            .await
            .map_err(StorageError::io("flush", &self.path))?;
        Ok(stray)
    }

    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// How the last stop has left a partition that was here: what any core needs to open its log.
    pub fn opening(&self, partition: &TopicPartition) -> Opening {
        let checkpoint = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or_default();
        Opening {
            clean: self.was_clean(),
            recovery_point: checkpoint(&self.recovery_points),
            log_start_offset: checkpoint(&self.log_start_offsets),
            replayed_end: checkpoint(&self.replayed_ends),
            first_dirty_offset: checkpoint(&self.first_dirty_offsets),
            checkpoints: self.core_checkpoint.of(partition),
        }
    }

    /// Opens the log of a partition that was here, as the last stop has left it.
    pub async fn open_partition(
        &self,
        volume: &Rc<Volume>,
        partition: &TopicPartition,
        config: LogConfig,
    ) -> Result<PartitionLog, StorageError> {
        PartitionLog::open(volume, &self.partition_path(partition), config, self.opening(partition))
            .await
    }

    pub async fn create_partition(
        &self,
        volume: &Rc<Volume>,
        partition: &TopicPartition,
        config: LogConfig,
        topic_id: TopicId,
    ) -> Result<PartitionLog, StorageError> {
        PartitionLog::create(volume, &self.partition_path(partition), config, topic_id).await
    }

    /// `replication-offset-checkpoint` as found by `open`.
    pub fn high_watermarks(&self) -> &BTreeMap<TopicPartition, Offset> {
        &self.high_watermarks
    }

    /// Writes the recovery points, log start offsets, high watermarks and first dirty offsets of all logs of this
    /// directory, durably. A crash then costs the scan of what came after.
    pub async fn write_checkpoints(&self, logs: &[LogOffsets]) -> Result<(), StorageError> {
        let offsets = |of: fn(&LogOffsets) -> Offset| -> Offsets {
            logs.iter().map(|log| (log.name.clone(), of(log))).collect()
        };
        let recovery_points = offsets(|log| log.recovery_point);
        // A log start of 0 says nothing, and is not written, as in Kafka.
        let mut log_start_offsets = offsets(|log| log.log_start_offset);
        log_start_offsets.retain(|_, offset| *offset > Offset::ZERO);
        let high_watermarks = offsets(|log| log.high_watermark);
        // Nor has a log that was never compacted a first dirty offset.
        let mut first_dirty_offsets = offsets(|log| log.first_dirty_offset);
        first_dirty_offsets.retain(|_, offset| *offset > Offset::ZERO);
        checkpoints::write(&self.path, checkpoints::RECOVERY_POINT, &recovery_points).await?;
        checkpoints::write(&self.path, checkpoints::LOG_START_OFFSET, &log_start_offsets).await?;
        checkpoints::write(&self.path, checkpoints::HIGH_WATERMARK, &high_watermarks).await?;
        checkpoints::write(&self.path, checkpoints::FIRST_DIRTY_OFFSET, &first_dirty_offsets).await
    }

    /// Lets Apache Kafka start here again, then writes `.kafka_cleanshutdown`, durably: the last acts of
    /// a clean stop, after every log and every volume is closed and the checkpoints are written.
    ///
    /// In this order a crash in between costs a scan and nothing else. Before the guard goes, journals
    /// are empty and segments flushed: with the guard a start replays nothing, without it Apache Kafka,
    /// or we, recover from segments that hold everything. The marker comes last, since it lets the next
    /// start trust the files: were it there with a guard, a journal would be replayed into logs that
    /// are not scanned.
    pub async fn mark_clean(&self, broker_epoch: i64) -> Result<(), StorageError> {
        // Where a partition is offline, Apache Kafka would serve what is left of it as the whole.
        if self.is_whole {
            guard::remove(&self.path).await?;
        }
        Markers::of_stop(broker_epoch).write(&self.path).await
    }

    /// Takes a claim back, durably, for a stop before there was a broker epoch to stop under: the
    /// directory is as [`Self::open`] found it. Nothing was appended, and every log is closed.
    pub async fn give_back(&self) -> Result<(), StorageError> {
        if !self.was_guarded && self.is_whole {
            guard::remove(&self.path).await?;
        }
        self.markers.write(&self.path).await
    }
}

/// What the core checkpoint of `path` says, where it is of the state that the last stop has left.
/// Apache Kafka knows nothing of it: where that has run since, it is removed.
async fn find_core_checkpoint(
    path: &Path,
    entries: &[Entry],
    is_ours: bool,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<checkpoint::Found, StorageError> {
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    if is_ours {
        return checkpoint::read(path, &names, |name| partitions.contains(name)).await;
    }
    checkpoint::discard(path, &names).await?;
    Ok(checkpoint::Found::default())
}

/// The partitions in `path`, and the directories of deleted ones.
fn find_partitions(
    path: &Path,
    entries: &[Entry],
) -> Result<(BTreeSet<TopicPartition>, Vec<PathBuf>), StorageError> {
    let mut partitions = BTreeSet::new();
    let mut deleted = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_directory) {
        if OTHER_DIRECTORIES.contains(&entry.name.as_str()) {
            continue;
        }
        let directory = path.join(&entry.name);
        match DirectoryName::parse(&entry.name) {
            Some(DirectoryName::Partition(partition)) => {
                partitions.insert(partition);
            }
            Some(DirectoryName::Deleted(_)) => deleted.push(directory),
            Some(DirectoryName::Stray(partition) | DirectoryName::Future(partition)) => {
                tracing::warn!(%partition, directory = %directory.display(), "left alone");
            }
            None => {
                let reason = "its name is no topic and partition: move it elsewhere";
                let what = "partition directory";
                return Err(StorageError::Malformed { path: directory, what, reason });
            }
        }
    }
    Ok((partitions, deleted))
}
