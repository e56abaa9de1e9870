//! Batches for unit tests.

use bytes::Bytes;
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{BatchBuilder, BatchOptions};

/// A batch of `count` records from `base_offset` on, with the timestamp 1000 + offset.
pub(crate) fn batch_at(base_offset: i64, count: i64) -> Bytes {
    let mut builder =
        BatchBuilder::new(BatchOptions { base_offset: Offset(base_offset), ..Default::default() });
    for offset in base_offset..base_offset + count {
        let value = format!("record {offset}");
        builder.append(TimestampMs(1000 + offset), None, Some(value.as_bytes()), &[]);
    }
    builder.build()
}

pub(crate) fn concatenated(batches: &[Bytes]) -> Vec<u8> {
    batches.iter().flat_map(|batch| batch.iter().copied()).collect()
}
