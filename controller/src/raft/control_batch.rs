//! Control records of the metadata log and of snapshots: what KRaft itself writes.

use bytes::Bytes;
use protocol::model::{BrokerId, LeaderEpoch, Offset, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, ControlRecordType, RecordBatch, RecordError,
};
use protocol::records::control::leader_change_message::Voter;
use protocol::records::control::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use protocol::wire::{DecodeError, Message};

use super::{KraftVersion, VoterSet};

/// Every control record is written in its first version, as Apache Kafka 4.3 does.
const VERSION: i16 = 0;

/// Batches of control records are never compressed; this bounds one that claims to be.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 1 << 20;

/// One control record. Source: KIP-595, KIP-630, KIP-853.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KraftVersion(KRaftVersionRecord),
    KraftVoters(VotersRecord),
}

/// Why a control batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ControlRecordError {
    #[error("a control batch of the metadata log cannot be read")]
    Records(#[from] RecordError),
    #[error("the control record at offset {offset} has no value")]
    NoValue { offset: Offset },
    #[error("the control record at offset {offset} is of a type that the metadata log never holds")]
    Type { offset: Offset },
    #[error("the control record at offset {offset} cannot be decoded")]
    Decode { offset: Offset, source: DecodeError },
}

impl ControlRecord {
    /// `leader` leads; all of `voters` have granted it.
    pub fn leader_change(leader: BrokerId, voters: &VoterSet) -> Self {
        let voters: Vec<_> =
            voters.ids().map(|id| Voter { voter_id: id.0, ..Voter::default() }).collect();
        ControlRecord::LeaderChange(LeaderChangeMessage {
            version: VERSION,
            leader_id: leader.0,
            granting_voters: voters.clone(),
            voters,
        })
    }

    pub fn kraft_version(version: KraftVersion) -> Self {
        ControlRecord::KraftVersion(KRaftVersionRecord {
            version: VERSION,
            kraft_version: version.level(),
        })
    }

    pub fn snapshot_header(last_contained_log_timestamp: TimestampMs) -> Self {
        ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
            version: VERSION,
            last_contained_log_timestamp: last_contained_log_timestamp.0,
        })
    }

    pub fn snapshot_footer() -> Self {
        ControlRecord::SnapshotFooter(SnapshotFooterRecord { version: VERSION })
    }

    fn encode(&self) -> (ControlRecordType, Bytes) {
        let (kind, encoded) = match self {
            ControlRecord::LeaderChange(record) => {
                (ControlRecordType::LeaderChange, record.to_encoded(VERSION))
            }
            ControlRecord::SnapshotHeader(record) => {
                (ControlRecordType::SnapshotHeader, record.to_encoded(VERSION))
            }
            ControlRecord::SnapshotFooter(record) => {
                (ControlRecordType::SnapshotFooter, record.to_encoded(VERSION))
            }
            ControlRecord::KraftVersion(record) => {
                (ControlRecordType::KraftVersion, record.to_encoded(VERSION))
            }
            ControlRecord::KraftVoters(record) => {
                (ControlRecordType::KraftVoters, record.to_encoded(VERSION))
            }
        };
        let encoded = encoded.expect("version 0 carries all that we put in a control record");
        (kind, encoded.contiguous())
    }

    fn decode(
        kind: ControlRecordType,
        offset: Offset,
        value: Bytes,
    ) -> Result<Self, ControlRecordError> {
        // Every control record begins with its own version.
        let version =
            value.first_chunk::<2>().map_or(VERSION, |version| i16::from_be_bytes(*version));
        let decoded = match kind {
            ControlRecordType::LeaderChange => {
                Message::decode_all(value, version).map(ControlRecord::LeaderChange)
            }
            ControlRecordType::SnapshotHeader => {
                Message::decode_all(value, version).map(ControlRecord::SnapshotHeader)
            }
            ControlRecordType::SnapshotFooter => {
                Message::decode_all(value, version).map(ControlRecord::SnapshotFooter)
            }
            ControlRecordType::KraftVersion => {
                Message::decode_all(value, version).map(ControlRecord::KraftVersion)
            }
            ControlRecordType::KraftVoters => {
                Message::decode_all(value, version).map(ControlRecord::KraftVoters)
            }
            ControlRecordType::Abort | ControlRecordType::Commit => {
                return Err(ControlRecordError::Type { offset });
            }
        };
        decoded.map_err(|source| ControlRecordError::Decode { offset, source })
    }
}

/// A control batch of `records` from `base_offset` on.
pub fn encode_control_batch(
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    timestamp: TimestampMs,
    records: &[ControlRecord],
) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset,
        partition_leader_epoch: Some(leader_epoch),
        is_control: true,
        ..BatchOptions::default()
    });
    for record in records {
        let (kind, value) = record.encode();
        builder.append_control(timestamp, kind, &value);
    }
    builder.build()
}

/// The records of a control batch. A record of a type that we do not know is skipped, as Kafka does.
pub fn decode_control_batch(
    batch: &RecordBatch,
) -> Result<Vec<(Offset, ControlRecord)>, ControlRecordError> {
    let mut decoded = Vec::new();
    for record in batch.records(DECOMPRESSED_SIZE_BYTES_MAX)? {
        let record = record?;
        let offset = record.offset;
        let key = record.key.unwrap_or_default();
        if let Some(kind) = ControlRecordType::from_key(&key) {
            let value = record.value.ok_or(ControlRecordError::NoValue { offset })?;
            decoded.push((offset, ControlRecord::decode(kind, offset, value)?));
        }
    }
    Ok(decoded)
}
