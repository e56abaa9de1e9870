//! Bytes as batches: parsed, validated, iterated, searched, built again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, Batches, Compression, Depth, HEADER_SIZE_BYTES, LOG_OVERHEAD_BYTES,
    Record, RecordBatch, TimestampType, ValidationRules, set_max_timestamp, validate_for_append,
};

const DECOMPRESSED_SIZE_BYTES_MAX: usize = 1 << 20;
const MAGIC_POSITION: usize = 16;

fuzz_target!(|data: &[u8]| -> Corpus {
    let batches = Batches::new(Bytes::copy_from_slice(data));
    check_sizes(batches, data.len());
    // Most bytes are no batch; put right what a search at random would hardly find.
    if data.len() < HEADER_SIZE_BYTES {
        return Corpus::Reject;
    }
    let mut bytes = data.to_vec();
    bytes[..8].fill(0);
    let length = (bytes.len() - LOG_OVERHEAD_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[MAGIC_POSITION] = 2;
    let max_timestamp = bytes[35..43].try_into().map(i64::from_be_bytes);
    set_max_timestamp(&mut bytes, TimestampMs(max_timestamp.expect("eight bytes")));
    let Ok(batch) = RecordBatch::new(bytes.into()) else { return Corpus::Reject };
    check_batch(&batch);
    Corpus::Keep
});

fn check_sizes(mut batches: Batches, size_bytes: usize) {
    let mut whole_size_bytes = 0;
    for batch in batches.by_ref() {
        let Ok(batch) = batch else { break };
        whole_size_bytes += batch.size_bytes();
        assert!(batch.header().next_offset() > batch.header().base_offset);
    }
    assert_eq!(batches.whole_size_bytes(), whole_size_bytes);
    assert_eq!(batches.partial_size_bytes(), size_bytes - whole_size_bytes);
}

fn check_batch(batch: &RecordBatch) {
    let rules = ValidationRules {
        depth: Depth::Records,
        now: TimestampMs(0),
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        is_compacted: false,
        decompressed_size_bytes_max: DECOMPRESSED_SIZE_BYTES_MAX,
    };
    let validated = validate_for_append(batch, &rules);
    let records: Result<Vec<Record>, _> =
        batch.records(DECOMPRESSED_SIZE_BYTES_MAX).and_then(Iterator::collect);
    let largest = batch.first_at_max_timestamp(Offset(0), DECOMPRESSED_SIZE_BYTES_MAX);
    let missing = batch.first_at_or_after(
        TimestampMs(i64::MIN),
        Offset(i64::MAX),
        DECOMPRESSED_SIZE_BYTES_MAX,
    );
    // The stream and the one buffer read the same bytes, so that they agree on what is an error.
    assert_eq!(missing.is_ok(), records.is_ok(), "{missing:?} {records:?}");
    let Ok(records) = records else {
        assert!(validated.is_err(), "validated, but {records:?}");
        return;
    };
    assert_eq!(records.len(), batch.header().record_count as usize);
    let max_timestamp = records.iter().map(|record| record.timestamp).max();
    // A header that says something else ends the search elsewhere.
    if max_timestamp == Some(batch.header().max_timestamp) {
        assert_eq!(
            largest.expect("its records are good").map(|found| found.offset),
            records
                .iter()
                .find(|record| Some(record.timestamp) == max_timestamp)
                .map(|record| record.offset)
        );
    }
    if let Ok(validated) = validated {
        assert_eq!(validated.max_timestamp, max_timestamp.unwrap_or_default().max(TimestampMs(-1)));
        check_rebuilt(&records);
    }
}

/// Validated records count their offsets from 0, as the builder does: they come back the same.
fn check_rebuilt(records: &[Record]) {
    for compression in [Compression::None, Compression::Snappy] {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        for record in records {
            let headers: Vec<(&[u8], Option<&[u8]>)> = record
                .headers
                .iter()
                .map(|header| (header.key.as_ref(), header.value.as_deref()))
                .collect();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder.append(record.timestamp, key, value, &headers);
        }
        let rebuilt = RecordBatch::new(builder.build()).expect("a built batch");
        rebuilt.verify_crc().expect("a built batch");
        let again: Result<Vec<Record>, _> = rebuilt.records(usize::MAX).and_then(Iterator::collect);
        assert_eq!(again.expect("a built batch"), records);
    }
}
