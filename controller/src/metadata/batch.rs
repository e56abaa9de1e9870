//! Metadata records as batches of the metadata log, in the versions of Apache Kafka 4.3.

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, TimestampMs};
use protocol::record_batch::{BatchBuilder, BatchError, BatchOptions, RecordBatch, RecordError};
use protocol::records::metadata::{BrokerRegistrationChangeRecord, MetadataRecord};
use protocol::wire::DecodeError;

use crate::raft::{ControlRecord, ControlRecordError, decode_control_batch};

/// Bounds a batch that claims to be compressed; Kafka writes metadata batches of at most 8 MiB, and
/// never compresses them.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 8 << 20;

/// A decoded batch.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataBatch {
    pub base_offset: Offset,
    /// The offset after its last record.
    pub next_offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub max_timestamp: TimestampMs,
    pub content: BatchContent,
}

/// What a batch holds; the two are never mixed.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchContent {
    /// KRaft's own records.
    Control(Vec<(Offset, ControlRecord)>),
    Metadata(Vec<(Offset, MetadataRecord)>),
}

/// Why bytes are no batch of the metadata log.
#[derive(Debug, thiserror::Error)]
pub enum MetadataBatchError {
    #[error("bytes of the metadata log are no batch")]
    Batch(#[from] BatchError),
    #[error("the batch at offset {base_offset} cannot be read")]
    Records { base_offset: Offset, source: RecordError },
    #[error(transparent)]
    Control(#[from] ControlRecordError),
    #[error("the metadata record at offset {offset} has no value")]
    NoValue { offset: Offset },
    #[error("the metadata record at offset {offset} cannot be decoded")]
    Decode { offset: Offset, source: DecodeError },
}

/// The version to write `record` in, at our `metadata.version`. Registration changes take the lowest
/// version that carries what they say, as Kafka does; all others have one version per level.
fn version_of(record: &MetadataRecord) -> i16 {
    match record {
        MetadataRecord::RegisterBroker(_) => 4,
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => 2,
        MetadataRecord::BrokerRegistrationChange(change) => registration_change_version(change),
        _ => 0,
    }
}

fn registration_change_version(change: &BrokerRegistrationChangeRecord) -> i16 {
    if change.cordoned_log_dirs.is_some() {
        3
    } else if !change.log_dirs.is_empty() {
        2
    } else if change.in_controlled_shutdown != 0 {
        1
    } else {
        0
    }
}

/// One batch of `records` from `base_offset` on; there must be at least one.
pub fn encode_batch(
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    timestamp: TimestampMs,
    records: &[MetadataRecord],
) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset,
        partition_leader_epoch: Some(leader_epoch),
        ..BatchOptions::default()
    });
    for record in records {
        let value = record
            .encode(version_of(record))
            .unwrap_or_else(|error| panic!("a metadata record of ours has no bytes: {error}"));
        builder.append(timestamp, None, Some(&value), &[]);
    }
    builder.build()
}

/// Decodes one whole batch of the metadata log or of a snapshot, and checks its CRC.
pub fn decode_batch(batch: &RecordBatch) -> Result<MetadataBatch, MetadataBatchError> {
    batch.verify_crc()?;
    let header = batch.header();
    let base_offset = header.base_offset;
    let content = if header.is_control() {
        BatchContent::Control(decode_control_batch(batch)?)
    } else {
        let records = batch
            .records(DECOMPRESSED_SIZE_BYTES_MAX)
            .map_err(|source| MetadataBatchError::Records { base_offset, source })?;
        let mut decoded = Vec::new();
        for record in records {
            let record =
                record.map_err(|source| MetadataBatchError::Records { base_offset, source })?;
            let offset = record.offset;
            let value = record.value.ok_or(MetadataBatchError::NoValue { offset })?;
            let record = MetadataRecord::decode(value)
                .map_err(|source| MetadataBatchError::Decode { offset, source })?;
            decoded.push((offset, record));
        }
        BatchContent::Metadata(decoded)
    };
    Ok(MetadataBatch {
        base_offset,
        next_offset: header.next_offset(),
        leader_epoch: header.partition_leader_epoch,
        max_timestamp: header.max_timestamp,
        content,
    })
}
