//! One core's part of one log directory: the logs that the core has there, and the journal they share.

mod busy;
mod checkpoint;
mod commit;
mod dirty;
mod journal_use;
mod stall;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use futures_lite::future::or;
use reactor::task::Group;

use crate::checkpoint::CoreCheckpoint;
use crate::chunk::ChunkPool;
use crate::error::StorageError;
use crate::journal::Journal;
use crate::log::{Inner, PartitionLog};
use crate::settings::Settings;
use crate::space::Space;
use crate::trash::{Discarded, Trash};
use busy::Busy;
pub(crate) use dirty::DirtyBytes;
use dirty::DirtyTotal;
use journal_use::JournalCounts;
pub use journal_use::JournalUse;
use stall::StallWatch;

/// What the logs of one core in one log directory share. A directory fails alone; so nothing here is
/// shared between directories but memory.
///
/// Its journal is opened when the first small share needs it. A volume without one sends everything
/// straight to the segments: that of the metadata log, and of tools that open one log.
pub struct Volume {
    path: PathBuf,
    settings: Settings,
    chunks: Rc<ChunkPool>,
    space: Space,
    stalls: StallWatch,
    /// Absent where nobody but the log itself is to know where it ends.
    checkpoint: Option<CoreCheckpoint>,
    trash: Rc<Trash>,
    /// The core whose journal it has; absent together with the checkpoint.
    journal_of: Option<u32>,
    /// Opened by the first group.
    journal: RefCell<Option<Journal>>,
    dirty: Rc<DirtyTotal>,
    next_log_id: Cell<u64>,
    /// All logs that are open.
    logs: RefCell<BTreeMap<LogId, Weak<Inner>>>,
    /// What there is to do. The tasks that do it own it, so that it goes with them.
    busy: RefCell<Weak<Busy>>,
    tasks: Group,
    /// Bytes of groups since the last checkpoint began.
    journaled_bytes: Cell<u64>,
    journal_counts: JournalCounts,
    /// Why all logs are offline.
    failed: RefCell<Option<StorageError>>,
    failure_listener: RefCell<Option<FailureListener>>,
}

type FailureListener = Rc<dyn Fn(&StorageError)>;

/// A log of a volume, in the order in which they were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogId(u64);

impl Volume {
    /// A volume without a journal, whose logs are in no checkpoint. `chunks` is the core's, for all its
    /// directories.
    pub fn new(path: &Path, settings: Settings, chunks: Rc<ChunkPool>) -> Rc<Volume> {
        Self::make(path, settings, chunks, None)
    }

    /// The part of the log directory `path` that the core `core` has, with its journal and its
    /// checkpoint; no other volume has that number there. What journals hold from before has been
    /// replayed.
    pub fn of_core(
        path: &Path,
        core: u32,
        settings: Settings,
        chunks: Rc<ChunkPool>,
    ) -> Rc<Volume> {
        Self::make(path, settings, chunks, Some(core))
    }

    fn make(
        path: &Path,
        settings: Settings,
        chunks: Rc<ChunkPool>,
        journal_of: Option<u32>,
    ) -> Rc<Volume> {
        Rc::new(Volume {
            space: Space::new(path, &settings),
            stalls: StallWatch::default(),
            path: path.to_owned(),
            dirty: DirtyTotal::new(settings.dirty_size_bytes_max),
            settings,
            chunks,
            checkpoint: journal_of.map(|core| CoreCheckpoint::new(path, core)),
            trash: Trash::new(),
            journal_of,
            journal: RefCell::default(),
            next_log_id: Cell::new(0),
            logs: RefCell::default(),
            busy: RefCell::default(),
            tasks: Group::new(),
            journaled_bytes: Cell::new(0),
            journal_counts: JournalCounts::default(),
            failed: RefCell::default(),
            failure_listener: RefCell::default(),
        })
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
                // Nobody wants it any more.
                Err(_) if log.is_deleted() => {}
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

    /// Bytes of all logs that no file has yet.
    pub fn dirty_size_bytes(&self) -> u64 {
        self.dirty.size_bytes()
    }

    /// What its journal has taken since the start.
    pub fn journal_use(&self) -> JournalUse {
        let size_bytes = self.journal.borrow().as_ref().map_or(0, Journal::size_bytes);
        self.journal_counts.so_far(size_bytes)
    }

    /// Ends what goes on in the background, and empties the journal, for a clean stop. All of its logs are closed,
    /// so that segments hold all that the journal does. Errors: the volume has failed, and its journal
    /// stays as it is.
    pub async fn close(&self) -> Result<(), StorageError> {
        self.trash.close();
        self.end_busy();
        self.tasks.ended().await;
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let journal = self.journal.borrow_mut().take();
        match journal {
            Some(journal) => journal.clear().await,
            None => Ok(()),
        }
    }

    pub(crate) fn next_log_id(&self) -> LogId {
        let id = self.next_log_id.get();
        self.next_log_id.set(id + 1);
        LogId(id)
    }

    /// Counts a log in, which has just been opened. Where all others have gone offline meanwhile, it does.
    pub(crate) fn add(&self, log: &Rc<Inner>) {
        self.logs.borrow_mut().insert(log.id, Rc::downgrade(log));
        if let Some(error) = self.failure() {
            log.poison(error);
        }
    }

    /// Forgets a log that is gone.
    pub(crate) fn remove(&self, id: LogId) {
        self.logs.borrow_mut().remove(&id);
    }

    pub(crate) fn dirty_bytes(&self) -> DirtyBytes {
        DirtyBytes::new(&self.dirty)
    }

    /// `None` while more may be appended; else what to wait for before looking again.
    pub(crate) fn room(&self) -> Option<impl Future<Output = ()> + 'static + use<>> {
        if !self.dirty.is_full() {
            if self.chunks.has_room() {
                return None;
            }
            reactor::mark!(append_waits_for_chunks);
        }
        let busy = self.busy.borrow().upgrade();
        if let Some(busy) = busy {
            busy.upkeep.notify_all();
        }
        Some(or(self.dirty.fell(), self.chunks.room_changed()))
    }

    /// Time to write something out: before an append has to wait.
    fn is_crowded(&self) -> bool {
        self.dirty.is_half_full() || self.chunks.is_crowded()
    }

    /// A write or flush of `log` failed. What the segments lack must not leave the journal, so that
    /// with one log all others that share the journal go offline; without a journal it is alone.
    pub(crate) fn log_failed(&self, log: &Inner, error: StorageError) {
        match self.journal_of {
            Some(_) => self.fail(error),
            None => log.poison(error),
        }
    }

    /// `listener` is called once, with why, in the turn in which the volume fails.
    pub fn on_failure(&self, listener: impl Fn(&StorageError) + 'static) {
        *self.failure_listener.borrow_mut() = Some(Rc::new(listener));
    }

    /// Takes all logs offline: no retry, no acknowledgement. To be called by the owner too, when the
    /// directory has failed under another core.
    pub fn fail(&self, error: StorageError) {
        if self.failed.borrow().is_some() {
            return;
        }
        *self.failed.borrow_mut() = Some(error.clone());
        let listener = self.failure_listener.borrow().clone();
        if let Some(listener) = listener {
            listener(&error);
        }
        let logs: Vec<_> = self.logs.borrow().values().filter_map(Weak::upgrade).collect();
        for log in logs {
            log.poison(error.clone());
        }
        self.end_busy();
    }

    fn end_busy(&self) {
        let busy = self.busy.borrow().upgrade();
        if let Some(busy) = busy {
            busy.end();
        }
    }

    /// Why all logs are offline, if they are.
    pub fn failure(&self) -> Option<StorageError> {
        self.failed.borrow().clone()
    }

    pub(crate) fn stalls(&self) -> &StallWatch {
        &self.stalls
    }

    /// What may be taken of the directory's disk.
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }
}
