//! One core's part of one log directory: what the logs that the core has there share.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::checkpoint::CoreCheckpoint;
use crate::chunk::ChunkPool;
use crate::error::StorageError;
use crate::log::PartitionLog;
use crate::settings::Settings;
use crate::trash::{Discarded, Trash};

/// What the logs of one core in one log directory share. A directory fails alone; so nothing here is
/// shared between directories but memory.
pub struct Volume {
    path: PathBuf,
    settings: Settings,
    chunks: Rc<ChunkPool>,
    /// Absent where nobody but the log itself is to know where it ends.
    checkpoint: Option<CoreCheckpoint>,
    trash: Rc<Trash>,
}

impl Volume {
    /// A volume whose logs are in no checkpoint. `chunks` is the core's, for all its directories.
    pub fn new(path: &Path, settings: Settings, chunks: Rc<ChunkPool>) -> Rc<Volume> {
        Volume::assembled(path, settings, chunks, None)
    }

    /// The part of the log directory `path` that the core `core` has; no other volume has that number
    /// there.
    pub fn of_core(
        path: &Path,
        core: u32,
        settings: Settings,
        chunks: Rc<ChunkPool>,
    ) -> Rc<Volume> {
        Volume::assembled(path, settings, chunks, Some(CoreCheckpoint::new(path, core)))
    }

    fn assembled(
        path: &Path,
        settings: Settings,
        chunks: Rc<ChunkPool>,
        checkpoint: Option<CoreCheckpoint>,
    ) -> Rc<Volume> {
        let (path, trash) = (path.to_owned(), Trash::new());
        Rc::new(Volume { path, settings, chunks, checkpoint, trash })
    }

    /// The log directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn checkpoint(&self) -> Option<&CoreCheckpoint> {
        self.checkpoint.as_ref()
    }

    /// Brings the core's checkpoint up to what `logs`, which lie in this directory, are now; durable
    /// on return. Errors: the first of a log or of the disk; the entries of the other logs are written,
    /// and what the checkpoint says stays true.
    pub async fn write_checkpoint(&self, logs: &[PartitionLog]) -> Result<(), StorageError> {
        let Some(checkpoint) = &self.checkpoint else {
            return Ok(());
        };
        let mut entries = Vec::new();
        let mut outcome = Ok(());
        for log in logs {
            match log.checkpoint_entry().await {
                Ok(entry) => entries.extend(entry),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        checkpoint.write(&entries).await.and(outcome)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn chunks(&self) -> &Rc<ChunkPool> {
        &self.chunks
    }

    /// Removes directories of logs that were deleted before: an earlier run has not come to it.
    pub fn finish_deletions(&self, directories: Vec<PathBuf>) {
        self.trash.discard(directories.into_iter().map(Discarded::Directory).collect(), 0);
    }

    pub(crate) fn trash(&self) -> &Rc<Trash> {
        &self.trash
    }

    /// Ends what goes on in the background. What it has not done is done at the next start.
    pub fn close(&self) {
        self.trash.close();
    }
}
