//! How far growing indexes have reached their files. A checkpoint appends to the files rather than
//! writing them whole; what is not in them yet is in the checkpoint.

use protocol::model::{Offset, TimestampMs};
use reactor::buffer::{ALIGNMENT, AlignedBuffer};

use super::SegmentIndexes;
use super::offset_index::{self, OffsetIndex};
use super::time_index::{self, TimeIndex};
use crate::checkpoint::{IndexExtent, SegmentCheckpoint};

/// The front of an index that its file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenPart {
    size_bytes: usize,
    crc: u32,
}

/// What the files of a segment's indexes hold of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenIndexes {
    pub(crate) offsets: WrittenPart,
    pub(crate) times: WrittenPart,
}

/// A write that brings an index file up to its index: whole blocks, the last one padded with zeros.
pub(crate) struct IndexWrite {
    pub(crate) position: u64,
    pub(crate) blocks: AlignedBuffer,
    /// What the file holds once it is done.
    pub(crate) written: WrittenPart,
}

impl SegmentIndexes {
    /// Bytes of both indexes that are not in their files.
    pub(crate) fn unwritten_size_bytes(&self, written: WrittenIndexes) -> usize {
        self.offsets.len() * offset_index::ENTRY_SIZE_BYTES - written.offsets.size_bytes
            + self.times.len() * time_index::ENTRY_SIZE_BYTES
            - written.times.size_bytes
    }

    /// That the files hold both indexes whole.
    pub(crate) fn all_written(&self) -> WrittenIndexes {
        let part =
            |bytes: Vec<u8>| WrittenPart { size_bytes: bytes.len(), crc: crc32c::crc32c(&bytes) };
        WrittenIndexes { offsets: part(self.offsets.encode()), times: part(self.times.encode()) }
    }

    /// The writes that bring the offset and the time index up to date in their files.
    pub(crate) fn writes(&self, written: WrittenIndexes) -> (IndexWrite, IndexWrite) {
        let offsets = |first| self.offsets.encode_from(first);
        let times = |first| self.times.encode_from(first);
        (
            index_write(written.offsets, offset_index::ENTRY_SIZE_BYTES, offsets),
            index_write(written.times, time_index::ENTRY_SIZE_BYTES, times),
        )
    }

    /// Both indexes as a checkpoint keeps them.
    pub(crate) fn extents(&self, written: WrittenIndexes) -> (IndexExtent, IndexExtent) {
        let extent = |part: WrittenPart, rest| IndexExtent {
            file_size_bytes: part.size_bytes as u32,
            file_crc: part.crc,
            rest,
        };
        let first_offset = written.offsets.size_bytes / offset_index::ENTRY_SIZE_BYTES;
        let first_time = written.times.size_bytes / time_index::ENTRY_SIZE_BYTES;
        (
            extent(written.offsets, self.offsets.encode_from(first_offset)),
            extent(written.times, self.times.encode_from(first_time)),
        )
    }

    /// The indexes as they were at a checkpoint, from the bytes of their files and from it. `None`
    /// where the files are not what they were.
    pub(crate) fn restore(
        checkpoint: &SegmentCheckpoint,
        offsets: &[u8],
        times: &[u8],
    ) -> Option<(SegmentIndexes, WrittenIndexes)> {
        let base_offset = Offset(checkpoint.base_offset);
        let size_bytes = u64::from(checkpoint.size_bytes);
        let (offsets, offsets_part) = whole(&checkpoint.offset_index, offsets)?;
        let (times, times_part) = whole(&checkpoint.time_index, times)?;
        let max_timestamp = checkpoint.max_timestamp;
        let indexes = SegmentIndexes {
            offsets: OffsetIndex::decode(base_offset, size_bytes, &offsets).ok()?,
            times: TimeIndex::decode(base_offset, &times).ok()?,
            max_timestamp: max_timestamp.map(|(time, offset)| (TimestampMs(time), Offset(offset))),
            bytes_since_entry: checkpoint.bytes_since_entry,
        };
        Some((indexes, WrittenIndexes { offsets: offsets_part, times: times_part }))
    }
}

/// The bytes of an index: the front of its file, then the rest.
fn whole(extent: &IndexExtent, file: &[u8]) -> Option<(Vec<u8>, WrittenPart)> {
    let front = file.get(..extent.file_size_bytes as usize)?;
    let part = WrittenPart { size_bytes: front.len(), crc: extent.file_crc };
    (crc32c::crc32c(front) == part.crc).then(|| ([front, &extent.rest].concat(), part))
}

/// `encode_from` gives the bytes from an entry's number on.
fn index_write(
    written: WrittenPart,
    entry_size_bytes: usize,
    encode_from: impl Fn(usize) -> Vec<u8>,
) -> IndexWrite {
    // The last block is written again: its front is as it was, so that no crash takes it back.
    let position = written.size_bytes / ALIGNMENT * ALIGNMENT;
    let first = position / entry_size_bytes;
    let bytes = encode_from(first);
    // An entry of the time index may lie across two blocks.
    let skipped = position - first * entry_size_bytes;
    let bytes = bytes.get(skipped..).unwrap_or_default();
    let mut blocks = AlignedBuffer::zeroed(bytes.len().next_multiple_of(ALIGNMENT));
    blocks[..bytes.len()].copy_from_slice(bytes);
    let new = bytes.get(written.size_bytes - position..).unwrap_or_default();
    let written = WrittenPart {
        size_bytes: position + bytes.len(),
        crc: crc32c::crc32c_append(written.crc, new),
    };
    IndexWrite { position: position as u64, blocks, written }
}

#[cfg(test)]
mod tests {
    use super::super::IndexedBatch;
    use super::*;

    /// Indexes of `count` batches of 5,000 bytes, an entry each but the first.
    fn grow(indexes: &mut SegmentIndexes, range: std::ops::Range<u32>) {
        for batch in range {
            let batch = IndexedBatch {
                last_offset: Offset(i64::from(batch)),
                max_timestamp: TimestampMs(1000 + i64::from(batch)),
                position: batch * 5000,
                size_bytes: 5000,
            };
            indexes.append(batch, 4096);
        }
    }

    #[test]
    fn files_grow_and_the_rest_is_in_the_checkpoint() {
        let mut indexes = SegmentIndexes::new(Offset(0));
        let mut written = WrittenIndexes::default();
        let mut files = [Vec::new(), Vec::new()];
        let mut end = 0;
        for step in [3, 400, 513, 2, 1500] {
            grow(&mut indexes, end..end + step);
            end += step;
            let (offsets, times) = indexes.writes(written);
            for (file, write) in files.iter_mut().zip([&offsets, &times]) {
                file.truncate(write.position as usize);
                file.extend_from_slice(&write.blocks);
            }
            written = WrittenIndexes { offsets: offsets.written, times: times.written };
            assert_eq!(indexes.unwritten_size_bytes(written), 0, "after {end}");
            // Some more that stays in the checkpoint.
            grow(&mut indexes, end..end + 7);
            end += 7;
            let (offset_index, time_index) = indexes.extents(written);
            let checkpoint = SegmentCheckpoint {
                base_offset: 0,
                size_bytes: end * 5000,
                first_timestamp: None,
                max_timestamp: Some((999 + i64::from(end), i64::from(end) - 1)),
                bytes_since_entry: 5000,
                offset_index,
                time_index,
                aborted: Vec::new(),
                last_batch: None,
            };
            let restored = SegmentIndexes::restore(&checkpoint, &files[0], &files[1]);
            assert_eq!(restored, Some((indexes.clone(), written)), "after {end}");
            if let Some(byte) = files[1].get_mut(5) {
                *byte ^= 1;
            }
            assert_eq!(SegmentIndexes::restore(&checkpoint, &files[0], &files[1]), None);
            files[1][5] ^= 1;
        }
    }
}
