//! Writing behind: one task per busy log writes, flushes, and moves `durable_end_offset`.
//!
//! One flush is in flight at a time; what is appended meanwhile is the next one's group. So two
//! writes to one block never meet. The task ends when its log has been idle for a while; its chunks are
//! clean then, and stay as long as no other log needs their place.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;
use protocol::model::Offset;
use reactor::buffer::ALIGNMENT;
use reactor::file::{File, Open};

use super::state::{Inner, Phase, State};
use crate::chunk::{Cursor, PendingWrites};
use crate::error::StorageError;
use crate::segment::{FileKind, Indexes, path_of};

/// How long a log that is all durable keeps its task and its open file.
const FLUSHER_IDLE: Duration = Duration::from_secs(10);

/// Bytes appended and not durable above which `ready_for_append` waits: two full flushes, one in
/// flight and one gathering.
const DIRTY_SIZE_BYTES_MAX: u64 = 16 << 20;

/// What the flusher does next.
enum Step {
    /// The leader epochs, before records of a new one become durable.
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
    /// On to the next segment, while the files of this one are completed.
    Advance {
        rolled: Offset,
        next: Offset,
    },
}

impl Inner {
    /// Has the flusher look: started where there is none.
    pub(super) fn wake_flusher(self: &Rc<Self>) {
        self.dirty.notify_all();
        if !self.flusher_runs.replace(true) {
            let flusher = self.clone();
            self.tasks.spawn(async move { flusher.run_flusher().await });
        }
    }

    async fn run_flusher(self: Rc<Self>) {
        loop {
            let dirty = self.dirty.notified();
            let step = self.next_step();
            let outcome = match step {
                Some(step) => self.execute(step).await,
                None if self.is_ending() => break,
                None => match reactor::timeout(FLUSHER_IDLE, dirty).await {
                    Ok(()) => Ok(()),
                    Err(_elapsed) => break,
                },
            };
            if let Err(error) = outcome {
                self.poison(error);
                break;
            }
        }
        let mut state = self.state.borrow_mut();
        // In one turn with the look that found nothing to do: an append after this starts another.
        self.flusher_runs.set(false);
        if state.dirty_bytes == 0 {
            state.rest();
        }
    }

    fn is_ending(&self) -> bool {
        self.quiescing.get() || !matches!(self.state.borrow().phase, Phase::Open)
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
            Step::Advance { rolled, next } => {
                self.advance(rolled, next);
                Ok(())
            }
        }
    }

    async fn write_epochs(&self, text: String) -> Result<(), StorageError> {
        write_leader_epochs(&self.directory, &text).await?;
        let mut state = self.state.borrow_mut();
        state.epochs_changed = state.epochs.encode() != text;
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
        if !on_disk {
            reactor::directory::sync(&self.directory)
                .await
                .map_err(StorageError::io("flush", &self.directory))?;
        }
        if let Some(segment) = self.state.borrow_mut().segments.get_mut(&base_offset) {
            segment.on_disk = true;
            segment.file.get_or_insert(file);
        }
        Ok(())
    }

    async fn write(
        &self,
        segment: Offset,
        file: File,
        pending: PendingWrites,
    ) -> Result<(), StorageError> {
        let path = path_of(&self.directory, FileKind::Log, segment);
        write_all(&file, pending.writes).await.map_err(StorageError::io("write", &path))?;
        file.flush().await.map_err(StorageError::io("flush", &path))?;
        let durable = Cursor { segment, position: pending.end, offset: pending.next_offset };
        {
            let mut state = self.state.borrow_mut();
            let written = durable.position - state.durable.position;
            state.dirty_bytes -= u64::from(written);
            state.durable = durable;
            state.tail.trim(durable);
            state.check_invariants();
        }
        self.durable_changed.notify_all();
        self.tell_listener(Ok(durable.offset));
        Ok(())
    }

    fn advance(self: &Rc<Self>, rolled: Offset, next: Offset) {
        let mut state = self.state.borrow_mut();
        state.durable = Cursor { segment: next, position: 0, offset: state.durable.offset };
        if let Some(unsealed) = state.unsealed.get_mut(&rolled) {
            unsealed.sealing = true;
        }
        let log = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = log.seal(rolled).await {
                log.poison(error);
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
        cut_to_size(&file, parts.size_bytes, &path).await?;
        for (kind, offset, bytes) in [
            (FileKind::OffsetIndex, base_offset, &parts.offset_index),
            (FileKind::TimeIndex, base_offset, &parts.time_index),
            (FileKind::ProducerSnapshot, parts.next_offset, &parts.snapshot),
        ] {
            let path = path_of(directory, kind, offset);
            write_atomic(&path, bytes).await?;
        }
        let mut state = self.state.borrow_mut();
        state.unsealed.remove(&base_offset);
        state.snapshot_offset = state.snapshot_offset.max(Some(parts.next_offset));
        if let Some(segment) = state.segments.get_mut(&base_offset) {
            segment.indexes = Indexes::Written(None);
            segment.file = None;
        }
        drop(state);
        // The recovery point may have moved.
        self.durable_changed.notify_all();
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
            snapshot,
        })
    }

    /// Waits while too much is dirty.
    pub(super) async fn ready_for_append(&self) -> Result<(), StorageError> {
        loop {
            let changed = {
                let state = self.state.borrow();
                self.check_open(&state)?;
                let chunks = self.volume.chunks();
                if state.dirty_bytes < DIRTY_SIZE_BYTES_MAX {
                    if chunks.has_room() {
                        return Ok(());
                    }
                    reactor::mark!(append_waits_for_chunks);
                }
                or(chunks.room_changed(), self.durable_changed.notified())
            };
            changed.await;
        }
    }

    pub(super) async fn wait_durable(&self, until: Offset) -> Result<(), StorageError> {
        let truncations = self.state.borrow().truncations;
        loop {
            let changed = {
                let state = self.state.borrow();
                if state.truncations != truncations {
                    return Err(StorageError::Truncated { offset: until });
                }
                if state.durable.offset >= until {
                    return Ok(());
                }
                // A clean stop flushes what is there: who waits for that gets it.
                let is_closing = matches!(state.phase, Phase::Closed) && state.dirty_bytes > 0;
                if !is_closing {
                    self.check_open(&state)?;
                }
                self.durable_changed.notified()
            };
            changed.await;
        }
    }

    /// Waits until all is durable and no task of the log runs. Nothing may be appended meanwhile.
    pub(super) async fn quiesce(self: &Rc<Self>) {
        self.quiescing.set(true);
        self.wake_flusher();
        self.tasks.ended().await;
        self.quiescing.set(false);
    }
}

impl State {
    /// Lets go of what only a busy log needs: large chunks to come, and the open file.
    pub(super) fn rest(&mut self) {
        self.tail.rest();
        self.active_mut().file = None;
    }

    fn next_step(&self) -> Option<Step> {
        let durable = self.durable;
        let segment = self.segments.get(&durable.segment)?;
        if self.epochs_changed {
            return Some(Step::WriteEpochs { text: self.epochs.encode() });
        }
        if segment.size_bytes > durable.position {
            let Some(file) = segment.file.clone() else {
                let (base_offset, on_disk) = (segment.base_offset, segment.on_disk);
                return Some(Step::OpenSegment { base_offset, on_disk });
            };
            let pending = self.tail.pending_writes(
                durable.segment,
                durable.position,
                segment.size_bytes,
                segment.next_offset,
            );
            return Some(Step::Write { segment: durable.segment, file, pending });
        }
        let next = self.segments.range(durable.segment.next()..).next()?;
        Some(Step::Advance { rolled: durable.segment, next: *next.0 })
    }
}

/// What a segment's files are completed with.
struct SegmentParts {
    file: Option<File>,
    size_bytes: u32,
    next_offset: Offset,
    offset_index: Vec<u8>,
    time_index: Vec<u8>,
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

/// Cuts the zeros behind the last batch off, durably.
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
        file.size() < size_bytes + ALIGNMENT as u64,
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
