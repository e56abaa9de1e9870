//! Room for records: blocks are allocated before a record is accepted, so that what was accepted never
//! meets a full disk on its way to its segment.
//!
//! Most appends find room that was made ahead. A roll begins its segment in memory, where nothing can
//! be allocated yet: its first bytes are promised out of what is free (a grant).

use std::rc::Rc;

use protocol::model::Offset;
use reactor::buffer::ALIGNMENT;
use reactor::file::{File, Open};

use super::state::{Inner, State};
use crate::error::StorageError;
use crate::segment::{FileKind, path_of};
use crate::space::{Extent, Space};

/// What a roll is promised at most. More than that has to wait for the new segment's file.
const GRANT_SIZE_BYTES: u64 = 16 << 20;

const BLOCK: u64 = ALIGNMENT as u64;

/// Whether there is room for an append.
enum Room {
    Enough,
    /// Enough, but not for long.
    Low(Place),
    Short(Place),
    /// The segment has no file yet, and what was promised for it is used up.
    Unmade,
}

/// What an append waits for.
enum Either<M, D> {
    Memory(M),
    Disk(D),
}

/// Where room is to be made, and how much is needed there.
#[derive(Clone, Copy)]
enum Place {
    Segment { base_offset: Offset, end: u64 },
    NextSegment { size_bytes: u64 },
}

impl Inner {
    /// Waits while too much of the core's is in no file, and until `size_bytes` more have room on disk.
    /// Errors: `Full`, at once where the disk is known to be.
    pub(super) async fn ready_for_append(
        self: &Rc<Self>,
        size_bytes: usize,
    ) -> Result<(), StorageError> {
        let space = self.volume.space();
        loop {
            let changed = {
                let state = self.state.borrow();
                self.check_open(&state)?;
                if let Some(has_room) = self.volume.room() {
                    Either::Memory(has_room)
                } else {
                    let room = state.room_for(size_bytes as u64, space);
                    drop(state);
                    match (room, space.refusal()) {
                        (Room::Enough, _) | (Room::Low(_), Some(_)) => return Ok(()),
                        (Room::Low(place), None) => {
                            self.start_making_room(place);
                            return Ok(());
                        }
                        (Room::Short(_) | Room::Unmade, Some(refusal)) => return Err(refusal),
                        (Room::Short(place), None) => self.start_making_room(place),
                        (Room::Unmade, None) => self.write_soon(),
                    }
                    Either::Disk(self.room_changed.notified())
                }
            };
            match changed {
                Either::Memory(changed) => changed.await,
                Either::Disk(changed) => changed.await,
            }
        }
    }

    /// Waits while too much of the core's is in no file.
    pub(super) async fn ready_for_replay(&self) -> Result<(), StorageError> {
        loop {
            self.check_open(&self.state.borrow())?;
            let Some(has_room) = self.volume.room() else { return Ok(()) };
            has_room.await;
        }
    }

    /// Has the writer come to the segment that has no file yet.
    fn write_soon(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let until = state.log_end_offset();
        state.progress.ask_write(until);
        drop(state);
        self.wake_writer();
    }

    /// In a task of the log: who waits may go away, the allocation may not.
    fn start_making_room(self: &Rc<Self>, place: Place) {
        if self.is_making_room.replace(true) {
            return;
        }
        let log = self.clone();
        self.tasks.spawn(async move {
            let made = match place {
                Place::Segment { base_offset, end } => log.allocate_ahead(base_offset, end).await,
                Place::NextSegment { size_bytes } => log.provide_for_roll(size_bytes).await,
            };
            log.is_making_room.set(false);
            match made {
                Ok(()) | Err(StorageError::Full { .. }) => {}
                Err(error) => log.volume.log_failed(&log, error),
            }
            log.room_changed.notify_all();
        });
    }

    async fn allocate_ahead(&self, base_offset: Offset, end: u64) -> Result<(), StorageError> {
        let path = path_of(&self.directory, FileKind::Log, base_offset);
        let known = {
            let state = self.state.borrow();
            state.segments.get(&base_offset).map(|segment| segment.file.clone())
        };
        let file = match known {
            None => return Ok(()),
            Some(Some(file)) => file,
            Some(None) => {
                File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?
            }
        };
        let (start, wanted) = self.extent_of(base_offset, end);
        let extent = Extent { file: &file, path: &path, start, needed: end, wanted };
        // Whether or not an append follows: a clean stop cuts the blocks off again.
        self.state.borrow_mut().touched = true;
        let allocated = self.volume.space().allocate_for_records(extent).await?;
        self.note_allocated(base_offset, allocated, &file);
        Ok(())
    }

    async fn provide_for_roll(&self, size_bytes: u64) -> Result<(), StorageError> {
        let segment_size_bytes = u64::from(self.state.borrow().config.segment_size_bytes);
        let wanted = GRANT_SIZE_BYTES.min(segment_size_bytes).max(size_bytes);
        let grant = self.volume.space().grant(size_bytes, wanted).await?;
        let mut state = self.state.borrow_mut();
        let active = state.active_mut();
        if active.is_unmade() && active.size_bytes == 0 {
            active.grant = Some(grant);
        } else {
            state.next_grant = Some(grant);
        }
        Ok(())
    }

    /// Allocates what a write up to `end` needs and nothing has provided for: a write must not find the
    /// disk full. Errors that say `is_full` change nothing.
    pub(super) async fn allocate_for_write(
        &self,
        base_offset: Offset,
        file: &File,
        end: u64,
    ) -> Result<(), StorageError> {
        let (start, wanted) = self.extent_of(base_offset, end);
        if start >= end {
            return Ok(());
        }
        let path = path_of(&self.directory, FileKind::Log, base_offset);
        let extent = Extent { file, path: &path, start, needed: end, wanted };
        let allocated = self.volume.space().allocate_for_all_else(extent).await?;
        self.note_allocated(base_offset, allocated, file);
        Ok(())
    }

    /// Where the allocated part of a segment that is to reach `end` ends now, and where it should.
    fn extent_of(&self, base_offset: Offset, end: u64) -> (u64, u64) {
        let state = self.state.borrow();
        let segment = state.segments.get(&base_offset);
        let start = segment.map_or(0, |segment| segment.allocated_bytes);
        let bound = u64::from(state.config.segment_size_bytes).next_multiple_of(BLOCK);
        let wanted = end + self.volume.space().step(end);
        (start, wanted.min(bound).max(end).next_multiple_of(BLOCK))
    }

    fn note_allocated(&self, base_offset: Offset, end: u64, file: &File) {
        let completion = self.volume.space().grant_completion(end);
        let mut state = self.state.borrow_mut();
        if let Some(segment) = state.segments.get_mut(&base_offset) {
            segment.completion = Some(completion);
            segment.allocated_bytes = segment.allocated_bytes.max(end);
            segment.file.get_or_insert_with(|| file.clone());
            segment.grant = None;
        }
    }

    /// Waits until nothing is being allocated: what is rolled next is cut to its exact size.
    pub(super) async fn room_is_made(&self) {
        while self.is_making_room.get() {
            self.room_changed.notified().await;
        }
    }
}

impl State {
    fn room_for(&self, size_bytes: u64, space: &Space) -> Room {
        let active = self.active();
        let bound = u64::from(self.config.segment_size_bytes);
        let end = u64::from(active.size_bytes) + size_bytes;
        let rolls = active.size_bytes > 0 && end > bound;
        if rolls {
            let granted = self.next_grant.as_ref().map_or(0, |grant| grant.record_bytes());
            let place = Place::NextSegment { size_bytes };
            return if size_bytes <= granted { Room::Enough } else { Room::Short(place) };
        }
        let granted = active.grant.as_ref().map_or(0, |grant| grant.record_bytes());
        let room = active.allocated_bytes.max(granted);
        let place = Place::Segment { base_offset: active.base_offset, end };
        let ahead = space.step(end) / 4;
        if active.is_unmade() {
            match (end <= room, active.size_bytes) {
                (true, _) => Room::Enough,
                // Rolled by its age: nothing has to be written to it that would make its file.
                (false, 0) => Room::Short(Place::NextSegment { size_bytes }),
                (false, _) => Room::Unmade,
            }
        } else if end > room {
            Room::Short(place)
        } else if end + ahead > room && room < bound {
            Room::Low(place)
        } else if end + ahead > bound && self.next_grant.is_none() {
            Room::Low(Place::NextSegment { size_bytes })
        } else {
            Room::Enough
        }
    }
}
