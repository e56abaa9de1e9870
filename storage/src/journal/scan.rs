//! Reading one core's journal from its oldest file to where it ends.
//!
//! Where it ends is not where the first record is missing: a crash may leave holes in what was never
//! flushed, and a disk may lose what was. Each record says up to which sequence the journal was flushed
//! when it was written (`flushed_sequence`). What is missing below the highest such claim is damage;
//! the first that is missing from there on is the end, and what stands behind it was never promised.
//!
//! A missing record may have been a fence. So a partition's records before it are in doubt, unless a
//! later one of the partition repeats its last fence.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use reactor::buffer::ALIGNMENT;

use super::file::{FileUse, HEADER_BLOCK_SIZE_BYTES, JournalFile};
use super::record::{HEADER_SIZE_BYTES, RecordHeader};
use super::replay::Damage;
use crate::error::StorageError;

/// Bytes of one read.
const WINDOW_SIZE_BYTES: u64 = 1 << 20;
/// Behind a hole of this size nothing is looked for: files are used from their front, and hardly any is
/// used to its end. Twice the largest group, of which one at a time is unflushed; only a disk that has lost
/// that much of what it had flushed is not seen to have done so.
const HOLE_SIZE_BYTES_MAX: u64 = 16 << 20;

/// A record with a whole header, and where it was found.
pub(super) struct Found {
    pub(super) header: RecordHeader,
    /// Index of its file among those that were given to the scan.
    pub(super) file: usize,
    /// Its body is there, every byte of it.
    pub(super) has_body: bool,
    /// That, and no record is missing that may have made it void.
    pub(super) is_sound: bool,
}

/// What a core's journal holds.
#[derive(Default)]
pub(super) struct Scan {
    /// In the order in which they were written.
    pub(super) records: Vec<Found>,
    pub(super) damages: Vec<Damage>,
    holes: Vec<Hole>,
    /// Records below are void: their files were given back.
    oldest_sequence: u64,
    /// Of the next record; `None` before the first.
    expected: Option<u64>,
    /// Everything below was flushed, as some record says.
    flushed_sequence: u64,
}

/// Where records were expected and others stood, or none.
struct Hole {
    path: PathBuf,
    position: u64,
    missing: Range<u64>,
}

impl Scan {
    /// Reads `files`, which are in the order of their epochs. By their headers no record below
    /// `oldest_sequence` counts.
    pub(super) async fn read(
        files: &[(JournalFile, FileUse)],
        oldest_sequence: u64,
    ) -> Result<Scan, StorageError> {
        let mut scan = Scan { oldest_sequence, ..Scan::default() };
        for (index, (file, file_use)) in files.iter().enumerate() {
            scan.read_file(index, file, *file_use).await?;
        }
        scan.settle(files);
        Ok(scan)
    }

    async fn read_file(
        &mut self,
        index: usize,
        file: &JournalFile,
        file_use: FileUse,
    ) -> Result<(), StorageError> {
        let mut window = Window { file, bytes: Bytes::new(), start: 0 };
        let mut position = HEADER_BLOCK_SIZE_BYTES;
        let mut hole = None;
        while position < file.file.size() {
            let header = window.bytes(position, HEADER_SIZE_BYTES as u64).await?;
            let Some(header) = self.accept(&header, file_use, position, file) else {
                let start = *hole.get_or_insert(position);
                if position - start >= HOLE_SIZE_BYTES_MAX {
                    break;
                }
                // A group begins at a block: the next one may have survived.
                position = (position + 1).next_multiple_of(ALIGNMENT as u64);
                continue;
            };
            let body_start = position + HEADER_SIZE_BYTES as u64;
            let body = window.bytes(body_start, u64::from(header.body_size_bytes)).await?;
            let has_body = body.len() == header.body_size_bytes as usize
                && crc32c::crc32c(&body) == header.body_crc;
            let found = Found { header, file: index, has_body, is_sound: has_body };
            self.push(found, hole.take(), file);
            position += header.size_bytes();
            if header.place.following_count == 0 {
                position = position.next_multiple_of(ALIGNMENT as u64);
            }
        }
        Ok(())
    }

    /// The record at `position`, if one of this use of the file stands there.
    fn accept(
        &mut self,
        bytes: &[u8],
        file_use: FileUse,
        position: u64,
        file: &JournalFile,
    ) -> Option<RecordHeader> {
        let header = RecordHeader::decode(bytes)?;
        if reactor::planted!(stale_journal_epoch_accepted) {
            return (header.place.position == position).then_some(header);
        }
        if header.place.file_use != file_use {
            return None;
        }
        let is_behind = self.expected.is_some_and(|expected| header.place.sequence < expected);
        if header.place.position != position || is_behind {
            reactor::mark!(journal_record_misplaced);
            let path = file.path.clone();
            self.damages.push(Damage::Misplaced { path, position });
            return None;
        }
        Some(header)
    }

    fn push(&mut self, found: Found, hole: Option<u64>, file: &JournalFile) {
        let place = found.header.place;
        let expected = self.expected.unwrap_or(place.first_sequence);
        if expected < place.sequence {
            self.holes.push(Hole {
                path: file.path.clone(),
                position: hole.unwrap_or(place.position),
                missing: expected..place.sequence,
            });
        }
        self.expected = Some(place.sequence + 1);
        self.flushed_sequence = self.flushed_sequence.max(place.flushed_sequence);
        self.oldest_sequence = self.oldest_sequence.max(place.oldest_sequence);
        self.records.push(found);
    }

    /// Forgets what is void, tells damage from the end, and cuts there.
    fn settle(&mut self, files: &[(JournalFile, FileUse)]) {
        let (oldest, flushed) = (self.oldest_sequence, self.flushed_sequence);
        if !reactor::planted!(stale_journal_epoch_accepted) {
            self.records.retain(|found| found.header.place.sequence >= oldest);
        }
        let mut end = u64::MAX;
        let mut lost = Vec::new();
        for Hole { path, position, missing } in std::mem::take(&mut self.holes) {
            let missing = missing.start.max(oldest)..missing.end;
            if missing.start < missing.end.min(flushed) {
                let count = missing.end.min(flushed) - missing.start;
                self.damages.push(Damage::RecordsMissing { path, position, count });
                lost.push(missing.start);
            }
            if missing.start < missing.end && missing.end > flushed {
                end = end.min(missing.start.max(flushed));
            }
        }
        for found in self.records.iter().filter(|found| !found.has_body) {
            let place = found.header.place;
            if place.sequence >= flushed {
                end = end.min(place.sequence);
            } else if let Some((file, _)) = files.get(found.file) {
                let (path, position) = (file.path.clone(), place.position);
                self.damages.push(Damage::BodyDamaged { path, position });
            }
        }
        if end < u64::MAX {
            reactor::mark!(journal_tail_cut);
            self.records.retain(|found| found.header.place.sequence < end);
        }
        lost.into_iter().for_each(|sequence| self.doubt(sequence));
    }

    /// The record with `sequence` is missing.
    fn doubt(&mut self, sequence: u64) {
        let partition = |found: &Found| (found.header.share.topic_id, found.header.share.partition);
        let is_before = |found: &Found| found.header.place.sequence < sequence;
        let later: BTreeSet<_> =
            self.records.iter().filter(|found| !is_before(found)).map(partition).collect();
        for found in self.records.iter_mut().filter(|found| is_before(found)) {
            found.is_sound &= later.contains(&partition(found));
        }
    }

    /// The last file of this journal cannot be read: every record may have been made void in it.
    pub(super) fn doubt_all(&mut self) {
        self.doubt(u64::MAX);
    }
}

/// A file read piece by piece, front to back.
struct Window<'a> {
    file: &'a JournalFile,
    bytes: Bytes,
    start: u64,
}

impl Window<'_> {
    /// `size_bytes` from `position`; fewer where the file ends earlier.
    async fn bytes(&mut self, position: u64, size_bytes: u64) -> Result<Bytes, StorageError> {
        let end = (position + size_bytes).min(self.file.file.size());
        let window_end = self.start + self.bytes.len() as u64;
        if position < self.start || end > window_end {
            let read_end = end.max(position + WINDOW_SIZE_BYTES);
            self.bytes = self.file.read(position..read_end).await?;
            self.start = position;
            reactor::poll();
        }
        let available = self.bytes.len() as u64;
        let from = (position - self.start).min(available) as usize;
        let to = (end.max(position) - self.start).min(available) as usize;
        Ok(self.bytes.slice(from..to))
    }
}
