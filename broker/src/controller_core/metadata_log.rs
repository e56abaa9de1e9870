//! The metadata log at a start: the newest snapshot that can be read, and the log behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use controller::{LoadError, Loader, SnapshotId};
use protocol::model::{Offset, Uuid};
use protocol::record_batch::Batches;
use reactor::file::{File, Open};
use storage::{LogConfig, Opening, PartitionLog, Volume};

use super::startup::StartError;
use crate::config::MetadataLogConfig;
use crate::cores::Core;

/// What log and snapshots are read by.
const READ_SIZE_BYTES: usize = 1 << 20;

/// Ends of the names of what a crash, of us or of Apache Kafka, has left half done: snapshots that were
/// being written, or removed.
const LEFTOVERS: [&str; 3] = [".checkpoint.tmp", ".checkpoint.part", ".checkpoint.deleted"];

/// The metadata log, read to its end.
pub struct LoadedLog {
    pub log: PartitionLog,
    pub loader: Loader,
    /// The snapshot that was read; bytes of log behind it.
    pub snapshot: Option<SnapshotId>,
    pub replayed_bytes: u64,
    /// A newer snapshot is damaged: another one is wanted soon.
    pub is_snapshot_damaged: bool,
}

/// Opens or makes the metadata log in `directory` and reads all that it says. What is read is durable:
/// opening flushes what an unclean stop left. A damaged snapshot is passed over, with an ERROR, where
/// an older one and the log, or the log alone, hold the same records; else the start fails.
pub async fn load(core: &Core, directory: &Path, clean: bool) -> Result<LoadedLog, StartError> {
    let config = &core.node.config;
    let entries = match reactor::directory::list(directory).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(read_error(directory)(source)),
    };
    for entry in &entries {
        if LEFTOVERS.iter().any(|end| entry.name.ends_with(end)) {
            // What cannot be removed does no harm either.
            let _ = reactor::directory::remove_file(&directory.join(&entry.name)).await;
        }
    }
    let has_log = entries.iter().any(|entry| entry.name.ends_with(".log"));
    let mut snapshots: Vec<_> =
        entries.iter().filter_map(|entry| SnapshotId::from_file_name(&entry.name)).collect();
    snapshots.sort_unstable_by(|one, other| other.cmp(one));

    // Never a core's volume: the metadata log is flushed by itself, into its own segments.
    let volume = Volume::new(&config.metadata_log_dir, config.storage.clone(), core.chunks.clone());
    let log_config = log_config(&config.metadata_log);
    let opened = if has_log {
        // Only what is committed, and so flushed, is in a snapshot.
        let newest = snapshots.first().filter(|_| !clean);
        let recovery_point = newest.map_or(Offset::ZERO, |id| id.end_offset);
        let opening = Opening { clean, recovery_point, ..Opening::default() };
        Some(PartitionLog::open(&volume, directory, log_config.clone(), opening).await?)
    } else {
        None
    };
    let (loader, snapshot) = first_readable(directory, &snapshots, opened.as_ref()).await?;
    let is_snapshot_damaged = snapshot != snapshots.first().copied();
    let log = log_to(&volume, directory, log_config, opened, loader.next_offset()).await?;
    let mut loaded = LoadedLog { log, loader, snapshot, replayed_bytes: 0, is_snapshot_damaged };
    loaded.replay().await?;
    Ok(loaded)
}

/// Nothing of the metadata log goes but what a snapshot stands for.
fn log_config(config: &MetadataLogConfig) -> LogConfig {
    LogConfig {
        segment_size_bytes: config.segment_size_bytes,
        segment_ms: config.segment_ms,
        cleanup_deletes: false,
        ..LogConfig::default()
    }
}

/// A loader that has read the newest of `snapshots`, the newest first, that can be read, and which that
/// is; or none where the log holds everything from its first record on.
async fn first_readable(
    directory: &Path,
    snapshots: &[SnapshotId],
    log: Option<&PartitionLog>,
) -> Result<(Loader, Option<SnapshotId>), StartError> {
    let log_start = log.map_or(Offset::ZERO, PartitionLog::log_start_offset);
    for &id in snapshots.iter().filter(|id| id.end_offset >= log_start) {
        let path = directory.join(id.file_name());
        let damage = match read(&path).await {
            Ok(bytes) => {
                let mut loader = Loader::new();
                match loader.snapshot(id, bytes) {
                    Ok(()) => return Ok((loader, Some(id))),
                    Err(LoadError::Snapshot { source, .. }) => source.to_string(),
                    // It is whole, and says what we must not pass over.
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => error.to_string(),
        };
        reactor::mark!(snapshot_damaged);
        tracing::error!(
            snapshot = %path.display(), damage,
            "a metadata snapshot is damaged: trying an older one and the log"
        );
    }
    // Without a log the snapshots were all that there was, but for the one of an empty cluster.
    let is_whole = match log {
        Some(_) => log_start == Offset::ZERO,
        None => snapshots.iter().all(|id| id.end_offset == Offset::ZERO),
    };
    match is_whole {
        true => Ok((Loader::new(), None)),
        false => Err(StartError::NoSnapshot { directory: directory.to_owned(), log_start }),
    }
}

/// The log that continues what was read below `end`: `opened`, or a new one that begins there when the
/// log ends before, and so holds nothing that the snapshot lacks. Source: KIP-630,
/// `KafkaRaftLog.truncateToLatestSnapshot`.
async fn log_to(
    volume: &Rc<Volume>,
    directory: &Path,
    config: LogConfig,
    opened: Option<PartitionLog>,
    end: Offset,
) -> Result<PartitionLog, StartError> {
    match opened {
        Some(log) if log.log_end_offset() >= end => return Ok(log),
        Some(log) => {
            let log_end = log.log_end_offset();
            tracing::warn!(%log_end, snapshot_end = %end, "the metadata log ends before its snapshot");
            log.close().await?;
        }
        None if end == Offset::ZERO => {
            return Ok(PartitionLog::create(volume, directory, config, Uuid::ONE).await?);
        }
        None => tracing::error!(
            snapshot_end = %end,
            "the metadata log is missing: what was newer than its last snapshot is lost"
        ),
    }
    reactor::mark!(metadata_log_restarted);
    Ok(PartitionLog::restart_at(volume, directory, config, Uuid::ONE, end).await?)
}

impl LoadedLog {
    async fn replay(&mut self) -> Result<(), StartError> {
        let log = &self.log;
        let mut from = self.loader.next_offset();
        while from < log.log_end_offset() {
            let read = log.read(from, READ_SIZE_BYTES, true, log.log_end_offset()).await?;
            assert!(read.next_offset > from, "reading from {from} made no way");
            for slice in read.slices {
                self.replayed_bytes += slice.len() as u64;
                for batch in Batches::new(slice) {
                    self.loader.batch(&batch?)?;
                }
            }
            from = read.next_offset;
        }
        Ok(())
    }
}

/// All of a snapshot, which may be large.
async fn read(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path, Open::Existing).await?;
    let size = file.size();
    let mut bytes = BytesMut::with_capacity(size as usize);
    while (bytes.len() as u64) < size {
        let from = bytes.len() as u64;
        let part = file.read_range(from..from + READ_SIZE_BYTES as u64).await?;
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path: PathBuf = path.to_owned();
    move |source| StartError::Read { path, source }
}
