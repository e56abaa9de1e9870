//! What a producer may send: the rules of Kafka's `LogValidator`, and of `UnifiedLog` on append.

use crate::model::{Offset, TimestampMs};

use super::batch::RecordBatch;
use super::codec::Codec;
use super::header::{BatchError, BatchHeader, TimestampType};
use super::record::{RecordError, Skeleton, record_timestamp, walk};

/// How far validation looks into compressed batches: `millrace.produce.validation`. Uncompressed ones
/// are always walked, for some 16 ns a record (20 bytes of value; one EPYC core).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The header and the CRC.
    Header,
    /// Each record too, as Apache Kafka does, at the price of a decompression.
    Records,
}

/// The rules of one topic at one time.
#[derive(Debug, Clone, Copy)]
pub struct ValidationRules {
    pub depth: Depth,
    pub now: TimestampMs,
    /// `message.timestamp.type`. With LogAppendTime the producer's timestamps do not matter.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's time may lie before `now`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far it may lie after `now`.
    pub timestamp_after_max_ms: i64,
    /// Whether the topic is compacted, where each record needs a key: this needs `Depth::Records`, and
    /// takes it.
    pub is_compacted: bool,
    /// `max.decompressed.message.bytes`.
    pub decompressed_size_bytes_max: usize,
}

/// What validation found in a batch that may be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validated {
    /// The largest timestamp of the records, -1 if none has one; where they were not walked, the
    /// header's word for it. If it is not the header's, `set_max_timestamp` is due before the append.
    pub max_timestamp: TimestampMs,
}

/// Why a batch may not be appended.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBatch {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("base offset is {base_offset}, a producer's must be 0")]
    BaseOffset { base_offset: Offset },
    #[error("record count {record_count} is not positive")]
    RecordCount { record_count: i32 },
    #[error("last offset delta {last_offset_delta} does not fit {record_count} records")]
    OffsetRange { last_offset_delta: i32, record_count: i32 },
    #[error("clients may not write control records")]
    Control,
    #[error("a batch with producer id {producer_id} has no sequence")]
    SequenceMissing { producer_id: i64 },
    #[error("a batch with producer id {producer_id} has no producer epoch")]
    ProducerEpochMissing { producer_id: i64 },
    #[error("a transactional batch has no producer id")]
    ProducerIdMissing,
    #[error("the timestamp type is LogAppendTime, which only a broker sets")]
    LogAppendTime,
    #[error("a timestamp of {timestamp} is not within {earliest}..={latest}")]
    Timestamp { timestamp: i64, earliest: i64, latest: i64 },
    #[error("record {record_index} cannot be read")]
    Record {
        record_index: u32,
        #[source]
        source: RecordError,
    },
    #[error("record {record_index} has offset delta {offset_delta}")]
    OffsetDelta { record_index: u32, offset_delta: i32 },
    /// Each record that breaks a rule of the topic, in order, up to [`INVALID_RECORDS_MAX`] of them.
    #[error("{} records break the topic's rules, the first is number {}", .0.len(), first_index(.0))]
    Records(Vec<InvalidRecord>),
}

/// How many bad records of a batch are named at most: the list goes back to the client.
pub const INVALID_RECORDS_MAX: usize = 1024;

/// A record that breaks a rule of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRecord {
    /// Number of the record in its batch, from 0.
    pub record_index: u32,
    pub fault: RecordFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    #[error("a compacted topic takes no record without a key")]
    KeyMissing,
    #[error("timestamp {timestamp} is not within {earliest}..={latest}")]
    Timestamp { timestamp: i64, earliest: i64, latest: i64 },
}

/// A record's timestamp when its producer gave none: `RecordBatch.NO_TIMESTAMP`.
const NO_TIMESTAMP: i64 = -1;

/// Checks one batch of a Produce request. `Ok` means that it may be appended, once its base offset and
/// leader epoch are set (and its max timestamp, see [`Validated`]). Nothing is changed.
///
/// In this order: CRC; base offset 0; the record count is what the last offset delta says; no control
/// batch; producer id, epoch and sequence belong together; the codec is known; the records can be read,
/// their offset deltas count up from 0; timestamps, and keys on a compacted topic. Source:
/// `LogValidator.validateBatch` and `validateRecord`, `UnifiedLog.analyzeAndValidateRecords`.
///
/// Stricter than Kafka, so that no consumer gets what it cannot read: Kafka takes uncompressed records
/// with other offset deltas, compressed ones whose fields do not fill their length, a producer id
/// without an epoch, a transactional batch without a producer id, and LogAppendTime on a topic with
/// create times (whose records then have times that no one gave them).
pub fn validate_for_append(
    batch: &RecordBatch,
    rules: &ValidationRules,
) -> Result<Validated, InvalidBatch> {
    batch.verify_crc()?;
    let header = batch.header();
    validate_counts(header)?;
    validate_producer(header)?;
    let codec = header.codec()?;
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(InvalidBatch::LogAppendTime);
    }
    let walks = codec == Codec::None || rules.depth == Depth::Records || rules.is_compacted;
    if walks { validate_records(batch, rules) } else { validate_timestamps(header, rules) }
}

fn validate_counts(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let BatchHeader { base_offset, last_offset_delta, record_count, .. } = *header;
    if base_offset != Offset::ZERO {
        return Err(InvalidBatch::BaseOffset { base_offset });
    }
    if record_count <= 0 {
        return Err(InvalidBatch::RecordCount { record_count });
    }
    if last_offset_delta != record_count - 1 {
        return Err(InvalidBatch::OffsetRange { last_offset_delta, record_count });
    }
    Ok(())
}

fn validate_producer(header: &BatchHeader) -> Result<(), InvalidBatch> {
    if header.is_control() {
        return Err(InvalidBatch::Control);
    }
    match header.producer_id {
        Some(id) if header.base_sequence.is_none() => {
            Err(InvalidBatch::SequenceMissing { producer_id: id.0 })
        }
        Some(id) if header.producer_epoch.is_none() => {
            Err(InvalidBatch::ProducerEpochMissing { producer_id: id.0 })
        }
        None if header.is_transactional() => Err(InvalidBatch::ProducerIdMissing),
        Some(_) | None => Ok(()),
    }
}

/// All that a header tells of timestamps: the first record's and the largest.
fn validate_timestamps(
    header: &BatchHeader,
    rules: &ValidationRules,
) -> Result<Validated, InvalidBatch> {
    for timestamp in [header.base_timestamp, header.max_timestamp] {
        if let Some(RecordFault::Timestamp { timestamp, earliest, latest }) =
            timestamp_fault(timestamp, rules)
        {
            return Err(InvalidBatch::Timestamp { timestamp, earliest, latest });
        }
    }
    Ok(Validated { max_timestamp: header.max_timestamp })
}

fn validate_records(
    batch: &RecordBatch,
    rules: &ValidationRules,
) -> Result<Validated, InvalidBatch> {
    let mut max_timestamp = TimestampMs(NO_TIMESTAMP);
    let mut invalid = Vec::new();
    let mut gap = None;
    walk(batch, rules.decompressed_size_bytes_max, |record_index, skeleton| {
        let &Skeleton { timestamp_delta, offset_delta, has_key } = skeleton;
        // Below the record count, an i32.
        if offset_delta != record_index as i32 {
            gap = Some(InvalidBatch::OffsetDelta { record_index, offset_delta });
            return false;
        }
        let timestamp = record_timestamp(batch.header(), timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        let fault = if rules.is_compacted && !has_key {
            Some(RecordFault::KeyMissing)
        } else {
            timestamp_fault(timestamp, rules)
        };
        if let Some(fault) = fault {
            invalid.push(InvalidRecord { record_index, fault });
        }
        invalid.len() < INVALID_RECORDS_MAX
    })
    .map_err(|(record_index, source)| InvalidBatch::Record { record_index, source })?;
    match gap {
        Some(gap) => Err(gap),
        None if !invalid.is_empty() => Err(InvalidBatch::Records(invalid)),
        None => Ok(Validated { max_timestamp }),
    }
}

fn timestamp_fault(timestamp: TimestampMs, rules: &ValidationRules) -> Option<RecordFault> {
    let TimestampMs(timestamp) = timestamp;
    if rules.timestamp_type == TimestampType::LogAppendTime || timestamp == NO_TIMESTAMP {
        return None;
    }
    // The limits are often i64::MAX, "none".
    let earliest = rules.now.0.saturating_sub(rules.timestamp_before_max_ms);
    let latest = rules.now.0.saturating_add(rules.timestamp_after_max_ms);
    (!(earliest..=latest).contains(&timestamp)).then_some(RecordFault::Timestamp {
        timestamp,
        earliest,
        latest,
    })
}

fn first_index(records: &[InvalidRecord]) -> u32 {
    records.first().map_or(0, |record| record.record_index)
}
