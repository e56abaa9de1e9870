//! The header fields that a broker sets in the producer's bytes.
//!
//! Each takes one whole batch that [`super::BatchHeader::parse`] has accepted, and panics when it is
//! shorter than a header: that is our own mistake, never the peer's.

use crate::model::{LeaderEpoch, Offset, TimestampMs};

use super::header::{attribute, compute_crc, position};

/// Sets the offset of the first record; the others count from it. Outside the CRC.
pub fn set_base_offset(batch: &mut [u8], base_offset: Offset) {
    *field_mut(batch, position::BASE_OFFSET) = base_offset.0.to_be_bytes();
}

/// Sets the epoch of the leader that appends this batch. Outside the CRC.
pub fn set_partition_leader_epoch(batch: &mut [u8], leader_epoch: LeaderEpoch) {
    *field_mut(batch, position::PARTITION_LEADER_EPOCH) = leader_epoch.0.to_be_bytes();
}

/// Makes `now` the timestamp of all records, as `message.timestamp.type=LogAppendTime` asks for, and
/// recomputes the CRC.
pub fn set_log_append_time(batch: &mut [u8], now: TimestampMs) {
    let attributes = field_mut(batch, position::ATTRIBUTES);
    *attributes = (i16::from_be_bytes(*attributes) | attribute::LOG_APPEND_TIME).to_be_bytes();
    set_max_timestamp(batch, now);
}

/// Corrects the largest timestamp of a batch with create times, and recomputes the CRC. For producers
/// that filled it in wrongly: Kafka's LogValidator corrects it too, and the time index relies on it.
pub fn set_max_timestamp(batch: &mut [u8], max_timestamp: TimestampMs) {
    *field_mut(batch, position::MAX_TIMESTAMP) = max_timestamp.0.to_be_bytes();
    let crc = compute_crc(batch);
    *field_mut(batch, position::CRC) = crc.to_be_bytes();
}

pub(super) fn field_mut<const N: usize>(batch: &mut [u8], at: usize) -> &mut [u8; N] {
    let size_bytes = batch.len();
    batch
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut())
        .unwrap_or_else(|| panic!("a batch of {size_bytes} bytes has no field at {at}"))
}
