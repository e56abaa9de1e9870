//! `millrace storage recover`: after a crash, a log directory becomes what a clean stop leaves behind,
//! without a broker. Then Apache Kafka may start on it, too.

use std::path::Path;
use std::rc::Rc;

use protocol::model::Offset;

use crate::config::LogConfig;
use crate::error::StorageError;
use crate::journal::guard;
use crate::log_directory::clean_shutdown::Markers;
use crate::log_directory::{LogDirectory, LogOffsets, TopicPartition};
use crate::replay::ReplayProgress;
use crate::volume::Volume;

/// The metadata log is in none of the checkpoints, as in Kafka.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// What recovering a log directory did.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last stop was clean: nothing was changed.
    pub was_clean: bool,
    /// Partitions whose logs are as a clean stop leaves them.
    pub partitions: usize,
    /// Bytes that the journals held and segments lacked.
    pub appended_bytes: u64,
    /// Partitions that could not be recovered, and why. While there are any, the guard stays, and Apache
    /// Kafka does not start: it would cut what is damaged.
    pub offline: Vec<(TopicPartition, String)>,
}

/// How far a recovery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoverProgress {
    Journals(ReplayProgress),
    Logs { done: usize, total: usize },
}

/// Recovers the log directory of `volume`, which is one without a journal.
///
/// The guard goes last: interrupted at any point, the directory is still one that only millrace takes,
/// and another call does it all again. Errors: `Locked` while a process uses it; `Io`.
pub async fn recover(
    volume: &Rc<Volume>,
    on_progress: &mut dyn FnMut(RecoverProgress),
) -> Result<Recovered, StorageError> {
    let path = volume.path();
    if is_clean(path).await? {
        return Ok(Recovered { was_clean: true, ..Recovered::default() });
    }
    let mut directory = LogDirectory::open(path).await?;
    directory.prepare_space(volume.settings()).await;
    directory.claim().await?;
    let config = LogConfig::default();
    let replayed = directory
        .replay_journals(volume, &|_| config.clone(), &mut |progress| {
            on_progress(RecoverProgress::Journals(progress));
        })
        .await?;
    let mut recovered = Recovered {
        appended_bytes: replayed.appended_bytes,
        offline: replayed.offline,
        ..Recovered::default()
    };
    for damage in &replayed.damages {
        tracing::error!(directory = %path.display(), %damage, "a journal is damaged");
    }
    let names: Vec<TopicPartition> = directory.partitions().cloned().collect();
    let mut offsets = Vec::new();
    for (done, name) in names.iter().enumerate() {
        on_progress(RecoverProgress::Logs { done, total: names.len() });
        if recovered.offline.iter().any(|(offline, _)| offline == name) {
            continue;
        }
        match close_cleanly(&directory, volume, name, &config).await {
            Ok(log) => {
                recovered.partitions += 1;
                offsets.extend((name.topic != METADATA_TOPIC).then_some(log));
            }
            Err(error) => recovered.offline.push((name.clone(), error.to_string())),
        }
    }
    on_progress(RecoverProgress::Logs { done: names.len(), total: names.len() });
    volume.close().await?;
    directory.write_checkpoints(&offsets).await?;
    if recovered.offline.is_empty() && replayed.damages.is_empty() {
        Markers::of_recovery().write(path).await?;
        guard::remove(path).await?;
    }
    Ok(recovered)
}

/// Whether a clean stop has left the directory, which nothing has touched since.
async fn is_clean(path: &Path) -> Result<bool, StorageError> {
    Ok(Markers::read(path).await?.last_stop().is_some() && !guard::exists(path).await?)
}

/// Opens a log, which recovers it, and closes it, which completes its files.
async fn close_cleanly(
    directory: &LogDirectory,
    volume: &Rc<Volume>,
    name: &TopicPartition,
    config: &LogConfig,
) -> Result<LogOffsets, StorageError> {
    let log = directory.open_partition(volume, name, config.clone()).await?;
    let known = directory.high_watermarks().get(name).copied().unwrap_or(Offset::ZERO);
    let offsets = LogOffsets {
        name: name.clone(),
        recovery_point: log.log_end_offset(),
        log_start_offset: log.log_start_offset(),
        first_dirty_offset: log.first_dirty_offset(),
        high_watermark: known.max(log.high_watermark()).min(log.log_end_offset()),
    };
    log.close().await?;
    Ok(offsets)
}
