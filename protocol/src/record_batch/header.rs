//! The fixed 61 bytes before a batch's records.

use crate::model::TimestampMs;
use crate::model::{LeaderEpoch, Offset, OffsetDelta, ProducerEpoch, ProducerId, Sequence};

use super::codec::Codec;

/// Bytes from `baseOffset` up to and with the record count.
pub const HEADER_SIZE_BYTES: usize = 61;

/// Bytes that the batch length does not count: `baseOffset` and the length itself.
pub const LOG_OVERHEAD_BYTES: usize = 12;

/// The smallest batch length: a header and no record, as compaction leaves behind.
const BATCH_LENGTH_MIN: i32 = (HEADER_SIZE_BYTES - LOG_OVERHEAD_BYTES) as i32;

pub(super) const MAGIC: i8 = 2;

/// Where each field starts. Source: KIP-98, `DefaultRecordBatch`.
pub(super) mod position {
    pub const BASE_OFFSET: usize = 0;
    pub const BATCH_LENGTH: usize = 8;
    pub const PARTITION_LEADER_EPOCH: usize = 12;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 17;
    /// The CRC covers everything from here to the end of the batch.
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const BASE_TIMESTAMP: usize = 27;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const RECORD_COUNT: usize = 57;
    const _: () = assert!(RECORD_COUNT + 4 == super::HEADER_SIZE_BYTES);
}

/// The bits of `attributes`; 7 to 15 are unused.
pub(super) mod attribute {
    pub const CODEC_MASK: i16 = 0x07;
    pub const LOG_APPEND_TIME: i16 = 0x08;
    pub const TRANSACTIONAL: i16 = 0x10;
    pub const CONTROL: i16 = 0x20;
    pub const DELETE_HORIZON: i16 = 0x40;
}

/// Why bytes are no valid batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{available} bytes are too few for a batch of {needed}")]
    Truncated { needed: usize, available: usize },
    #[error("batch of {batch} bytes is followed by {trailing} more")]
    Trailing { batch: usize, trailing: usize },
    #[error("batch magic is {magic}, only 2 is supported")]
    Magic { magic: i8 },
    #[error("batch length {length} is out of range")]
    Length { length: i32 },
    #[error(
        "base offset {base_offset} and last offset delta {last_offset_delta} are no offset range"
    )]
    OffsetRange { base_offset: i64, last_offset_delta: i32 },
    #[error("codec {id} is unknown")]
    UnknownCodec { id: i16 },
    #[error("batch CRC-32C is {computed:#010x}, its header says {stored:#010x}")]
    Crc { stored: u32, computed: u32 },
}

/// What the timestamps of a batch's records mean: `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Each record has the time that its producer gave it.
    CreateTime,
    /// All records have the batch's `max_timestamp`, the time at which the broker appended them.
    LogAppendTime,
}

/// The header of one batch, decoded. `base_offset..=last_offset()` are its records' offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after the length field itself: the whole batch is this plus 12.
    pub batch_length: i32,
    pub partition_leader_epoch: Option<LeaderEpoch>,
    pub crc: u32,
    /// Bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// The first record's timestamp, which the records' deltas build on; with a delete horizon, that.
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer_id: Option<ProducerId>,
    pub producer_epoch: Option<ProducerEpoch>,
    pub base_sequence: Option<Sequence>,
    /// As the header says it: 0 after compaction removed all records, negative only in bad bytes.
    pub record_count: i32,
}

impl BatchHeader {
    /// Decodes the header at the start of `bytes`, which may end before the batch does and may go on after it.
    ///
    /// What is `Ok` has magic 2, a length of at least a header, and offsets that stay within `0..i64::MAX`,
    /// so that the methods below cannot overflow. Nothing else is checked: not the CRC, nor that the
    /// record count and the codec make sense.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let header: &[u8; HEADER_SIZE_BYTES] = bytes
            .first_chunk()
            .ok_or(BatchError::Truncated { needed: HEADER_SIZE_BYTES, available: bytes.len() })?;
        let magic = i8::from_be_bytes(field(header, position::MAGIC));
        if magic != MAGIC {
            return Err(BatchError::Magic { magic });
        }
        let length = i32::from_be_bytes(field(header, position::BATCH_LENGTH));
        if length < BATCH_LENGTH_MIN {
            return Err(BatchError::Length { length });
        }
        let base_offset = i64::from_be_bytes(field(header, position::BASE_OFFSET));
        let last_offset_delta = i32::from_be_bytes(field(header, position::LAST_OFFSET_DELTA));
        let next_offset = base_offset.checked_add(i64::from(last_offset_delta) + 1);
        if base_offset < 0 || last_offset_delta < 0 || next_offset.is_none() {
            return Err(BatchError::OffsetRange { base_offset, last_offset_delta });
        }
        let leader_epoch = i32::from_be_bytes(field(header, position::PARTITION_LEADER_EPOCH));
        let producer_id = i64::from_be_bytes(field(header, position::PRODUCER_ID));
        let producer_epoch = i16::from_be_bytes(field(header, position::PRODUCER_EPOCH));
        let base_sequence = i32::from_be_bytes(field(header, position::BASE_SEQUENCE));
        Ok(BatchHeader {
            base_offset: Offset(base_offset),
            batch_length: length,
            partition_leader_epoch: LeaderEpoch::from_wire(leader_epoch),
            crc: u32::from_be_bytes(field(header, position::CRC)),
            attributes: i16::from_be_bytes(field(header, position::ATTRIBUTES)),
            last_offset_delta,
            base_timestamp: TimestampMs(i64::from_be_bytes(field(
                header,
                position::BASE_TIMESTAMP,
            ))),
            max_timestamp: TimestampMs(i64::from_be_bytes(field(header, position::MAX_TIMESTAMP))),
            producer_id: ProducerId::from_wire(producer_id),
            producer_epoch: ProducerEpoch::from_wire(producer_epoch),
            base_sequence: Sequence::from_wire(base_sequence),
            record_count: i32::from_be_bytes(field(header, position::RECORD_COUNT)),
        })
    }

    /// Size of the whole batch, from `baseOffset` to the end of its records.
    pub fn size_bytes(&self) -> usize {
        // `parse` refuses lengths below 49, so the cast keeps the value.
        self.batch_length as usize + LOG_OVERHEAD_BYTES
    }

    /// Offset of the last record (of the last one before compaction, if that took it). Inclusive.
    pub fn last_offset(&self) -> Offset {
        self.base_offset + OffsetDelta(i64::from(self.last_offset_delta))
    }

    /// The offset after this batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Errors: `UnknownCodec` for ids 5 to 7.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_id(self.attributes & attribute::CODEC_MASK)
    }

    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & attribute::LOG_APPEND_TIME {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & attribute::TRANSACTIONAL != 0
    }

    /// Whether its records are transaction markers or KRaft's, which no consumer sees.
    pub fn is_control(&self) -> bool {
        self.attributes & attribute::CONTROL != 0
    }

    /// Whether compaction has set when this batch's tombstones and markers may go (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & attribute::DELETE_HORIZON != 0
    }

    /// From when on its tombstones and markers may go; `None` before compaction has seen them.
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        self.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Sequence of the last record; wraps behind `i32::MAX`. None without a producer id or sequence.
    pub fn last_sequence(&self) -> Option<Sequence> {
        self.base_sequence.map(|base| base.plus(self.last_offset_delta))
    }
}

/// Compares the CRC-32C of one whole batch with the one in its header.
///
/// Errors: those of [`BatchHeader::parse`]; `Truncated` and `Trailing` when `batch` is not exactly one
/// batch; `Crc`.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    check_whole(&header, batch.len())?;
    check_crc(&header, batch)
}

/// That `available` bytes are exactly the batch that `header` describes.
pub(super) fn check_whole(header: &BatchHeader, available: usize) -> Result<(), BatchError> {
    let needed = header.size_bytes();
    if available < needed {
        return Err(BatchError::Truncated { needed, available });
    }
    if available > needed {
        return Err(BatchError::Trailing { batch: needed, trailing: available - needed });
    }
    Ok(())
}

/// `batch` is the whole batch of `header`.
pub(super) fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let computed = compute_crc(batch);
    if computed == header.crc {
        Ok(())
    } else {
        Err(BatchError::Crc { stored: header.crc, computed })
    }
}

pub(super) fn compute_crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(position::ATTRIBUTES..).unwrap_or_default())
}

fn field<const N: usize>(header: &[u8; HEADER_SIZE_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    // `at` is one of `position`, so that the range exists and the compiler drops the check.
    if let Some(source) = header.get(at..at + N) {
        bytes.copy_from_slice(source);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest batch, of no record, with `bytes` at `at`.
    fn header_with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut header = vec![0; HEADER_SIZE_BYTES];
        header[position::MAGIC] = 2;
        header[position::BATCH_LENGTH..][..4].copy_from_slice(&BATCH_LENGTH_MIN.to_be_bytes());
        header[at..at + bytes.len()].copy_from_slice(bytes);
        header
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        let short = header_with(0, &[])[..60].to_vec();
        let range = |base_offset, last_offset_delta| {
            Err(BatchError::OffsetRange { base_offset, last_offset_delta })
        };
        for (bytes, want) in [
            (header_with(0, &[]), Ok(())),
            (short, Err(BatchError::Truncated { needed: 61, available: 60 })),
            (header_with(position::MAGIC, &[1]), Err(BatchError::Magic { magic: 1 })),
            (header_with(position::MAGIC, &[0xff]), Err(BatchError::Magic { magic: -1 })),
            (
                header_with(position::BATCH_LENGTH, &48_i32.to_be_bytes()),
                Err(BatchError::Length { length: 48 }),
            ),
            (
                header_with(position::BATCH_LENGTH, &(-1_i32).to_be_bytes()),
                Err(BatchError::Length { length: -1 }),
            ),
            (header_with(position::BASE_OFFSET, &(-1_i64).to_be_bytes()), range(-1, 0)),
            (header_with(position::BASE_OFFSET, &i64::MAX.to_be_bytes()), range(i64::MAX, 0)),
            (header_with(position::BASE_OFFSET, &(i64::MAX - 1).to_be_bytes()), Ok(())),
            (header_with(position::LAST_OFFSET_DELTA, &(-1_i32).to_be_bytes()), range(0, -1)),
            (header_with(position::LAST_OFFSET_DELTA, &i32::MAX.to_be_bytes()), Ok(())),
        ] {
            assert_eq!(BatchHeader::parse(&bytes).map(|_header| ()), want, "{bytes:?}");
        }
    }

    #[test]
    fn the_whole_batch_is_neither_shorter_nor_longer() {
        let mut batch = header_with(position::BATCH_LENGTH, &50_i32.to_be_bytes());
        let truncated = BatchError::Truncated { needed: 62, available: 61 };
        assert_eq!(verify_crc(&batch), Err(truncated));
        batch.push(0);
        let crc = compute_crc(&batch);
        batch[position::CRC..][..4].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(verify_crc(&batch), Ok(()));
        batch.push(0);
        assert_eq!(verify_crc(&batch), Err(BatchError::Trailing { batch: 62, trailing: 1 }));
    }
}
