//! The fixed 61 bytes before a batch's records.

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// Bytes from `baseOffset` up to and with the record count.
pub const HEADER_SIZE_BYTES: usize = 61;

/// Why bytes are no valid batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{available} bytes are too few for a batch of {needed}")]
    Truncated { needed: usize, available: usize },
    #[error("batch magic is {magic}, only 2 is supported")]
    Magic { magic: i8 },
    #[error("batch length {length} is out of range")]
    Length { length: i32 },
    #[error("batch CRC-32C is {computed:#010x}, its header says {stored:#010x}")]
    Crc { stored: u32, computed: u32 },
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
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer_id: Option<ProducerId>,
    pub producer_epoch: Option<ProducerEpoch>,
    pub base_sequence: Option<Sequence>,
    pub record_count: i32,
}
