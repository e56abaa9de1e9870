//! One core's checkpoint in one log directory, as it is written while the core runs.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reactor::sync::Budget;

use super::entry::PartitionCheckpoint;
use super::file::{Frame, Key};
use super::found::{keep_newest, names, read_file, write_file};
use crate::error::StorageError;

/// Entries in the file of changes up to which it is rewritten rather than merged into the base,
/// however small that is.
const CHANGE_COUNT_MIN: usize = 64;

/// Writes the files of one core. One write at a time; others wait.
pub(crate) struct CoreCheckpoint {
    base: PathBuf,
    changes: PathBuf,
    /// Entries of the base file; `None` before the first write of this run, when the files are
    /// those of an earlier one.
    base_count: Cell<Option<usize>>,
    /// Entries that are newer than the base.
    changed: RefCell<BTreeMap<Key, Frame>>,
    writing: Budget,
}

impl CoreCheckpoint {
    pub(crate) fn new(directory: &Path, core: u32) -> Self {
        let (base, changes) = names(core);
        CoreCheckpoint {
            base: directory.join(base),
            changes: directory.join(changes),
            base_count: Cell::new(None),
            changed: RefCell::default(),
            writing: Budget::new(1),
        }
    }

    /// Adds `entries`, all of which must be true on disk. On return they are durable.
    /// Errors: the files hold the old entries or the new ones; both are true.
    pub(crate) async fn write(&self, entries: &[PartitionCheckpoint]) -> Result<(), StorageError> {
        if entries.is_empty() {
            return Ok(());
        }
        let _alone = self.writing.take(1).await;
        for entry in entries {
            keep_newest(&mut self.changed.borrow_mut(), Frame::encode(entry));
        }
        let changed: Vec<Frame> = self.changed.borrow().values().cloned().collect();
        let fits = self
            .base_count
            .get()
            .is_some_and(|base_count| changed.len() <= (base_count / 2).max(CHANGE_COUNT_MIN));
        if fits { write_file(&self.changes, changed.iter()).await } else { self.merge().await }
    }

    /// Writes a new base of the old files and of what has changed. The file of changes is left: what
    /// it holds is in the base, too.
    async fn merge(&self) -> Result<(), StorageError> {
        let mut frames = BTreeMap::new();
        for path in [&self.base, &self.changes] {
            let (found, _is_damaged) = read_file(path).await?;
            found.into_iter().for_each(|frame| keep_newest(&mut frames, frame));
            reactor::task::yield_now().await;
        }
        let changed: Vec<Frame> = self.changed.borrow().values().cloned().collect();
        changed.into_iter().for_each(|frame| keep_newest(&mut frames, frame));
        write_file(&self.base, frames.values()).await?;
        self.base_count.set(Some(frames.len()));
        self.changed.borrow_mut().clear();
        Ok(())
    }
}
