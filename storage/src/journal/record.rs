//! A record: one partition's share of a group, or a fence. What it says is under a CRC of its own.
//!
//! Kafka's batch CRC covers neither base offset nor leader epoch, so it cannot prove a record. The
//! record's header has a CRC over itself, and in it the CRC of its body: a torn or rotten body is
//! found without knowing what batches look like, and a record with a bad body still tells whose it is.
//! The body's CRC is computed when the bytes are copied, while they are in the cache.

use protocol::model::{LeaderEpoch, Offset, PartitionId, TopicId};

use super::file::FileUse;

/// Bytes of a record before its body.
pub(super) const HEADER_SIZE_BYTES: usize = 136;
/// Records begin at multiples of this within their group; what is between is zero.
pub(super) const RECORD_ALIGNMENT: usize = 8;

const MAGIC: [u8; 4] = *b"MRjr";

/// One partition's batches in a group: what the journal says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub topic_id: TopicId,
    pub partition: PartitionId,
    /// Of the first batch.
    pub base_offset: Offset,
    /// The offset after the last batch.
    pub next_offset: Offset,
    /// Of the last batch.
    pub leader_epoch: LeaderEpoch,
    /// The partition's, when the group was made: replay must find everything below it.
    pub durable_end_offset: Offset,
}

/// What made all earlier records of a partition void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceKind {
    Creation,
    Truncation,
    StartAt,
    Deletion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Batches,
    Fence(FenceKind),
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Kind::Batches => 1,
            Kind::Fence(FenceKind::Creation) => 2,
            Kind::Fence(FenceKind::Truncation) => 3,
            Kind::Fence(FenceKind::StartAt) => 4,
            Kind::Fence(FenceKind::Deletion) => 5,
        }
    }

    fn from_byte(byte: u8) -> Option<Kind> {
        match byte {
            1 => Some(Kind::Batches),
            2 => Some(Kind::Fence(FenceKind::Creation)),
            3 => Some(Kind::Fence(FenceKind::Truncation)),
            4 => Some(Kind::Fence(FenceKind::StartAt)),
            5 => Some(Kind::Fence(FenceKind::Deletion)),
            _ => None,
        }
    }
}

/// Where a record stands: known when its group is written, not when it is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The use of the file that it was written in: one of an earlier use is stale.
    pub(super) file_use: FileUse,
    /// Position of the record in its file: one that a disk has put elsewhere is not taken.
    pub(super) position: u64,
    /// Counts the records of a journal over all of its files. A run begins above the one before.
    pub(super) sequence: u64,
    /// Sequence of the first record of this use of the file.
    pub(super) first_sequence: u64,
    /// Records below stand in files that had been given back when this one was written: whatever a
    /// disk still shows of them is void.
    pub(super) oldest_sequence: u64,
    /// Records below were flushed when this one was written: where one of them is missing, it was lost.
    pub(super) flushed_sequence: u64,
    /// Records of this partition below are void; 0 where none are. It repeats the partition's last
    /// fence, so that no lost fence lets void records in.
    pub(super) fenced_sequence: u64,
    /// Records of its group that follow. After the last one the group is padded.
    pub(super) following_count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) share: Share,
    pub(super) body_size_bytes: u32,
    pub(super) body_crc: u32,
}

impl RecordHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_SIZE_BYTES] {
        let mut fields = FieldsMut { bytes: [0; HEADER_SIZE_BYTES], end: 0 };
        fields.put(&MAGIC);
        fields.put(&[0; 4]); // the CRC's
        for word in [
            self.place.file_use.file_epoch,
            self.place.file_use.use_id,
            self.place.position,
            self.place.sequence,
            self.place.first_sequence,
            self.place.oldest_sequence,
            self.place.flushed_sequence,
            self.place.fenced_sequence,
        ] {
            fields.put(&word.to_be_bytes());
        }
        fields.put(&self.share.topic_id.0);
        fields.put(&self.share.partition.0.to_be_bytes());
        fields.put(&self.share.leader_epoch.0.to_be_bytes());
        for offset in
            [self.share.base_offset, self.share.next_offset, self.share.durable_end_offset]
        {
            fields.put(&offset.0.to_be_bytes());
        }
        for word in [self.body_size_bytes, self.body_crc, self.place.following_count] {
            fields.put(&word.to_be_bytes());
        }
        fields.put(&[self.kind.to_byte(), 0, 0, 0]);
        assert!(fields.end == HEADER_SIZE_BYTES, "a header of {} bytes", fields.end);
        let [_, _, _, _, _, _, _, _, covered @ ..] = &fields.bytes;
        let crc = crc32c::crc32c(covered);
        fields.end = 4;
        fields.put(&crc.to_be_bytes());
        fields.bytes
    }

    /// The header at the start of `bytes`; `None` where no whole one is. It says nothing of the body.
    pub(super) fn decode(bytes: &[u8]) -> Option<RecordHeader> {
        let bytes = bytes.get(..HEADER_SIZE_BYTES)?;
        let mut fields = Fields(bytes);
        if fields.take::<4>()? != MAGIC {
            return None;
        }
        if fields.u32()? != crc32c::crc32c(bytes.get(8..)?) {
            return None;
        }
        let file_use = FileUse { file_epoch: fields.u64()?, use_id: fields.u64()? };
        let [position, sequence, first_sequence] = [fields.u64()?, fields.u64()?, fields.u64()?];
        let [oldest_sequence, flushed_sequence, fenced_sequence] =
            [fields.u64()?, fields.u64()?, fields.u64()?];
        let share = Share {
            topic_id: protocol::model::Uuid(fields.take()?),
            partition: PartitionId(fields.i32()?),
            leader_epoch: LeaderEpoch(fields.i32()?),
            base_offset: fields.offset()?,
            next_offset: fields.offset()?,
            durable_end_offset: fields.offset()?,
        };
        let [body_size_bytes, body_crc, following_count] =
            [fields.u32()?, fields.u32()?, fields.u32()?];
        let [kind, ..] = fields.take::<4>()?;
        let place = Place {
            file_use,
            position,
            sequence,
            first_sequence,
            oldest_sequence,
            flushed_sequence,
            fenced_sequence,
            following_count,
        };
        let kind = Kind::from_byte(kind)?;
        Some(RecordHeader { place, kind, share, body_size_bytes, body_crc })
    }

    /// Bytes from this record's start to the next one's.
    pub(super) fn size_bytes(&self) -> u64 {
        (HEADER_SIZE_BYTES as u64 + u64::from(self.body_size_bytes))
            .next_multiple_of(RECORD_ALIGNMENT as u64)
    }
}

/// Big-endian fields, one after the other.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn offset(&mut self) -> Option<Offset> {
        self.take().map(i64::from_be_bytes).map(Offset)
    }
}

/// The same, written.
struct FieldsMut {
    bytes: [u8; HEADER_SIZE_BYTES],
    end: usize,
}

impl FieldsMut {
    fn put(&mut self, field: &[u8]) {
        let end = self.end + field.len();
        if let Some(bytes) = self.bytes.get_mut(self.end..end) {
            bytes.copy_from_slice(field);
        }
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind) -> RecordHeader {
        RecordHeader {
            place: Place {
                file_use: FileUse { file_epoch: 1, use_id: 2 },
                position: 3,
                sequence: 4,
                first_sequence: 5,
                oldest_sequence: 17,
                flushed_sequence: 6,
                fenced_sequence: 7,
                following_count: 8,
            },
            kind,
            share: Share {
                topic_id: protocol::model::Uuid([9; 16]),
                partition: PartitionId(10),
                base_offset: Offset(11),
                next_offset: Offset(12),
                leader_epoch: LeaderEpoch(13),
                durable_end_offset: Offset(14),
            },
            body_size_bytes: 15,
            body_crc: 16,
        }
    }

    #[test]
    fn every_kind_is_read_back() {
        for kind in [
            Kind::Batches,
            Kind::Fence(FenceKind::Creation),
            Kind::Fence(FenceKind::Truncation),
            Kind::Fence(FenceKind::StartAt),
            Kind::Fence(FenceKind::Deletion),
        ] {
            assert_eq!(RecordHeader::decode(&header(kind).encode()), Some(header(kind)));
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        let bytes = header(Kind::Batches).encode();
        for bit in 0..8 * HEADER_SIZE_BYTES {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&damaged), None, "bit {bit}");
        }
        assert_eq!(RecordHeader::decode(&bytes[..HEADER_SIZE_BYTES - 1]), None);
        assert_eq!(RecordHeader::decode(&[0; HEADER_SIZE_BYTES]), None);
    }

    #[test]
    fn records_begin_at_multiples_of_eight() {
        for (body_size_bytes, want) in [(0, 136), (1, 144), (8, 144), (4000, 4136)] {
            let header = RecordHeader { body_size_bytes, ..header(Kind::Batches) };
            assert_eq!(header.size_bytes(), want, "{body_size_bytes}");
        }
    }
}
