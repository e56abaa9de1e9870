//! The end of one log in memory: chunks that hold whole batches, and the writes that are due.
//!
//! A chunk begins at an aligned position of its segment, so that its full blocks are written to the
//! file as they are. A batch lies in one chunk; where the next does not fit any more, a new chunk
//! begins with a copy of the last partial block (its lead-in), so that the same holds for it. Chunks
//! whose bytes are all in the file may be evicted by the core's pool at any time; those that are left
//! are a cache, with holes.
//!
//! ```text
//! segment   0 ........ 4096 ........ 8192 ....
//! chunk 1   [ A A A B B B B B|B B ]
//! chunk 2                    [B B C C C C C C ..   lead-in: the end of B
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::BatchError;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};

use super::pool::{ChunkPool, PooledChunk};
use crate::segment::{Selection, Stop, select};
use crate::settings::Settings;
use crate::volume::Volume;

/// Writes of up to this many bytes are gathered into one, which costs a copy (some microseconds)
/// and saves an I/O (some tens of them).
const GATHERED_SIZE_BYTES_MAX: usize = 64 << 10;

/// A read takes a copy of what is less than one part in so many of its chunk: a reader that is slow to
/// take a few bytes would keep all of the chunk from being freed. 32 KiB at most but for chunks made
/// for one batch: some microseconds, less than sending them.
const COPIED_PART: usize = 8;

const BLOCK: u32 = ALIGNMENT as u32;

struct TailChunk {
    segment: Offset,
    /// Where in the segment's file the chunk begins; aligned.
    position: u32,
    /// Bytes at its front that belong to batches of the chunk before, or to the file.
    lead_in: u32,
    base_offset: Offset,
    chunk: Rc<PooledChunk>,
}

impl Drop for TailChunk {
    fn drop(&mut self) {
        self.chunk.let_go();
    }
}

impl TailChunk {
    /// Where the next batch would go.
    fn end(&self) -> u32 {
        self.position + self.chunk.filled() as u32
    }

    fn first_batch(&self) -> u32 {
        self.position + self.lead_in
    }

    /// Bytes to be written; those of a dirty chunk are there (asserted).
    fn share(&self, start: u32, end: u32) -> Bytes {
        self.chunk.share(self.range(start, end)).expect("a dirty chunk is in memory")
    }

    /// Bytes to be read, unless they were evicted.
    fn read(&self, start: u32) -> Option<Bytes> {
        self.chunk.read(self.range(start, self.end()))
    }

    fn range(&self, start: u32, end: u32) -> Range<usize> {
        (start - self.position) as usize..(end - self.position) as usize
    }
}

/// The last, partial block of a log that has no chunk for it.
struct RestingBlock {
    segment: Offset,
    position: u32,
    bytes: Vec<u8>,
}

/// The end of one log in memory.
pub(crate) struct Tail {
    /// In order of offsets, across segments, each beginning where the one before ends. The first
    /// was held when it was looked at last.
    chunks: VecDeque<TailChunk>,
    resting: Option<RestingBlock>,
    next_size_bytes: usize,
    settings: Settings,
    pool: Rc<ChunkPool>,
}

/// Aligned writes to one segment, after which its bytes up to `end` and the records below
/// `next_offset` are in the file.
pub(crate) struct PendingWrites {
    pub(crate) writes: Vec<(Bytes, u64)>,
    pub(crate) end: u32,
    pub(crate) next_offset: Offset,
}

/// A position in a log, between two batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The base offset of the segment.
    pub(crate) segment: Offset,
    pub(crate) position: u32,
    pub(crate) offset: Offset,
}

/// Batches found in memory.
#[derive(Debug, Default)]
pub(crate) struct TailRead {
    pub(crate) slices: Vec<Bytes>,
    pub(crate) size_bytes: usize,
    /// Memory that the slices keep from being freed: all of a chunk for each slice of it.
    pub(crate) pinned_bytes: usize,
    pub(crate) base_offset: Option<Offset>,
    pub(crate) next_offset: Offset,
}

impl Tail {
    /// The end of a log whose last segment ends with `partial_block`, the bytes from the aligned
    /// `position` on.
    pub(crate) fn new(
        volume: &Volume,
        segment: Offset,
        position: u32,
        partial_block: Vec<u8>,
    ) -> Self {
        let settings = volume.settings();
        assert!(settings.chunk_size_bytes_min.is_multiple_of(ALIGNMENT), "{settings:?}");
        assert!(settings.chunk_size_bytes_max.is_multiple_of(ALIGNMENT), "{settings:?}");
        assert!(position.is_multiple_of(BLOCK), "partial block at {position}");
        assert!(partial_block.len() < ALIGNMENT, "partial block of {}", partial_block.len());
        let resting = RestingBlock { segment, position, bytes: partial_block };
        Tail {
            chunks: VecDeque::new(),
            resting: Some(resting),
            next_size_bytes: settings.chunk_size_bytes_min,
            settings: settings.clone(),
            pool: volume.chunks().clone(),
        }
    }

    /// Puts a batch of `size_bytes` behind the last one, at `position` of `segment`, filled by `fill`.
    pub(crate) fn append(
        &mut self,
        segment: Offset,
        position: u32,
        base_offset: Offset,
        size_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) {
        let has_room = self.chunks.back().is_some_and(|last| {
            last.segment == segment
                && last.chunk.is_held()
                && last.chunk.capacity() - last.chunk.filled() >= size_bytes
        });
        if !has_room {
            self.add_chunk(segment, position, base_offset, size_bytes);
        }
        let last = self.chunks.back_mut().expect("a chunk was added");
        assert_eq!(last.end(), position, "batches of segment {segment} leave no gap");
        last.chunk.append_with(size_bytes, fill);
    }

    fn add_chunk(
        &mut self,
        segment: Offset,
        position: u32,
        base_offset: Offset,
        size_bytes: usize,
    ) {
        let aligned = position / BLOCK * BLOCK;
        let lead_in = position - aligned;
        let needed = (lead_in as usize + size_bytes).next_multiple_of(ALIGNMENT);
        let usual = self.next_size_bytes.min(self.pool.chunk_size_bytes_max());
        let chunk = self.pool.chunk(usual.max(needed));
        self.next_size_bytes = (self.next_size_bytes * 2).min(self.settings.chunk_size_bytes_max);
        if lead_in > 0 {
            self.with_last_block(segment, aligned, position, |block| {
                chunk.append_with(block.len(), |bytes| bytes.copy_from_slice(block));
            });
        }
        self.resting = None;
        if let Some(last) = self.chunks.back() {
            last.chunk.set_followed();
        }
        self.forget_evicted();
        let position = aligned;
        self.chunks.push_back(TailChunk { segment, position, lead_in, base_offset, chunk });
    }

    /// Hands the bytes from `start` to `end`, which lie in the last block before the end of the log,
    /// to `take`.
    fn with_last_block(&self, segment: Offset, start: u32, end: u32, take: impl FnOnce(&[u8])) {
        if let Some(last) = self.chunks.back().filter(|last| last.segment == segment) {
            let block = last.chunk.last_block();
            assert_eq!(block.len(), (end - start) as usize, "size of the last block");
            return take(&block);
        }
        let resting = self.resting.as_ref().expect("the last block of a log is in memory");
        assert_eq!((resting.segment, resting.position), (segment, start), "the last block");
        assert_eq!(resting.bytes.len(), (end - start) as usize, "size of the last block");
        take(&resting.bytes);
    }

    /// Drops the front as far as it was evicted, but for the chunk that ends the log.
    fn forget_evicted(&mut self) {
        while self.chunks.len() > 1
            && self.chunks.front().is_some_and(|first| !first.chunk.is_held())
        {
            self.chunks.pop_front();
        }
    }

    /// Lets go of what is held of segments below `segment`, all of which is in their files.
    pub(crate) fn forget_below(&mut self, segment: Offset) {
        while self.chunks.front().is_some_and(|first| first.segment < segment) {
            self.chunks.pop_front();
        }
    }

    /// The writes that bring `segment` from `written` to `size_bytes`, where a batch ends and the next
    /// has `next_offset`, or as far as one write goes.
    pub(crate) fn pending_writes(
        &self,
        segment: Offset,
        written: u32,
        size_bytes: u32,
        next_offset: Offset,
    ) -> PendingWrites {
        let mut start = written / BLOCK * BLOCK;
        let mut pending = PendingWrites { writes: Vec::new(), end: size_bytes, next_offset };
        let mut pending_bytes = 0;
        let wanted = |chunk: &&TailChunk| {
            chunk.segment == segment && chunk.end() > written && chunk.first_batch() < size_bytes
        };
        let mut chunks = self.chunks.iter().filter(wanted).peekable();
        while let Some(chunk) = chunks.next() {
            assert!(chunk.position <= start, "dirty bytes at {start} of {segment} are in memory");
            let end = chunk.end().min(size_bytes);
            // What the next chunk repeats as its lead-in is written from there.
            let full_end = end / BLOCK * BLOCK;
            if full_end > start {
                pending.writes.push((chunk.share(start, full_end), u64::from(start)));
                pending_bytes += (full_end - start) as usize;
                start = full_end;
            }
            let cut_before =
                chunks.peek().filter(|_| pending_bytes >= self.settings.flush_size_bytes_max);
            if let Some(next) = cut_before {
                pending.end = end;
                pending.next_offset = next.base_offset;
            } else if chunks.peek().is_some() {
                continue;
            }
            if end > full_end {
                // The writer goes on in this very block: the disk gets a copy, padded with zeros.
                let mut block = AlignedBuffer::zeroed(ALIGNMENT);
                let bytes = chunk.share(full_end, end);
                block[..bytes.len()].copy_from_slice(&bytes);
                if reactor::planted!(padding_not_zeroed) {
                    let stale = bytes.len().min(ALIGNMENT - bytes.len());
                    block.copy_within(..stale, bytes.len());
                }
                pending.writes.push((block.into_bytes(), u64::from(full_end)));
            }
            break;
        }
        pending.gather();
        pending
    }

    /// The batches from `from` on, in order: slices that lie one after the other in the log.
    pub(crate) fn batches_from(&self, from: Cursor) -> Vec<Bytes> {
        let begins = |chunk: &TailChunk| {
            chunk.segment < from.segment
                || (chunk.segment == from.segment && chunk.end() <= from.position)
        };
        let first = self.chunks.partition_point(begins);
        let chunks = self.chunks.iter().skip(first);
        let slices = chunks.filter(|chunk| chunk.end() > chunk.first_batch()).map(|chunk| {
            let is_first = chunk.segment == from.segment && from.position > chunk.first_batch();
            let start = if is_first { from.position } else { chunk.first_batch() };
            chunk.share(start, chunk.end())
        });
        slices.collect()
    }

    /// All up to `clean_end` is in its files and copied by whoever needs it: chunks below may be evicted from here on.
    pub(crate) fn trim(&mut self, clean_end: Cursor) {
        let is_clean = |chunk: &&TailChunk| {
            chunk.segment < clean_end.segment
                || (chunk.segment == clean_end.segment && chunk.end() <= clean_end.position)
        };
        // Those from the last dirty one back to the first clean one have changed; before it all are.
        let clean = self.chunks.partition_point(|chunk| is_clean(&chunk));
        let changed = self.chunks.iter().take(clean).rev().take_while(|it| it.chunk.is_dirty());
        changed.for_each(|it| it.chunk.set_clean());
        self.forget_evicted();
    }

    /// A log that is all in its files has nothing to do: its next chunk will be a small one.
    pub(crate) fn rest(&mut self) {
        self.next_size_bytes = self.settings.chunk_size_bytes_min;
    }

    /// Lets go of all chunks of a log that takes no appends and no reads any more.
    pub(crate) fn let_go(&mut self) {
        self.chunks.clear();
    }

    /// Takes batches from memory, if it has the one of `wanted.from`. `hint` is a position of a batch
    /// in `segment` at or before it.
    pub(crate) fn read(
        &self,
        segment: Offset,
        hint: u32,
        mut wanted: Selection,
    ) -> Result<Option<TailRead>, BatchError> {
        let mut read = TailRead { next_offset: wanted.from, ..TailRead::default() };
        let Some(first) = self.chunk_of(wanted.from) else {
            return Ok(None);
        };
        for (index, chunk) in self.chunks.iter().enumerate().skip(first) {
            let mut start = chunk.first_batch();
            if index == first && chunk.segment == segment && hint > start && hint < chunk.end() {
                start = hint;
            }
            let Some(bytes) = chunk.read(start) else {
                if index == first {
                    return Ok(None);
                }
                break;
            };
            let selected = select(&bytes, wanted).map_err(|(_, error)| error)?;
            if let Some(base_offset) = selected.base_offset {
                read.base_offset.get_or_insert(base_offset);
                read.size_bytes += selected.range.len();
                read.next_offset = selected.next_offset;
                wanted.size_bytes_max = wanted.size_bytes_max.saturating_sub(selected.range.len());
                wanted.min_one_batch = false;
                wanted.from = selected.next_offset;
                let slice = bytes.slice(selected.range);
                if slice.len() * COPIED_PART < chunk.chunk.capacity() {
                    read.pinned_bytes += slice.len();
                    read.slices.push(Bytes::copy_from_slice(&slice));
                } else {
                    read.pinned_bytes += chunk.chunk.capacity();
                    read.slices.push(slice);
                }
            }
            if selected.stop == Stop::Bound {
                break;
            }
        }
        Ok(Some(read))
    }

    /// The first batch behind `from` that is in memory: its offset, segment and position. `from`
    /// itself is not.
    pub(crate) fn next_held(&self, from: Offset) -> Option<(Offset, Offset, u32)> {
        let first = self.chunk_of(from).unwrap_or(0);
        let next = self.chunks.iter().skip(first).find(|chunk| chunk.chunk.is_held())?;
        Some((next.base_offset, next.segment, next.first_batch()))
    }

    /// Which chunk has the batch of `offset`, or had it; `None` where it lies before all of them.
    fn chunk_of(&self, offset: Offset) -> Option<usize> {
        self.chunks.partition_point(|chunk| chunk.base_offset <= offset).checked_sub(1)
    }
}

impl PendingWrites {
    /// Makes one write of several small ones; they follow each other without a gap.
    fn gather(&mut self) {
        let size_bytes: usize = self.writes.iter().map(|(bytes, _)| bytes.len()).sum();
        if self.writes.len() < 2 || size_bytes > GATHERED_SIZE_BYTES_MAX {
            return;
        }
        let mut gathered = AlignedBuffer::zeroed(size_bytes);
        let mut filled = 0;
        let start = self.writes[0].1;
        for (bytes, position) in self.writes.drain(..) {
            assert_eq!(position, start + filled as u64, "gathered writes leave no gap");
            gathered[filled..filled + bytes.len()].copy_from_slice(&bytes);
            filled += bytes.len();
        }
        self.writes.push((gathered.into_bytes(), start));
    }
}

#[cfg(test)]
mod tests;
