//! A group: the records that one write and one flush make durable together.

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, PartitionId, TopicId};
use reactor::buffer::{ALIGNMENT, AlignedBuffer};

use super::record::{
    FenceKind, HEADER_SIZE_BYTES, Kind, Place, RECORD_ALIGNMENT, RecordHeader, Share,
};

/// Records that gather in one aligned buffer. Its memory comes from blocks that earlier groups gave
/// back.
pub struct Group {
    buffer: AlignedBuffer,
    filled: usize,
    records: Vec<Gathered>,
}

/// A record in the buffer, whose header is written when its place is known.
struct Gathered {
    start: usize,
    kind: Kind,
    share: Share,
    body_size_bytes: u32,
    body_crc: u32,
}

impl Group {
    /// An empty group with room for `size_bytes`, as [`Group::record_size_bytes`] counts them.
    pub fn with_capacity(size_bytes: usize) -> Self {
        let size_bytes = size_bytes.max(1).next_multiple_of(ALIGNMENT);
        Group { buffer: AlignedBuffer::zeroed(size_bytes), filled: 0, records: Vec::new() }
    }

    /// What a record with `body_size_bytes` of batches takes of a group.
    pub fn record_size_bytes(body_size_bytes: usize) -> usize {
        (HEADER_SIZE_BYTES + body_size_bytes).next_multiple_of(RECORD_ALIGNMENT)
    }

    /// Copies `batches`, which lie one after the other at `share`'s offsets.
    pub fn push(&mut self, share: Share, batches: &[Bytes]) {
        assert!(
            share.durable_end_offset <= share.base_offset,
            "INV-4: {} from {} on, durable up to {}",
            share.partition,
            share.base_offset,
            share.durable_end_offset
        );
        assert!(
            share.base_offset < share.next_offset,
            "empty share {}..{}",
            share.base_offset,
            share.next_offset
        );
        self.gather(Kind::Batches, share, batches);
    }

    /// Makes all earlier records of the partition void once the group is durable. What stays of the
    /// partition is in its flushed segments before. A creation or deletion is done and flushed before
    /// its fence; a truncation or start-at after it, or a crash in between would find records whose
    /// claims the cut log does not meet. Nothing builds on either before both are durable.
    pub fn fence(&mut self, topic_id: TopicId, partition: PartitionId, kind: FenceKind) {
        let share = Share {
            topic_id,
            partition,
            base_offset: Offset::ZERO,
            next_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch(0),
            durable_end_offset: Offset::ZERO,
        };
        self.gather(Kind::Fence(kind), share, &[]);
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes that the group takes in the journal, padding included.
    pub fn size_bytes(&self) -> usize {
        self.filled.next_multiple_of(ALIGNMENT)
    }

    fn gather(&mut self, kind: Kind, share: Share, batches: &[Bytes]) {
        let body: usize = batches.iter().map(Bytes::len).sum();
        let body_size_bytes = u32::try_from(body).expect("a share is smaller than a segment");
        let start = self.filled;
        let end = start + Self::record_size_bytes(body);
        self.reserve(end);
        let mut rest = self.buffer.get_mut(start + HEADER_SIZE_BYTES..end).unwrap_or_default();
        let mut body_crc = 0;
        for bytes in batches {
            let (part, behind) = rest.split_at_mut(bytes.len());
            part.copy_from_slice(bytes);
            body_crc = crc32c::crc32c_append(body_crc, part);
            rest = behind;
        }
        self.records.push(Gathered { start, kind, share, body_size_bytes, body_crc });
        self.filled = end;
    }

    fn reserve(&mut self, size_bytes: usize) {
        if size_bytes <= self.buffer.len() {
            return;
        }
        let grown = size_bytes.max(2 * self.buffer.len()).next_multiple_of(ALIGNMENT);
        let mut buffer = AlignedBuffer::zeroed(grown);
        if let Some(to) = buffer.get_mut(..self.filled) {
            to.copy_from_slice(self.buffer.get(..self.filled).unwrap_or_default());
        }
        self.buffer = buffer;
    }

    /// Writes the headers, each with the place that `place` gives the record at that position from
    /// the group's start, and hands the padded bytes over.
    pub(super) fn seal(mut self, mut place: impl FnMut(u64, Kind, &Share) -> Place) -> Bytes {
        let size_bytes = self.size_bytes();
        let count = self.records.len();
        for (index, record) in self.records.iter().enumerate() {
            let mut place = place(record.start as u64, record.kind, &record.share);
            place.following_count = (count - index - 1) as u32;
            let header = RecordHeader {
                place,
                kind: record.kind,
                share: record.share,
                body_size_bytes: record.body_size_bytes,
                body_crc: record.body_crc,
            };
            let range = record.start..record.start + HEADER_SIZE_BYTES;
            if let Some(bytes) = self.buffer.get_mut(range) {
                bytes.copy_from_slice(&header.encode());
            }
        }
        self.buffer.into_bytes().slice(..size_bytes)
    }
}
