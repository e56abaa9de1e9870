//! Reading: from chunks where they hold it, else from the segment's file by way of its index.

use std::rc::Rc;

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::{BatchError, BatchHeader, HEADER_SIZE_BYTES, verify_crc};
use reactor::buffer::ALIGNMENT;
use reactor::file::{File, Open};

use super::ReadResult;
use super::state::{Inner, State};
use crate::chunk::Cursor;
use crate::error::{ReadError, StorageError};
use crate::index::SegmentIndexes;
use crate::recovery::{read_indexes, rebuild_indexes};
use crate::segment::{FileKind, Indexes, Segment, Selection, Stop, path_of, select};

/// Bytes that one read takes from disk beyond its first batch: enough for the disk's full speed, and
/// a bound for what a fetch of unlimited size makes us hold.
const DISK_READ_SIZE_BYTES_MAX: usize = 1 << 20;

/// What a buffer is larger than what it is read for, since files are read in whole blocks.
const UNALIGNED_SIZE_BYTES: usize = 2 * ALIGNMENT;

/// Rolled segments whose indexes and files are kept open: a catch-up reader uses one at a time. An
/// index of a segment of 1 GiB takes up to 6 MiB.
const OPEN_SEGMENT_COUNT_MAX: usize = 2;

/// Readers whose last position is remembered: an index entry only leads to a batch before the one
/// wanted, and a reader that goes on from where it stopped need not read that again.
const READ_END_COUNT_MAX: usize = 4;

/// Where the next piece of a read comes from.
enum Source {
    Memory(ReadResult),
    Disk(DiskRange),
    /// The segment must be made readable first.
    Unopened(Offset),
    Nothing,
}

struct DiskRange {
    file: File,
    segment: Offset,
    position: u64,
    /// By the index, the batch that begins there ends with this offset.
    named: Option<Offset>,
    /// Where the bytes that are on disk end, or memory begins.
    limit: u64,
    /// The next segment, or where memory begins: to go on where this range holds no batch wanted.
    behind: Offset,
}

impl Inner {
    /// What memory has of it; `None` where a file must be read.
    pub(super) fn read_memory(&self, wanted: Selection) -> Result<Option<ReadResult>, ReadError> {
        let state = self.state.borrow();
        self.check_open(&state)?;
        Ok(match self.source(&state, wanted)? {
            Source::Nothing => Some(ReadResult { next_offset: wanted.from, ..Default::default() }),
            Source::Memory(read) => Some(read),
            Source::Unopened(_) | Source::Disk(_) => None,
        })
    }

    /// Reads from memory, or from a file into at most `buffer_size_bytes_max`. A disk that cannot be
    /// read takes its directory offline, as in Kafka; a batch that is wrong does not: what lies before
    /// and behind it can be read.
    pub(super) async fn read(
        &self,
        wanted: Selection,
        buffer_size_bytes_max: usize,
    ) -> Result<ReadResult, ReadError> {
        let read = self.read_batches(wanted, buffer_size_bytes_max).await;
        if let Err(ReadError::Storage(error)) = &read
            && error.is_disk_failure()
        {
            reactor::mark!(read_failed);
            self.volume.log_failed(self, error.clone());
        }
        read
    }

    async fn read_batches(
        &self,
        mut wanted: Selection,
        buffer_size_bytes_max: usize,
    ) -> Result<ReadResult, ReadError> {
        let nothing = ReadResult { next_offset: wanted.from, ..ReadResult::default() };
        loop {
            let (source, truncations, replacements) = {
                let state = self.state.borrow();
                self.check_open(&state)?;
                (self.source(&state, wanted)?, state.truncations, state.replacements)
            };
            match source {
                Source::Nothing => return Ok(nothing),
                Source::Memory(read) => return Ok(read),
                Source::Unopened(segment) => self.open_for_read(segment, truncations).await?,
                Source::Disk(range) => {
                    let (behind, segment) = (range.behind, range.segment);
                    let read = self.read_from_disk(range, wanted, buffer_size_bytes_max).await;
                    if self.state.borrow().truncations != truncations {
                        continue;
                    }
                    match read? {
                        DiskRead::Batches { read, end } => {
                            // Else it is a position in a file that another has replaced.
                            let mut state = self.state.borrow_mut();
                            if state.replacements == replacements {
                                state.remember_read_end(end);
                            }
                            return Ok(read);
                        }
                        DiskRead::Bound => return Ok(nothing),
                        DiskRead::TooLarge { size_bytes } => {
                            return Err(ReadError::BufferTooSmall { size_bytes });
                        }
                        // Compaction has taken what was there: on behind it.
                        DiskRead::NoneLeft => wanted.from = wanted.from.max(behind),
                        DiskRead::Misled(entry) => {
                            self.mend_index(segment, entry, truncations).await?;
                        }
                    }
                }
            }
        }
    }

    fn source(&self, state: &State, wanted: Selection) -> Result<Source, ReadError> {
        let (start, end) = (state.log_start_offset, state.log_end_offset());
        if wanted.from < start || wanted.from > end {
            return Err(ReadError::OffsetOutOfRange {
                requested: wanted.from,
                log_start_offset: start,
                log_end_offset: end,
            });
        }
        if wanted.from >= wanted.upper_bound || wanted.from == end {
            return Ok(Source::Nothing);
        }
        let Some((&base_offset, segment)) = state.segments.range(..=wanted.from).next_back() else {
            return Ok(Source::Nothing);
        };
        let is_believed = !state.distrusted_indexes.contains(&base_offset);
        let indexes = segment.loaded_indexes();
        let entry = indexes.map(|indexes| {
            let entry = indexes.offsets.entry_before(wanted.from);
            entry.filter(|_| is_believed).map_or((None, 0), |(named, at)| (Some(named), at))
        });
        let position = entry.map(|(_, position)| position);
        if let Some(read) = read_memory(state, base_offset, position.unwrap_or(0), wanted) {
            return Ok(Source::Memory(read));
        }
        let (Some((named, position)), Some(file)) = (entry, segment.file.clone()) else {
            return Ok(Source::Unopened(base_offset));
        };
        let (limit, behind) = match state.tail.next_held(wanted.from) {
            Some((first_offset, of, position)) if of == base_offset => (position, first_offset),
            Some(_) | None => (segment.size_bytes, segment.next_offset),
        };
        let (named, position) = match state.read_end(base_offset, wanted.from) {
            Some(position) => (None, position),
            None => (named, position),
        };
        let (position, limit) = (u64::from(position), u64::from(limit));
        Ok(Source::Disk(DiskRange { file, segment: base_offset, position, named, limit, behind }))
    }

    /// Has the indexes of a segment in memory.
    pub(super) async fn load_indexes(&self, segment: Offset) -> Result<(), StorageError> {
        let (is_loaded, truncations) = {
            let state = self.state.borrow();
            let segment = state.segments.get(&segment);
            (segment.is_none_or(|it| it.loaded_indexes().is_some()), state.truncations)
        };
        if is_loaded { Ok(()) } else { self.open_for_read(segment, truncations).await }
    }

    /// Opens the file of a segment, and has its indexes in memory.
    async fn open_for_read(&self, segment: Offset, truncations: u64) -> Result<(), StorageError> {
        self.wait_replaced(segment).await;
        let (size_bytes, next_offset, interval_bytes, is_growing, replacements) = {
            let state = self.state.borrow();
            let Some(known) = state.segments.get(&segment) else {
                return Ok(());
            };
            let is_growing = matches!(known.indexes, Indexes::Growing(_));
            let interval_bytes = state.config.index_interval_bytes;
            let (size_bytes, next_offset) = (known.size_bytes, known.next_offset);
            (size_bytes, next_offset, interval_bytes, is_growing, state.replacements)
        };
        let opened = async {
            let path = path_of(&self.directory, FileKind::Log, segment);
            let file =
                File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
            if is_growing {
                return Ok((file, None));
            }
            let extent = (segment, size_bytes, next_offset);
            // Where they are rebuilt, two readers would write the same files.
            let _alone = self.index_files.take(1).await;
            if self.state.borrow().replacements != replacements {
                return Ok((file, None));
            }
            let indexes = read_indexes(&self.directory, &file, extent, interval_bytes).await?;
            Ok((file, Some(indexes)))
        };
        let opened = opened.await;
        if self.state.borrow().replacements != replacements {
            // What was opened may be half of the old and half of the new: the caller looks again.
            return Ok(());
        }
        let (file, indexes) = match opened {
            Ok(opened) => opened,
            // Retention has taken it meanwhile: the caller finds another one, or none.
            Err(_) if !self.state.borrow().segments.contains_key(&segment) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut state = self.state.borrow_mut();
        if state.truncations == truncations {
            state.keep_open(segment, file, indexes);
        }
        Ok(())
    }

    /// Has the indexes of a segment rebuilt, whose entry `misled` has led behind the batch that it names.
    /// Where that is not possible, reads walk the segment from its start.
    async fn mend_index(
        &self,
        segment: Offset,
        misled: (Offset, u32),
        truncations: u64,
    ) -> Result<(), StorageError> {
        let _alone = self.index_files.take(1).await;
        let (known, interval_bytes) = {
            let state = self.state.borrow();
            let known = state.segments.get(&segment);
            let is_mended = known
                .and_then(Segment::loaded_indexes)
                .is_none_or(|indexes| indexes.offsets.entry_before(misled.0) != Some(misled));
            if state.truncations != truncations || is_mended {
                return Ok(());
            }
            let known = known.and_then(|known| match (&known.indexes, &known.file) {
                (Indexes::Written(_), Some(file)) => {
                    Some((file.clone(), (segment, known.size_bytes, known.next_offset)))
                }
                (Indexes::Written(_) | Indexes::Growing(_), _) => None,
            });
            (known, state.config.index_interval_bytes)
        };
        let rebuilt = match known {
            Some((file, extent)) => {
                match rebuild_indexes(&self.directory, &file, extent, interval_bytes).await {
                    Err(error) if error.is_disk_failure() => return Err(error),
                    rebuilt => rebuilt.ok(),
                }
            }
            None => None,
        };
        let mut state = self.state.borrow_mut();
        if state.truncations != truncations {
            return Ok(());
        }
        match (rebuilt, state.segments.get_mut(&segment)) {
            (Some(indexes), Some(known)) => {
                reactor::mark!(index_rebuilt);
                known.indexes = Indexes::Written(Some(Rc::new(indexes)));
            }
            (None, Some(_)) => {
                reactor::mark!(index_distrusted);
                state.distrusted_indexes.insert(segment);
            }
            (_, None) => {}
        }
        Ok(())
    }

    async fn read_from_disk(
        &self,
        range: DiskRange,
        wanted: Selection,
        buffer_size_bytes_max: usize,
    ) -> Result<DiskRead, StorageError> {
        let path = path_of(&self.directory, FileKind::Log, range.segment);
        let mut position = range.position;
        // The walk from the index entry to the batch wanted comes on top of what is wanted.
        let interval = u64::from(self.state.borrow().config.index_interval_bytes);
        let at_most = wanted.size_bytes_max.min(DISK_READ_SIZE_BYTES_MAX) as u64;
        let buffer_size_bytes_max =
            buffer_size_bytes_max.saturating_sub(UNALIGNED_SIZE_BYTES) as u64;
        let mut size_bytes = at_most + interval.min(DISK_READ_SIZE_BYTES_MAX as u64);
        size_bytes = size_bytes.min(buffer_size_bytes_max).max(HEADER_SIZE_BYTES as u64);
        let wanted = Selection {
            size_bytes_max: wanted.size_bytes_max.min(DISK_READ_SIZE_BYTES_MAX),
            ..wanted
        };
        loop {
            let end = position.saturating_add(size_bytes).min(range.limit);
            let bytes = range
                .file
                .read_range(position..end)
                .await
                .map_err(StorageError::io("read", &path))?;
            if let Some(named) = range.named.filter(|_| position == range.position)
                && !leads_to(named, &bytes)
            {
                return Ok(DiskRead::Misled((named, range.position as u32)));
            }
            let corrupt = |at: usize, source| StorageError::CorruptBatch {
                path: path.clone(),
                position: position + at as u64,
                source,
            };
            let selected = select(&bytes, wanted).map_err(|(at, error)| corrupt(at, error))?;
            if selected.base_offset.is_some() {
                let slice = bytes.slice(selected.range.clone());
                let (good_size_bytes, next_offset) =
                    good_batches(&slice).map_err(|error| corrupt(selected.range.start, error))?;
                let slice = slice.slice(..good_size_bytes);
                let end = Cursor {
                    segment: range.segment,
                    position: (position + (selected.range.start + good_size_bytes) as u64) as u32,
                    offset: next_offset,
                };
                let read = ReadResult {
                    pinned_bytes: bytes.len() + UNALIGNED_SIZE_BYTES,
                    size_bytes: slice.len(),
                    slices: vec![slice],
                    base_offset: selected.base_offset,
                    next_offset,
                };
                return Ok(DiskRead::Batches { read, end });
            }
            match selected.stop {
                Stop::AtEnd if position + bytes.len() as u64 >= range.limit => {
                    return Ok(DiskRead::NoneLeft);
                }
                Stop::AtEnd => position += bytes.len() as u64,
                Stop::Bound => return Ok(DiskRead::Bound),
                Stop::Partial { position: at, size_bytes: needed } => {
                    let left = range.limit - position - at as u64;
                    if needed as u64 > left {
                        let error = BatchError::Truncated { needed, available: left as usize };
                        return Err(corrupt(at, error));
                    }
                    let needed = needed as u64;
                    if needed > buffer_size_bytes_max {
                        let size_bytes = needed as usize + UNALIGNED_SIZE_BYTES;
                        return Ok(DiskRead::TooLarge { size_bytes });
                    }
                    position += at as u64;
                    size_bytes = needed.max(at_most).min(buffer_size_bytes_max);
                }
            }
        }
    }
}

fn read_memory(
    state: &State,
    segment: Offset,
    position: u32,
    wanted: Selection,
) -> Option<ReadResult> {
    let read = state
        .tail
        .read(segment, position, wanted)
        .unwrap_or_else(|error| panic!("a batch in memory of segment {segment}: {error}"))?;
    Some(ReadResult {
        slices: read.slices,
        size_bytes: read.size_bytes,
        pinned_bytes: read.pinned_bytes,
        base_offset: read.base_offset,
        next_offset: read.next_offset,
    })
}

enum DiskRead {
    /// Some, and where they end.
    Batches { read: ReadResult, end: Cursor },
    /// The next batch is beyond a bound of the read.
    Bound,
    /// The next batch takes a larger buffer.
    TooLarge { size_bytes: usize },
    /// No batch of the range is at or behind the offset wanted.
    NoneLeft,
    /// This entry of the index, the last offset of a batch and its position, does not lead to it.
    Misled((Offset, u32)),
}

impl State {
    /// Where in `segment` the batch of `offset` begins, if a reader has stopped right there.
    fn read_end(&self, segment: Offset, offset: Offset) -> Option<u32> {
        let is_there = |end: &&Cursor| end.segment == segment && end.offset == offset;
        self.read_ends.iter().find(is_there).map(|end| end.position)
    }

    fn remember_read_end(&mut self, end: Cursor) {
        self.read_ends.retain(|known| *known != end);
        if self.read_ends.len() == READ_END_COUNT_MAX {
            self.read_ends.remove(0);
        }
        self.read_ends.push(end);
    }

    /// Keeps what was opened to read a segment, and lets go of others beyond
    /// [`OPEN_SEGMENT_COUNT_MAX`].
    fn keep_open(&mut self, base_offset: Offset, file: File, indexes: Option<SegmentIndexes>) {
        let Some(segment) = self.segments.get_mut(&base_offset) else {
            return;
        };
        segment.file.get_or_insert(file);
        if let (Indexes::Written(slot), Some(indexes)) = (&mut segment.indexes, indexes) {
            *slot = Some(Rc::new(indexes));
        }
        let mut open_count = 0;
        for (&other, segment) in self.segments.iter_mut().rev() {
            if let Indexes::Written(slot @ Some(_)) = &mut segment.indexes
                && other != base_offset
            {
                open_count += 1;
                if open_count >= OPEN_SEGMENT_COUNT_MAX {
                    *slot = None;
                    segment.file = None;
                }
            }
        }
    }
}

/// Whether a walk from `bytes`, to which an index led for `named`, meets all that is behind `named`. An
/// earlier batch than the one named will do: Apache Kafka before 4.0 indexed several as one.
fn leads_to(named: Offset, bytes: &[u8]) -> bool {
    BatchHeader::parse(bytes).is_ok_and(|header| header.last_offset() <= named)
}

/// How many bytes of whole batches that come from a disk are as they were written, and the offset
/// behind them: what rots there is never served, and what lies before it is. Errors: the first is bad.
fn good_batches(bytes: &Bytes) -> Result<(usize, Offset), BatchError> {
    let (mut position, mut next_offset) = (0, Offset::ZERO);
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        let header = BatchHeader::parse(rest).and_then(|header| {
            let batch = rest.get(..header.size_bytes()).unwrap_or(rest);
            verify_crc(batch).map(|()| header)
        });
        match header {
            Ok(header) => {
                position += header.size_bytes();
                next_offset = header.next_offset();
            }
            Err(error) if position == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok((position, next_offset))
}

/// The bytes of a read as one, for callers that walk them.
pub(super) fn contiguous(slices: &[Bytes], size_bytes: usize) -> Bytes {
    match slices {
        [] => Bytes::new(),
        [one] => one.clone(),
        several => {
            let mut bytes = Vec::with_capacity(size_bytes);
            several.iter().for_each(|slice| bytes.extend_from_slice(slice));
            Bytes::from(bytes)
        }
    }
}
