//! Batches with damaged bytes: the CRC notices, and without it nothing panics.

use bytes::Bytes;
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{
    Batches, Depth, RecordBatch, TimestampType, ValidationRules, set_max_timestamp,
    validate_for_append, verify_crc,
};

use crate::golden::goldens;

const ROUNDS: u32 = 300;
/// The CRC itself and all that it covers start here.
const CRC_POSITION: usize = 17;
const HEADER_SIZE_BYTES: usize = 61;

/// xorshift64*: enough to pick bytes, and the same bytes in every run.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

#[test]
fn each_flipped_bit_fails_the_crc() {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    for golden in goldens() {
        for _ in 0..ROUNDS {
            let mut bytes = golden.bytes.to_vec();
            let position = CRC_POSITION + draw.below(bytes.len() - CRC_POSITION);
            let bit = draw.below(8);
            bytes[position] ^= 1 << bit;
            assert!(verify_crc(&bytes).is_err(), "{} {position} {bit}", golden.name);
        }
    }
}

#[test]
fn damaged_batches_with_a_right_crc_are_errors_or_records() {
    let mut draw = Draw(0x2545_f491_4f6c_dd1d);
    for golden in goldens() {
        // The large ones decompress to 200 KB each time.
        let rounds = if golden.name.ends_with("_large") { ROUNDS / 10 } else { ROUNDS };
        for _ in 0..rounds {
            let mut bytes = golden.bytes.to_vec();
            for _ in 0..=draw.below(3) {
                // Every other damage goes where the header and the first records are.
                let bound = [bytes.len(), bytes.len().min(2 * HEADER_SIZE_BYTES)][draw.below(2)];
                bytes[draw.below(bound)] = draw.below(256) as u8;
            }
            let max_timestamp = TimestampMs(draw.below(1000) as i64 - 1);
            set_max_timestamp(&mut bytes, max_timestamp);
            exercise(bytes.into());
        }
    }
}

/// All that can be done with bytes; the answers do not matter.
fn exercise(bytes: Bytes) {
    const LIMIT: usize = 64 << 10;
    for batch in Batches::new(bytes.clone()).flatten() {
        exercise_batch(&batch, LIMIT);
    }
    if let Ok(batch) = RecordBatch::new(bytes) {
        exercise_batch(&batch, LIMIT);
    }
}

fn exercise_batch(batch: &RecordBatch, limit: usize) {
    for is_compacted in [false, true] {
        let _ = validate_for_append(
            batch,
            &ValidationRules {
                depth: Depth::Records,
                now: TimestampMs(i64::MAX),
                timestamp_type: TimestampType::CreateTime,
                timestamp_before_max_ms: i64::MIN,
                timestamp_after_max_ms: i64::MAX,
                is_compacted,
                decompressed_size_bytes_max: limit,
            },
        );
    }
    let records = batch.records(limit).map_or(0, |records| records.flatten().count());
    assert!(records <= limit.max(batch.size_bytes()), "{records} records");
    let _ = batch.first_at_or_after(TimestampMs(0), Offset(0), limit);
    let _ = batch.first_at_max_timestamp(Offset(0), limit);
    let header = batch.header();
    assert!(header.next_offset() > header.base_offset);
    let _ = header.last_sequence();
}
