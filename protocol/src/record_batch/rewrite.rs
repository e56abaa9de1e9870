//! A batch with some of its records gone, as compaction leaves it. Source: Kafka's
//! `MemoryRecords.filterTo`, KIP-534.
//!
//! Its base offset, last offset, leader epoch, producer and first sequence stay: no record moves, and
//! who asks what its producer sent last gets the same answer.

use std::io;

use bytes::Bytes;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::batch::RecordBatch;
use super::builder::{Fields, patch, write_record};
use super::codec::Compression;
use super::header::{
    BatchError, BatchHeader, HEADER_SIZE_BYTES, LOG_OVERHEAD_BYTES, MAGIC, TimestampType,
    attribute, compute_crc, position,
};
use super::record::{Record, RecordError};

/// The timestamp of nothing, on the wire.
const NO_TIMESTAMP: TimestampMs = TimestampMs(-1);

/// What a rewritten batch holds.
#[derive(Clone, Copy, Debug)]
pub struct Kept<I> {
    /// Some of the batch's own, in their order; at least one.
    pub records: I,
    /// From when on tombstones and markers among them may go.
    pub delete_horizon: Option<TimestampMs>,
    /// Where the batch ends: the last offset of the batch that is rewritten.
    pub last_offset: Offset,
}

/// `batch` with no other records than `kept`, compressed by its own codec. Records are streamed: beside
/// the result, one of them and a codec's buffers are held.
///
/// Errors: that of a record; an unknown codec; `Length` where the result has no length field (2 GiB).
pub fn with_records(
    batch: &RecordBatch,
    kept: Kept<impl Iterator<Item = Result<Record, RecordError>>>,
) -> Result<Bytes, RecordError> {
    let header = batch.header();
    let codec = header.codec()?;
    let mut attributes = header.attributes & !attribute::DELETE_HORIZON;
    if kept.delete_horizon.is_some() {
        attributes |= attribute::DELETE_HORIZON;
    }
    let is_log_append_time = header.timestamp_type() == TimestampType::LogAppendTime;
    // What is to become of the header's fields, as far as the records have told.
    let mut fields = HeaderFields {
        attributes,
        last_offset: kept.last_offset,
        base_timestamp: kept.delete_horizon.unwrap_or(NO_TIMESTAMP),
        max_timestamp: if is_log_append_time { header.max_timestamp } else { NO_TIMESTAMP },
        record_count: 0,
    };
    let mut out = Vec::new();
    write_header(&mut out, header, &fields);
    let mut failed = None;
    let written = Compression::usual(codec).compress(&mut out, |writer| {
        let mut plain = Vec::new();
        for record in kept.records {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            };
            if fields.record_count == 0 && kept.delete_horizon.is_none() {
                fields.base_timestamp = record.timestamp;
            }
            fields.record_count += 1;
            if !is_log_append_time {
                fields.max_timestamp = fields.max_timestamp.max(record.timestamp);
            }
            plain.clear();
            append_record(&mut plain, header, &fields, &record, is_log_append_time);
            writer.write_all(&plain)?;
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    written.unwrap_or_else(|error| panic!("compression into memory: {error}"));
    let mut head = Vec::with_capacity(HEADER_SIZE_BYTES);
    write_header(&mut head, header, &fields);
    for (to, from) in out.iter_mut().zip(head) {
        *to = from;
    }
    Ok(finished(out)?)
}

fn append_record(
    out: &mut Vec<u8>,
    header: &BatchHeader,
    fields: &HeaderFields,
    record: &Record,
    is_log_append_time: bool,
) {
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        record.headers.iter().map(|it| (&it.key[..], it.value.as_deref())).collect();
    // One time holds for all of them: the header's.
    let timestamp_delta = match is_log_append_time {
        true => 0,
        false => record.timestamp.0.wrapping_sub(fields.base_timestamp.0),
    };
    let offset_delta = record.offset.0 - header.base_offset.0;
    let fields =
        Fields { key: record.key.as_deref(), value: record.value.as_deref(), headers: &headers };
    write_record(out, timestamp_delta, offset_delta, &fields);
}

/// `batch` with no record at all: what stays says where it lay and what its producer sent.
pub fn without_records(batch: &RecordBatch) -> Bytes {
    let header = batch.header();
    let kept = attribute::LOG_APPEND_TIME | attribute::TRANSACTIONAL | attribute::CONTROL;
    let mut out = Vec::with_capacity(HEADER_SIZE_BYTES);
    let fields = HeaderFields {
        attributes: header.attributes & kept,
        last_offset: header.last_offset(),
        base_timestamp: NO_TIMESTAMP,
        max_timestamp: header.max_timestamp,
        record_count: 0,
    };
    write_header(&mut out, header, &fields);
    finished(out).unwrap_or_else(|error| panic!("a header alone: {error}"))
}

/// What a rewritten batch's header does not take from the one before.
struct HeaderFields {
    attributes: i16,
    last_offset: Offset,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    record_count: i32,
}

/// All header fields, the length and the CRC as zeros.
fn write_header(out: &mut Vec<u8>, header: &BatchHeader, fields: &HeaderFields) {
    let last_offset_delta = (fields.last_offset.0 - header.base_offset.0) as i32;
    out.extend_from_slice(&header.base_offset.0.to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    out.extend_from_slice(&LeaderEpoch::to_wire(header.partition_leader_epoch).to_be_bytes());
    out.extend_from_slice(&MAGIC.to_be_bytes());
    out.extend_from_slice(&0_u32.to_be_bytes());
    out.extend_from_slice(&fields.attributes.to_be_bytes());
    out.extend_from_slice(&last_offset_delta.to_be_bytes());
    out.extend_from_slice(&fields.base_timestamp.0.to_be_bytes());
    out.extend_from_slice(&fields.max_timestamp.0.to_be_bytes());
    out.extend_from_slice(&ProducerId::to_wire(header.producer_id).to_be_bytes());
    out.extend_from_slice(&ProducerEpoch::to_wire(header.producer_epoch).to_be_bytes());
    out.extend_from_slice(&Sequence::to_wire(header.base_sequence).to_be_bytes());
    out.extend_from_slice(&fields.record_count.to_be_bytes());
    assert!(out.len() == HEADER_SIZE_BYTES, "{} bytes of header", out.len());
}

/// With length and CRC set.
fn finished(mut batch: Vec<u8>) -> Result<Bytes, BatchError> {
    let batch_length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES)
        .map_err(|_| BatchError::Length { length: i32::MAX })?;
    patch(&mut batch, position::BATCH_LENGTH, batch_length.to_be_bytes());
    let crc = compute_crc(&batch);
    patch(&mut batch, position::CRC, crc.to_be_bytes());
    Ok(batch.into())
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchOptions, BatchProducer, Codec, set_log_append_time};
    use super::*;

    /// Offsets 100 to 104, timestamps 1000 to 1004, of a producer, within a transaction.
    fn sample(codec: Codec) -> RecordBatch {
        let producer = BatchProducer {
            id: ProducerId(7),
            epoch: ProducerEpoch(3),
            base_sequence: Some(Sequence(40)),
        };
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(100),
            partition_leader_epoch: Some(LeaderEpoch(9)),
            compression: Compression::usual(codec),
            producer: Some(producer),
            is_transactional: true,
            is_control: false,
        });
        for n in 0..5_u8 {
            let value = [n; 40];
            let value = (n != 3).then_some(&value[..]);
            builder.append(TimestampMs(1000 + i64::from(n)), Some(&[n]), value, &[(b"h", None)]);
        }
        RecordBatch::new(builder.build()).expect("a batch")
    }

    fn records(batch: &RecordBatch) -> Vec<Record> {
        let records = batch.records(1 << 20).expect("readable");
        records.collect::<Result<_, _>>().expect("records")
    }

    fn rewrite(batch: &RecordBatch, which: &[usize], horizon: Option<i64>) -> RecordBatch {
        let all = records(batch);
        let kept: Vec<Record> = which.iter().map(|&index| all[index].clone()).collect();
        let kept = Kept {
            records: kept.into_iter().map(Ok),
            delete_horizon: horizon.map(TimestampMs),
            last_offset: batch.header().last_offset(),
        };
        let rewritten = RecordBatch::new(with_records(batch, kept).expect("written"));
        let rewritten = rewritten.expect("one batch");
        rewritten.verify_crc().expect("its CRC");
        rewritten
    }

    #[test]
    fn records_keep_offsets_times_and_producer() {
        for codec in Codec::ALL {
            let batch = sample(codec);
            for (which, horizon) in
                [(&[0, 1, 2, 3, 4][..], None), (&[1, 3], None), (&[3], Some(99_000)), (&[4], None)]
            {
                let rewritten = rewrite(&batch, which, horizon);
                let all = records(&batch);
                let want: Vec<Record> = which.iter().map(|&index| all[index].clone()).collect();
                assert_eq!(records(&rewritten), want, "{codec:?} {which:?}");
                let (old, new) = (batch.header(), rewritten.header());
                assert_eq!(new.delete_horizon(), horizon.map(TimestampMs));
                assert_eq!(new.max_timestamp, want.last().expect("one").timestamp);
                assert_eq!(new.codec(), Ok(codec));
                assert!(new.is_transactional() && !new.is_control());
                assert_eq!(old.base_offset, new.base_offset);
                assert_eq!(old.last_offset(), new.last_offset());
                assert_eq!(old.last_sequence(), new.last_sequence());
                assert_eq!(old.producer_id, new.producer_id);
                assert_eq!(old.producer_epoch, new.producer_epoch);
                assert_eq!(old.partition_leader_epoch, new.partition_leader_epoch);
            }
        }
    }

    #[test]
    fn a_delete_horizon_stays_and_times_with_it() {
        let once = rewrite(&sample(Codec::Lz4), &[1, 3], Some(50_000));
        let twice = rewrite(&once, &[1], Some(50_000));
        assert_eq!(twice.header().delete_horizon(), Some(TimestampMs(50_000)));
        assert_eq!(records(&twice), records(&once)[1..]);
    }

    #[test]
    fn the_time_of_the_append_stays() {
        let mut bytes = sample(Codec::None).bytes().to_vec();
        set_log_append_time(&mut bytes, TimestampMs(7777));
        let batch = RecordBatch::new(bytes.into()).expect("a batch");
        for horizon in [None, Some(60_000)] {
            let rewritten = rewrite(&batch, &[0, 3], horizon);
            assert_eq!(rewritten.header().max_timestamp, TimestampMs(7777));
            assert!(records(&rewritten).iter().all(|it| it.timestamp == TimestampMs(7777)));
        }
    }

    #[test]
    fn an_empty_batch_says_where_it_lay_and_who_sent_it() {
        for codec in Codec::ALL {
            let batch = sample(codec);
            let empty = RecordBatch::new(without_records(&batch)).expect("one batch");
            empty.verify_crc().expect("its CRC");
            assert_eq!(empty.size_bytes(), HEADER_SIZE_BYTES);
            assert_eq!(records(&empty), []);
            let (old, new) = (batch.header(), empty.header());
            assert_eq!((new.base_offset, new.last_offset()), (Offset(100), Offset(104)));
            assert_eq!(old.last_sequence(), new.last_sequence());
            assert_eq!(old.max_timestamp, new.max_timestamp);
            assert_eq!(new.base_timestamp, NO_TIMESTAMP);
            assert_eq!(new.codec(), Ok(Codec::None));
            assert!(new.is_transactional());
        }
    }
}
