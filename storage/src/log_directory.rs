//! One of `log.dirs`: identity, lock, clean-stop marker, checkpoints, and the partitions in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use protocol::model::{BrokerId, DirectoryId, Offset, PartitionId, TopicId};

use crate::config::LogConfig;
use crate::error::StorageError;
use crate::log::PartitionLog;

/// A partition by name, as directories and checkpoint files name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// `meta.properties`, version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// Absent in files of older Kafka versions; then one is made and written at start.
    pub directory_id: Option<DirectoryId>,
}

impl MetaProperties {
    /// Reads the file of `directory`; `None` where the directory is not formatted.
    pub async fn read(directory: &Path) -> Result<Option<MetaProperties>, StorageError> {
        let _ = directory;
        todo!()
    }

    /// Writes the file, durably.
    pub async fn write(&self, directory: &Path) -> Result<(), StorageError> {
        let _ = directory;
        todo!()
    }
}

/// One log directory, locked for this process until dropped.
pub struct LogDirectory {
    path: PathBuf,
}

impl LogDirectory {
    /// Locks `path`, reads its checkpoints and clean-stop marker, removes that marker durably, and
    /// finishes deletions that were under way. Errors: `Locked`.
    pub async fn open(path: &Path) -> Result<LogDirectory, StorageError> {
        let _ = path;
        todo!()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the last stop was clean.
    pub fn was_clean(&self) -> bool {
        todo!()
    }

    /// The partitions in this directory, by name.
    pub async fn partitions(&self) -> Result<Vec<TopicPartition>, StorageError> {
        todo!()
    }

    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    pub async fn open_partition(
        &self,
        partition: &TopicPartition,
        config: LogConfig,
    ) -> Result<PartitionLog, StorageError> {
        let _ = (partition, config);
        todo!()
    }

    pub async fn create_partition(
        &self,
        partition: &TopicPartition,
        config: LogConfig,
        topic_id: TopicId,
    ) -> Result<PartitionLog, StorageError> {
        let _ = (partition, config, topic_id);
        todo!()
    }

    /// `replication-offset-checkpoint` as found at `open`: high watermarks.
    pub fn high_watermarks(&self) -> &BTreeMap<TopicPartition, Offset> {
        todo!()
    }

    /// Writes the three checkpoints of `logs` with their high watermarks, durably.
    pub async fn write_checkpoints(
        &self,
        logs: &[(TopicPartition, PartitionLog, Offset)],
    ) -> Result<(), StorageError> {
        let _ = logs;
        todo!()
    }

    /// Writes `.kafka_cleanshutdown`, durably: the last act of a clean stop, after every log is
    /// closed and the checkpoints are written.
    pub async fn mark_clean(&self, broker_epoch: i64) -> Result<(), StorageError> {
        let _ = broker_epoch;
        todo!()
    }
}
