//! Snapshots of the metadata while the node runs: taken when enough of the log is new, after which the
//! oldest ones and the log below them go as far as retention says. Source: KIP-630.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use controller::{Snapshot, SnapshotContent, SnapshotId, SnapshotWriter};
use protocol::model::{Offset, TimestampMs};
use reactor::Instant;
use reactor::file::{File, Open};
use reactor::sync::Notify;
use storage::{PartitionLog, RaiseLogStartError, StorageError};

use super::metadata_log::LoadedLog;
use crate::config::MetadataLogConfig;

/// The header batch of a snapshot of any quorum lies within.
const HEADER_SIZE_BYTES_MAX: u64 = 64 << 10;

/// Takes snapshots, and removes old ones.
pub struct SnapshotKeeper {
    config: MetadataLogConfig,
    directory: PathBuf,
    log: PartitionLog,
    /// Bytes of log behind the newest snapshot.
    bytes_since: Cell<u64>,
    /// Where the newest snapshot that can be read ends.
    newest: Cell<Offset>,
    taken_at: Cell<Instant>,
    /// What is committed, if it is not the newest snapshot yet.
    committed: RefCell<Option<SnapshotContent>>,
    changed: Notify,
}

#[derive(Debug, thiserror::Error)]
enum SnapshotFailure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl SnapshotKeeper {
    pub fn new(config: MetadataLogConfig, directory: PathBuf, loaded: &LoadedLog) -> Rc<Self> {
        // A damaged one is replaced as soon as there is something to write.
        let bytes_since = match loaded.is_snapshot_damaged {
            true => config.snapshot_after_bytes,
            false => loaded.replayed_bytes,
        };
        Rc::new(SnapshotKeeper {
            config,
            directory,
            log: loaded.log.clone(),
            bytes_since: Cell::new(bytes_since),
            newest: Cell::new(loaded.snapshot.map_or(Offset::ZERO, |id| id.end_offset)),
            taken_at: Cell::new(reactor::now()),
            committed: RefCell::default(),
            changed: Notify::new(),
        })
    }

    /// `size_bytes` more are in the log.
    pub fn appended(&self, size_bytes: usize) {
        self.bytes_since.set(self.bytes_since.get() + size_bytes as u64);
    }

    /// `content` is committed, and shown.
    pub fn committed(&self, content: SnapshotContent) {
        *self.committed.borrow_mut() = Some(content);
        self.changed.notify_all();
    }

    /// Takes snapshots when they are due, until it is dropped. One that fails is tried again when the
    /// next one is due: nothing is lost meanwhile, the log is only longer.
    pub async fn run(self: Rc<Self>) {
        loop {
            let changed = self.changed.notified();
            if !self.is_due() {
                self.wait(changed).await;
                continue;
            }
            let Some(content) = self.committed.take() else {
                changed.await;
                continue;
            };
            self.bytes_since.set(0);
            self.taken_at.set(reactor::now());
            let id = content.id;
            if id.end_offset <= self.newest.get() {
                continue;
            }
            let kept = match self.take(content).await {
                Ok(size_bytes) => {
                    self.newest.set(id.end_offset);
                    tracing::info!(
                        snapshot = id.file_name(),
                        size_bytes,
                        "metadata snapshot taken"
                    );
                    self.remove_old(id.end_offset).await
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = kept {
                tracing::error!(
                    snapshot = id.file_name(), %error,
                    "metadata snapshot failed: the metadata log grows until the next one"
                );
            }
        }
    }

    fn is_due(&self) -> bool {
        self.bytes_since.get() >= self.config.snapshot_after_bytes
            || self.due_at().is_some_and(|due| due <= reactor::now())
    }

    fn due_at(&self) -> Option<Instant> {
        let interval = self.config.snapshot_after_ms.map(Duration::from_millis)?;
        Some(self.taken_at.get() + interval)
    }

    async fn wait(&self, changed: impl Future<Output = ()>) {
        match self.due_at() {
            Some(due) => futures_lite::future::or(changed, reactor::sleep_until(due)).await,
            None => changed.await,
        }
    }

    /// Writes the file, durably; others run on this core between its parts. Returns its size.
    async fn take(&self, content: SnapshotContent) -> io::Result<usize> {
        let mut writer = content.writer(TimestampMs(reactor::wall_clock()));
        let count = match reactor::planted!(snapshot_without_its_last_record) {
            true => content.image.to_records().count().saturating_sub(1),
            false => usize::MAX,
        };
        let mut records = content.image.to_records().take(count);
        loop {
            let part: Vec<_> = records.by_ref().take(SnapshotWriter::PART_RECORDS_MAX).collect();
            if part.is_empty() {
                break;
            }
            writer.push(&part);
            reactor::task::yield_now().await;
        }
        let bytes = writer.finish();
        let path = self.directory.join(content.id.file_name());
        reactor::directory::write_atomic(&path, &bytes).await?;
        Ok(bytes.len())
    }

    /// Removes the oldest snapshots, and the log that only they need, while log and snapshots are larger
    /// than `metadata.max.retention.bytes`, or the oldest is older than `metadata.max.retention.ms`. The
    /// newest stays. `committed` is where the newest ends.
    async fn remove_old(&self, committed: Offset) -> Result<(), SnapshotFailure> {
        if self.log.high_watermark() < committed {
            self.log.set_high_watermark(committed);
        }
        let entries = reactor::directory::list(&self.directory).await?;
        let mut snapshots: BTreeMap<SnapshotId, u64> = entries
            .iter()
            .filter_map(|entry| Some((SnapshotId::from_file_name(&entry.name)?, entry.size_bytes)))
            .collect();
        while snapshots.len() > 1 {
            let size_bytes = self.log.size_bytes() + snapshots.values().sum::<u64>();
            let Some((oldest, _)) = snapshots.pop_first() else { break };
            let path = self.directory.join(oldest.file_name());
            let too_large = self.config.retention_bytes.is_some_and(|max| size_bytes > max);
            if !too_large && !self.is_too_old(&path).await? {
                break;
            }
            let next = snapshots.keys().next().map_or(committed, |id| id.end_offset);
            if next > committed {
                break;
            }
            match self.log.raise_log_start(next) {
                Ok(_) => {}
                Err(RaiseLogStartError::Storage(error)) => return Err(error.into()),
                Err(error) => unreachable!("{next} is committed: {error}"),
            }
            let segment_count =
                self.log.delete_old_segments(TimestampMs(reactor::wall_clock())).await?;
            reactor::directory::remove_file(&path).await?;
            reactor::directory::sync(&self.directory).await?;
            reactor::mark!(snapshot_removed);
            tracing::info!(
                snapshot = oldest.file_name(),
                too_large,
                segment_count,
                "old metadata snapshot removed, with the log below the next one"
            );
        }
        Ok(())
    }

    async fn is_too_old(&self, snapshot: &Path) -> io::Result<bool> {
        let Some(retention_ms) = self.config.retention_ms else { return Ok(false) };
        let file = File::open(snapshot, Open::Existing).await?;
        let header = file.read_range(0..HEADER_SIZE_BYTES_MAX).await?;
        // A damaged one is of no use, and goes by size.
        let Ok(TimestampMs(written)) = Snapshot::decode_timestamp(header) else { return Ok(false) };
        let age_ms = reactor::wall_clock().saturating_sub(written);
        Ok(u64::try_from(age_ms).is_ok_and(|age_ms| age_ms > retention_ms))
    }
}
