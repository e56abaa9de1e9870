//! The segments' writer: one task per log at most, while something is due, does one thing after the
//! other: write, flush, next segment. So two writes to one block never meet, and no segment is begun
//! before the one before it is flushed.

use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use protocol::model::Offset;
use reactor::file::{File, Open};

use super::progress::{Due, Progress};
use super::state::{Inner, Phase, State};
use crate::chunk::{Cursor, PendingWrites};
use crate::error::StorageError;
use crate::index::{AbortedTransaction, transaction_index};
use crate::segment::{FileKind, Indexes, path_of};

/// What the writer does next.
enum Step {
    /// The leader epochs, before the recovery point passes records of a new one.
    WriteEpochs {
        text: String,
    },
    /// The file of a segment, made where a roll has begun it.
    OpenSegment {
        base_offset: Offset,
        on_disk: bool,
    },
    Write {
        segment: Offset,
        file: File,
        pending: PendingWrites,
    },
    Flush {
        segment: Offset,
        file: File,
    },
    /// On to the next segment, while the files of this one are completed.
    Advance {
        rolled: Offset,
        next: Offset,
    },
}

impl Inner {
    /// Has the writer do what is due: started where there is none.
    pub(crate) fn wake_writer(self: &Rc<Self>) {
        if !self.writer_runs.get() && self.next_step().is_some() {
            self.writer_runs.set(true);
            let writer = self.clone();
            self.tasks.spawn(async move { writer.run_writer().await });
        }
    }

    async fn run_writer(self: Rc<Self>) {
        // In one turn with the look that finds nothing to do: what is due later starts another.
        while let Some(step) = self.next_step() {
            if let Err(error) = self.execute(step).await {
                if error.is_full() && !self.is_deleted() {
                    // Nothing is lost: the same step again, once there are blocks.
                    self.volume.space().make_room().await;
                    continue;
                }
                self.volume.log_failed(&self, error);
                break;
            }
        }
        self.writer_runs.set(false);
    }

    fn next_step(&self) -> Option<Step> {
        let state = self.state.borrow();
        match state.phase {
            Phase::Open | Phase::Closed => state.next_step(),
            Phase::Offline(_) | Phase::Deleted => None,
        }
    }

    async fn execute(self: &Rc<Self>, step: Step) -> Result<(), StorageError> {
        match step {
            Step::WriteEpochs { text } => self.write_epochs(text).await,
            Step::OpenSegment { base_offset, on_disk } => {
                self.open_segment(base_offset, on_disk).await
            }
            Step::Write { segment, file, pending } => self.write(segment, file, pending).await,
            Step::Flush { segment, file } => self.flush_segment(segment, file).await,
            Step::Advance { rolled, next } => {
                self.advance(rolled, next);
                Ok(())
            }
        }
    }

    async fn write_epochs(&self, text: String) -> Result<(), StorageError> {
        write_leader_epochs(&self.directory, &text).await?;
        {
            let mut state = self.state.borrow_mut();
            state.epochs_changed = state.epochs.encode() != text;
            state.epochs_due &= state.epochs_changed;
        }
        self.progressed.notify_all();
        Ok(())
    }

    /// On return the segment has an open file whose name is durable.
    pub(super) async fn open_segment(
        &self,
        base_offset: Offset,
        on_disk: bool,
    ) -> Result<(), StorageError> {
        let path = path_of(&self.directory, FileKind::Log, base_offset);
        let how = if on_disk { Open::Existing } else { Open::OrCreate };
        let file = File::open(&path, how).await.map_err(StorageError::io("open", &path))?;
        if !on_disk && !reactor::planted!(roll_without_directory_flush) {
            reactor::directory::sync(&self.directory)
                .await
                .map_err(StorageError::io("flush", &self.directory))?;
        }
        if let Some(segment) = self.state.borrow_mut().segments.get_mut(&base_offset) {
            segment.on_disk = true;
            segment.file.get_or_insert(file);
        }
        self.room_changed.notify_all();
        Ok(())
    }

    async fn write(
        self: &Rc<Self>,
        segment: Offset,
        file: File,
        pending: PendingWrites,
    ) -> Result<(), StorageError> {
        let path = path_of(&self.directory, FileKind::Log, segment);
        self.allocate_for_write(segment, &file, u64::from(pending.end)).await?;
        let watched = self.volume.stalls().watch("write", &path);
        write_all(&file, pending.writes).await.map_err(StorageError::io("write", &path))?;
        drop(watched);
        let end = Cursor { segment, position: pending.end, offset: pending.next_offset };
        self.progress(|state| {
            let durability = state.config.durability;
            let written = state.progress.wrote(end, durability);
            state.dirty.subtract(written);
            state.tail.trim(state.progress.clean_end());
        });
        Ok(())
    }

    async fn flush_segment(
        self: &Rc<Self>,
        segment: Offset,
        file: File,
    ) -> Result<(), StorageError> {
        let written = self.state.borrow().progress.written();
        let path = path_of(&self.directory, FileKind::Log, segment);
        let watched = self.volume.stalls().watch("flush", &path);
        file.flush().await.map_err(StorageError::io("flush", &path))?;
        drop(watched);
        self.progress(|state| state.progress.flushed_to(written));
        Ok(())
    }

    /// Changes how far the log's bytes have come; whoever waits for that hears of it in this turn.
    pub(super) fn progress(self: &Rc<Self>, change: impl FnOnce(&mut State)) {
        let (before, after) = {
            let mut state = self.state.borrow_mut();
            if !matches!(state.phase, Phase::Open | Phase::Closed) {
                return;
            }
            let before = state.progress.acknowledgeable();
            change(&mut state);
            state.check_invariants();
            (before, state.progress.acknowledgeable())
        };
        assert!(before <= after, "INV-9: acknowledgeable {after} after {before}");
        self.progressed.notify_all();
        if before < after {
            self.tell_listener(Ok(after));
            // What gathered behind a bypass.
            self.submit();
        }
    }

    fn advance(self: &Rc<Self>, rolled: Offset, next: Offset) {
        let mut state = self.state.borrow_mut();
        state.progress.advance(next);
        if let Some(unsealed) = state.unsealed.get_mut(&rolled) {
            unsealed.sealing = true;
        }
        let log = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = log.seal(rolled).await {
                log.volume.log_failed(&log, error);
            }
        });
    }

    /// Completes the files of a rolled segment that is durable: cut to its exact size, indexes and
    /// producer snapshot written. Appends and flushes of the next segment go on meanwhile.
    async fn seal(&self, base_offset: Offset) -> Result<(), StorageError> {
        let Some(parts) = self.parts_to_seal(base_offset) else {
            return Ok(());
        };
        let directory = &self.directory;
        let path = path_of(directory, FileKind::Log, base_offset);
        let file = match parts.file {
            Some(file) => file,
            // All of it was there when the log was opened; nothing was written since.
            None => {
                File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?
            }
        };
        self.room_is_made().await;
        cut_to_size(&file, parts.size_bytes, &path).await?;
        for (kind, offset, bytes) in [
            (FileKind::OffsetIndex, base_offset, &parts.offset_index),
            (FileKind::TimeIndex, base_offset, &parts.time_index),
            (FileKind::ProducerSnapshot, parts.next_offset, &parts.snapshot),
        ] {
            self.write_essential(&path_of(directory, kind, offset), bytes).await?;
        }
        if !parts.aborted.is_empty() {
            let path = path_of(directory, FileKind::TransactionIndex, base_offset);
            write_atomic(&path, &transaction_index::encode(&parts.aborted)).await?;
        }
        let mut state = self.state.borrow_mut();
        state.unsealed.remove(&base_offset);
        state.snapshot_offset = state.snapshot_offset.max(Some(parts.next_offset));
        if let Some(segment) = state.segments.get_mut(&base_offset) {
            segment.indexes = Indexes::Written(None);
            segment.file = None;
            segment.completion = None;
        }
        drop(state);
        // The recovery point may have moved.
        self.progressed.notify_all();
        Ok(())
    }

    fn parts_to_seal(&self, base_offset: Offset) -> Option<SegmentParts> {
        let mut state = self.state.borrow_mut();
        let snapshot = std::mem::take(&mut state.unsealed.get_mut(&base_offset)?.snapshot);
        let segment = state.segments.get_mut(&base_offset)?;
        let Indexes::Growing(indexes) = &mut segment.indexes else {
            return None;
        };
        indexes.add_time_entry();
        Some(SegmentParts {
            file: segment.file.clone(),
            size_bytes: segment.size_bytes,
            next_offset: segment.next_offset,
            offset_index: indexes.offsets.encode(),
            time_index: indexes.times.encode(),
            aborted: segment.aborted.clone().unwrap_or_default(),
            snapshot,
        })
    }

    /// Replaces a small file, which a log needs to go on: where the disk is full it waits for room.
    pub(super) async fn write_essential(
        &self,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        loop {
            match write_atomic(path, bytes).await {
                Err(error) if error.is_full() && !self.is_deleted() => {
                    self.volume.space().make_room().await;
                }
                done => return done,
            }
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Deleted)
    }

    pub(super) async fn wait_durable(&self, until: Offset) -> Result<(), StorageError> {
        self.wait_for(until, |progress| progress.acknowledgeable()).await
    }

    /// Has the segments hold everything up to `until`, flushed.
    pub(crate) async fn flush_segments(self: &Rc<Self>, until: Offset) -> Result<(), StorageError> {
        self.state.borrow_mut().progress.ask_flush(until);
        self.wake_writer();
        self.wait_for(until, |progress| progress.flushed().offset).await
    }

    pub(super) async fn wait_for(
        &self,
        until: Offset,
        reached: impl Fn(&Progress) -> Offset,
    ) -> Result<(), StorageError> {
        let truncations = self.state.borrow().truncations;
        loop {
            let progressed = {
                let state = self.state.borrow();
                if state.truncations != truncations {
                    return Err(StorageError::Truncated { offset: until });
                }
                if reached(&state.progress) >= until {
                    return Ok(());
                }
                // A clean stop flushes what is there: who waits for that gets it.
                let is_closing = matches!(state.phase, Phase::Closed)
                    && state.progress.flushed().offset < state.log_end_offset();
                if !is_closing {
                    self.check_open(&state)?;
                }
                self.progressed.notified()
            };
            progressed.await;
        }
    }

    /// Waits until no task of the log runs. Nothing may be appended or asked for meanwhile.
    pub(super) async fn quiesce(&self) {
        self.tasks.ended().await;
    }
}

impl State {
    /// Lets go of what only a busy log needs: large chunks to come, and the open file.
    pub(crate) fn rest(&mut self) {
        self.tail.rest();
        self.active_mut().file = None;
    }

    /// A checkpoint waits until the file of leader epochs is written.
    pub(super) fn awaits_epochs(&self) -> bool {
        self.epochs_due && self.epochs_changed
    }

    fn next_step(&self) -> Option<Step> {
        // A cut writes the file itself.
        if self.awaits_epochs() && !self.is_being_cut {
            return Some(Step::WriteEpochs { text: self.epochs.encode() });
        }
        let written = self.progress.written();
        let segment = self.segments.get(&written.segment)?;
        let next = self.segments.range(written.segment.next()..).next().map(|(&next, _)| next);
        let due = self.progress.due(segment.next_offset, next.is_some())?;
        if due == Due::Flush && self.epochs_changed {
            return Some(Step::WriteEpochs { text: self.epochs.encode() });
        }
        if due == Due::Advance {
            return next.map(|next| Step::Advance { rolled: written.segment, next });
        }
        let Some(file) = segment.file.clone() else {
            let (base_offset, on_disk) = (segment.base_offset, segment.on_disk);
            return Some(Step::OpenSegment { base_offset, on_disk });
        };
        if due == Due::Flush {
            return Some(Step::Flush { segment: written.segment, file });
        }
        let (size_bytes, next_offset) = match self.progress.write_end() {
            Some(end) => (end.position, end.offset),
            None => (segment.size_bytes, segment.next_offset),
        };
        let pending =
            self.tail.pending_writes(written.segment, written.position, size_bytes, next_offset);
        Some(Step::Write { segment: written.segment, file, pending })
    }
}

/// What a segment's files are completed with.
struct SegmentParts {
    file: Option<File>,
    size_bytes: u32,
    next_offset: Offset,
    offset_index: Vec<u8>,
    time_index: Vec<u8>,
    aborted: Vec<AbortedTransaction>,
    snapshot: Vec<u8>,
}

/// All `writes` at once: they never touch one block twice.
async fn write_all(file: &File, mut writes: Vec<(Bytes, u64)>) -> std::io::Result<()> {
    let last = writes.pop();
    let others: Vec<_> = writes
        .into_iter()
        .map(|(bytes, position)| {
            let file = file.clone();
            reactor::spawn(async move { file.write_at(bytes, position).await })
        })
        .collect();
    let mut outcome = match last {
        Some((bytes, position)) => file.write_at(bytes, position).await,
        None => Ok(()),
    };
    for other in others {
        // Each is awaited: none may be in flight when the next flush begins.
        outcome = outcome.and(other.await);
    }
    outcome
}

/// Cuts the zeros behind the last batch off, durably: padding, and what was allocated ahead.
pub(super) async fn cut_to_size(
    file: &File,
    size_bytes: u32,
    path: &Path,
) -> Result<(), StorageError> {
    let size_bytes = u64::from(size_bytes);
    if file.size() == size_bytes {
        return Ok(());
    }
    assert!(
        file.size() > size_bytes,
        "{} has {} bytes where its log has {size_bytes}",
        path.display(),
        file.size()
    );
    file.truncate(size_bytes).await.map_err(StorageError::io("truncate", path))?;
    file.flush().await.map_err(StorageError::io("flush", path))
}

pub(super) async fn write_leader_epochs(directory: &Path, text: &str) -> Result<(), StorageError> {
    write_atomic(&directory.join("leader-epoch-checkpoint"), text.as_bytes()).await
}

pub(super) async fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    reactor::directory::write_atomic(path, bytes).await.map_err(StorageError::io("write", path))
}
