//! One segment in the place of several, whenever a crash comes.
//!
//! ```text
//! 1  the new files, whole and durable, are renamed from .cleaned to .swap      old ones are the log
//! 2  the old ones are renamed to .deleted                                      .swap counts
//! 3  .swap is renamed to nothing, the log durably first                        new ones are the log
//! ```
//!
//! The directory is flushed after each step. A start that finds a `.log.swap` finishes
//! ([`crate::recovery`]), as Kafka's does: what it finds in the range of that is old, so that the new
//! indexes get their names after the log has its own. Readers that have an old file open go on with it;
//! nobody opens one between 1 and 3.

use std::path::Path;
use std::rc::Rc;

use protocol::model::Offset;
use reactor::file::File;

use super::retention::KINDS;
use super::state::{Inner, State};
use crate::compaction::Extent;
use crate::error::StorageError;
use crate::index::{AbortedTransaction, SegmentIndexes};
use crate::segment::{CLEANED, DELETED, FileKind, Indexes, SWAP, Segment, path_of, suffixed};
use crate::trash::Discarded;

/// A segment that is to replace others: durable under `.cleaned` names.
pub(super) struct Replacement {
    /// Those it replaces, one after the other.
    pub(super) segments: Vec<Extent>,
    pub(super) file: File,
    pub(super) size_bytes: u32,
    pub(super) indexes: SegmentIndexes,
    pub(super) aborted: Vec<AbortedTransaction>,
}

impl Replacement {
    /// The files it consists of, the log last: without that the others are nothing.
    pub(super) const KINDS: [FileKind; 4] =
        [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex, FileKind::Log];
}

impl Inner {
    /// Puts `new` in the place of the segments it was made of. Returns false, and changes nothing, where
    /// they are not the log's any more.
    ///
    /// Errors: a failed rename or flush takes the log offline.
    pub(super) async fn replace(self: &Rc<Self>, new: Replacement) -> Result<bool, StorageError> {
        let _files = self.files.take(1).await;
        // Else who rebuilds those of an old segment would write over the new ones.
        let _indexes = self.index_files.take(1).await;
        let (Some(first), Some(last)) = (new.segments.first(), new.segments.last()) else {
            return Ok(false);
        };
        let (start, end) = (first.base_offset, last.next_offset);
        {
            let mut state = self.state.borrow_mut();
            if self.check_open(&state).is_err() || !state.has_segments(&new.segments) {
                return Ok(false);
            }
            state.replaced = Some(start..end);
        }
        let bases: Vec<Offset> = new.segments.iter().map(|it| it.base_offset).collect();
        let replaced = self.swap(new, &bases).await;
        {
            let mut state = self.state.borrow_mut();
            state.replaced = None;
            state.replacements += 1;
            state.let_go_of(start);
        }
        self.progressed.notify_all();
        if let Err(error) = replaced {
            // Which of the files there are is not known any more.
            self.volume.log_failed(self, error.clone());
            return Err(error);
        }
        Ok(true)
    }

    async fn swap(&self, new: Replacement, bases: &[Offset]) -> Result<(), StorageError> {
        let Some(&base_offset) = bases.first() else {
            return Ok(());
        };
        for kind in Replacement::KINDS {
            let path = path_of(&self.directory, kind, base_offset);
            rename(&suffixed(&path, CLEANED), &suffixed(&path, SWAP)).await?;
        }
        self.sync().await?;
        self.state.borrow_mut().put_in_place(new);
        let mut discarded = Vec::new();
        for &old in bases {
            for kind in KINDS {
                // The producers at the start of the first one are still those of its start.
                if kind == FileKind::ProducerSnapshot && old == base_offset {
                    continue;
                }
                let path = path_of(&self.directory, kind, old);
                let deleted = suffixed(&path, DELETED);
                if rename(&path, &deleted).await? {
                    discarded.push(Discarded::File(deleted));
                }
            }
        }
        self.sync().await?;
        for kind in Replacement::KINDS.into_iter().rev() {
            let path = path_of(&self.directory, kind, base_offset);
            rename(&suffixed(&path, SWAP), &path).await?;
            if kind == FileKind::Log {
                self.sync().await?;
            }
        }
        self.sync().await?;
        let delay_ms = self.state.borrow().config.file_delete_delay_ms;
        self.volume.trash().discard(discarded, delay_ms);
        Ok(())
    }

    async fn sync(&self) -> Result<(), StorageError> {
        let synced = reactor::directory::sync(&self.directory).await;
        synced.map_err(StorageError::io("flush", &self.directory))
    }

    /// Waits while the files of the segment that holds `offset` are being replaced.
    pub(super) async fn wait_replaced(&self, offset: Offset) {
        loop {
            let changed = {
                let state = self.state.borrow();
                if !state.replaced.as_ref().is_some_and(|range| range.contains(&offset)) {
                    return;
                }
                self.progressed.notified()
            };
            changed.await;
        }
    }
}

impl State {
    fn has_segments(&self, segments: &[Extent]) -> bool {
        segments.iter().all(|wanted| {
            let known = self.segments.get(&wanted.base_offset);
            known.is_some_and(|known| {
                (known.next_offset, known.size_bytes) == (wanted.next_offset, wanted.size_bytes)
            })
        })
    }

    /// From here on readers are given the new file; those that have an old one go on with it.
    fn put_in_place(&mut self, new: Replacement) {
        let mut created = None;
        for old in &new.segments {
            created = self.segments.remove(&old.base_offset).map(|old| old.created).or(created);
        }
        let (Some(first), Some(last), Some(created)) =
            (new.segments.first(), new.segments.last(), created)
        else {
            return;
        };
        let (start, end) = (first.base_offset, last.next_offset);
        let largest_timestamp = new.indexes.max_timestamp().map(|(largest, _)| largest);
        self.read_ends.retain(|cursor| cursor.segment < start || cursor.segment >= end);
        self.distrusted_indexes.retain(|&segment| segment < start || segment >= end);
        self.tail.forget_below(end);
        let segment = Segment {
            next_offset: end,
            size_bytes: new.size_bytes,
            largest_timestamp: largest_timestamp.filter(|it| it.0 >= 0).or(Some(created)),
            indexes: Indexes::Written(Some(Rc::new(new.indexes))),
            aborted: Some(new.aborted),
            on_disk: true,
            file: Some(new.file),
            ..Segment::new(start, created)
        };
        self.segments.insert(start, segment);
        self.replacements += 1;
    }

    /// Who reads a segment that was put in place opens it from here on: of a log with many they would
    /// all stay open, with their indexes.
    fn let_go_of(&mut self, segment: Offset) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.indexes = Indexes::Written(None);
            segment.file = None;
        }
    }
}

/// Returns whether there was a file to rename.
async fn rename(from: &Path, to: &Path) -> Result<bool, StorageError> {
    match reactor::directory::rename(from, to).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StorageError::io("rename", from)(error)),
    }
}
