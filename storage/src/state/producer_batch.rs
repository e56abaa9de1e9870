//! What a batch tells about its producer.

use protocol::record_batch::{ControlRecordType, EndTxnMarker, RecordBatch};

use super::producers::{ProducerBatch, ProducerContent};

/// A control batch holds one small record: more is none of ours, and not decompressed.
const CONTROL_RECORDS_SIZE_BYTES_MAX: usize = 4096;

/// `None` for a batch without a producer.
pub(crate) fn producer_batch(batch: &RecordBatch) -> Option<ProducerBatch> {
    let header = batch.header();
    let content = if header.is_control() {
        end_marker(batch).unwrap_or(ProducerContent::EmptyControl)
    } else {
        ProducerContent::Data {
            sequences: header.base_sequence.zip(header.last_sequence()),
            transactional: header.is_transactional(),
        }
    };
    Some(ProducerBatch {
        producer_id: header.producer_id?,
        producer_epoch: header.producer_epoch?,
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        content,
    })
}

fn end_marker(batch: &RecordBatch) -> Option<ProducerContent> {
    let record = batch.records(CONTROL_RECORDS_SIZE_BYTES_MAX).ok()?.next()?.ok()?;
    match ControlRecordType::from_key(&record.key?)? {
        kind @ (ControlRecordType::Abort | ControlRecordType::Commit) => {
            let marker = EndTxnMarker::from_value(&record.value?)?;
            let coordinator_epoch = marker.coordinator_epoch;
            let is_abort = kind == ControlRecordType::Abort;
            Some(ProducerContent::EndMarker { coordinator_epoch, is_abort })
        }
        ControlRecordType::LeaderChange
        | ControlRecordType::SnapshotHeader
        | ControlRecordType::SnapshotFooter
        | ControlRecordType::KraftVersion
        | ControlRecordType::KraftVoters => None,
    }
}
