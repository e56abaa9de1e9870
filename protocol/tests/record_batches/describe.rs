//! A batch as text, the same as `testdata/batches/Batches.java` prints it.

use std::fmt::Write;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};
use protocol::record_batch::{RecordBatch, RecordError, TimestampType};

/// More than any batch of these tests decompresses to.
pub const DECOMPRESSED_SIZE_BYTES_MAX: usize = 1 << 20;

const FIELD_BYTES_SHOWN: usize = 32;

pub fn describe(batch: &RecordBatch) -> Result<String, RecordError> {
    batch.verify_crc()?;
    let header = batch.header();
    let mut text = String::new();
    let timestamp_type = match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    write!(text, "batch offsets={}..={}", header.base_offset, header.last_offset()).unwrap();
    write!(text, " leader_epoch={}", LeaderEpoch::to_wire(header.partition_leader_epoch)).unwrap();
    write!(text, " codec={} timestamp_type={timestamp_type}", header.codec()?.name()).unwrap();
    write!(text, " base_timestamp={}", header.base_timestamp.0).unwrap();
    write!(text, " max_timestamp={}", header.max_timestamp.0).unwrap();
    write!(text, " producer={}", ProducerId::to_wire(header.producer_id)).unwrap();
    write!(text, "/{}", ProducerEpoch::to_wire(header.producer_epoch)).unwrap();
    write!(text, " sequences={}", Sequence::to_wire(header.base_sequence)).unwrap();
    write!(text, "..={}", Sequence::to_wire(header.last_sequence())).unwrap();
    write!(text, " transactional={}", header.is_transactional()).unwrap();
    write!(text, " control={}", header.is_control()).unwrap();
    write!(text, " delete_horizon={}", header.has_delete_horizon()).unwrap();
    writeln!(text, " records={}", header.record_count).unwrap();
    for record in batch.records(DECOMPRESSED_SIZE_BYTES_MAX)? {
        let record = record?;
        write!(text, "record offset={} timestamp={}", record.offset, record.timestamp.0).unwrap();
        write!(text, " key={}", field(record.key.as_ref())).unwrap();
        write!(text, " value={}", field(record.value.as_ref())).unwrap();
        let headers: Vec<String> = record
            .headers
            .iter()
            .map(|header| format!("{}:{}", field(Some(&header.key)), field(header.value.as_ref())))
            .collect();
        writeln!(text, " headers={}", headers.join(",")).unwrap();
    }
    Ok(text)
}

fn field(field: Option<&Bytes>) -> String {
    match field {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() <= FIELD_BYTES_SHOWN => format!("x{}", to_hex(bytes)),
        Some(bytes) => format!("{}b{:08x}", bytes.len(), crc32c::crc32c(bytes)),
    }
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
