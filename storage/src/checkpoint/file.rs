//! A checkpoint file's bytes: a header, then a frame per entry. All numbers are little-endian.
//!
//! ```text
//! header   8 magic, 4 version, 4 frame count, 4 CRC-32C of the 16 bytes before
//! frame    4 size of the whole frame, 4 CRC-32C of what follows, 8 generation,
//!          16 topic id, 4 partition, then the entry (rkyv)
//! ```
//!
//! Key and generation stand before the entry, so that files are merged without decoding one.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::model::{PartitionId, TopicId, Uuid};

use super::entry::PartitionCheckpoint;

const MAGIC: [u8; 8] = *b"mr-chkpt";
const VERSION: u32 = 4;
const HEADER_SIZE_BYTES: usize = 20;
const FRAME_HEADER_SIZE_BYTES: usize = 36;
/// Of a frame, what its CRC does not cover: its size and the CRC.
const UNCOVERED_SIZE_BYTES: usize = 8;

/// One partition of one incarnation of a topic.
pub(crate) type Key = (TopicId, PartitionId);

/// One entry, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) key: Key,
    pub(crate) generation: u64,
    bytes: Bytes,
}

impl Frame {
    pub(crate) fn encode(entry: &PartitionCheckpoint) -> Frame {
        let payload = rkyv::to_bytes::<rkyv::rancor::Error>(entry)
            .expect("an entry of numbers, text and lists is encoded without fail");
        let size_bytes = FRAME_HEADER_SIZE_BYTES + payload.len();
        let mut bytes = BytesMut::with_capacity(size_bytes);
        bytes.put_u32_le(u32::try_from(size_bytes).expect("an entry is smaller than 4 GiB"));
        bytes.put_u32_le(0);
        bytes.put_u64_le(entry.generation);
        bytes.put_slice(&entry.topic_id);
        bytes.put_i32_le(entry.partition);
        bytes.put_slice(&payload);
        let crc = crc32c::crc32c(&bytes[UNCOVERED_SIZE_BYTES..]);
        bytes[4..UNCOVERED_SIZE_BYTES].copy_from_slice(&crc.to_le_bytes());
        let key = (Uuid(entry.topic_id), PartitionId(entry.partition));
        Frame { key, generation: entry.generation, bytes: bytes.freeze() }
    }

    /// Errors: the payload is no entry, or one that its header contradicts.
    pub(crate) fn decode(&self) -> Result<PartitionCheckpoint, &'static str> {
        let payload = self.bytes.get(FRAME_HEADER_SIZE_BYTES..).unwrap_or_default();
        let entry = rkyv::from_bytes::<PartitionCheckpoint, rkyv::rancor::Error>(payload)
            .map_err(|_| "an entry is not valid")?;
        let key = (Uuid(entry.topic_id), PartitionId(entry.partition));
        match key == self.key && entry.generation == self.generation {
            true => Ok(entry),
            false => Err("an entry is not that of its frame"),
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a whole frame from the front of `bytes`.
    fn split_from(bytes: &mut Bytes) -> Result<Frame, &'static str> {
        let size_bytes = read_u32(bytes, 0).ok_or("a frame is cut short")? as usize;
        if size_bytes < FRAME_HEADER_SIZE_BYTES || size_bytes > bytes.len() {
            return Err("a frame's size is wrong");
        }
        let frame = bytes.split_to(size_bytes);
        let crc = read_u32(&frame, 4);
        if crc != frame.get(UNCOVERED_SIZE_BYTES..).map(crc32c::crc32c) {
            return Err("a frame's CRC is wrong");
        }
        let generation = frame.get(8..).and_then(|rest| rest.first_chunk());
        let topic_id = frame.get(16..).and_then(|rest| rest.first_chunk());
        let partition = read_u32(&frame, 32);
        let (Some(generation), Some(topic_id), Some(partition)) = (generation, topic_id, partition)
        else {
            return Err("a frame is cut short");
        };
        let partition =
            PartitionId::from_wire(partition as i32).ok_or("a partition is negative")?;
        let generation = u64::from_le_bytes(*generation);
        Ok(Frame { key: (Uuid(*topic_id), partition), generation, bytes: frame })
    }
}

fn read_u32(bytes: &[u8], position: usize) -> Option<u32> {
    bytes.get(position..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The bytes of a file of `frames`.
pub(super) fn encode<'a>(frames: impl ExactSizeIterator<Item = &'a Frame> + Clone) -> Vec<u8> {
    let size_bytes: usize = frames.clone().map(Frame::size_bytes).sum();
    let mut bytes = Vec::with_capacity(HEADER_SIZE_BYTES + size_bytes);
    bytes.put_slice(&MAGIC);
    bytes.put_u32_le(VERSION);
    // Partitions of a node are counted in signed 32-bit numbers.
    bytes.put_u32_le(frames.len() as u32);
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u32_le(crc);
    frames.for_each(|frame| bytes.put_slice(&frame.bytes));
    bytes
}

/// The frames of a file up to the first that is damaged, and what is wrong with that one, and where.
pub(super) fn parse(mut bytes: Bytes) -> (Vec<Frame>, Option<(u64, &'static str)>) {
    let size_bytes = bytes.len();
    let count = match parse_header(&bytes) {
        Ok(count) => count,
        Err(reason) => return (Vec::new(), Some((0, reason))),
    };
    let _header = bytes.split_to(HEADER_SIZE_BYTES);
    let mut frames = Vec::new();
    while frames.len() < count {
        let position = (size_bytes - bytes.len()) as u64;
        match Frame::split_from(&mut bytes) {
            Ok(frame) => frames.push(frame),
            Err(reason) => return (frames, Some((position, reason))),
        }
    }
    let position = (size_bytes - bytes.len()) as u64;
    let damage = (!bytes.is_empty()).then_some((position, "more follows than its count says"));
    (frames, damage)
}

fn parse_header(bytes: &[u8]) -> Result<usize, &'static str> {
    if bytes.get(..MAGIC.len()) != Some(&MAGIC) {
        return Err("it does not begin as a checkpoint does");
    }
    if read_u32(bytes, 8) != Some(VERSION) {
        return Err("it is of another version");
    }
    let count = read_u32(bytes, 12).ok_or("it is cut short")?;
    if read_u32(bytes, 16) != bytes.get(..16).map(crc32c::crc32c) {
        return Err("its header's CRC is wrong");
    }
    Ok(count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: i32, generation: u64) -> PartitionCheckpoint {
        PartitionCheckpoint {
            topic: "orders".to_owned(),
            partition,
            topic_id: *b"0123456789abcdef",
            generation,
            log_start_offset: 3,
            first_dirty_offset: 2,
            flushed_end: 3,
            log: None,
        }
    }

    fn sample() -> Vec<Frame> {
        (0..3).map(|partition| Frame::encode(&entry(partition, 7))).collect()
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let frames = sample();
        let (found, damage) = parse(Bytes::from(encode(frames.iter())));
        assert_eq!((&found, damage), (&frames, None));
        assert_eq!(found[2].decode(), Ok(entry(2, 7)));
        assert_eq!(parse(Bytes::from(encode([].iter()))), (Vec::new(), None));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unseen() {
        let frames = sample();
        let bytes = encode(frames.iter());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (found, damage) = parse(Bytes::from(flipped));
            assert!(damage.is_some(), "bit {bit}");
            assert!(frames.starts_with(&found), "bit {bit}");
        }
        for size in 0..bytes.len() {
            let (found, damage) = parse(Bytes::copy_from_slice(&bytes[..size]));
            assert!(damage.is_some() && frames.starts_with(&found), "cut to {size}");
        }
        let longer = [&bytes[..], &[0; 7]].concat();
        assert_eq!(parse(Bytes::from(longer)).1.map(|(at, _)| at), Some(bytes.len() as u64));
    }
}
