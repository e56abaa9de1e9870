//! Writes batches: what the broker itself appends (markers, metadata, offsets) and what tests produce.

use bytes::Bytes;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::codec::Compression;
use super::control::ControlRecordType;
use super::header::{
    HEADER_SIZE_BYTES, LOG_OVERHEAD_BYTES, MAGIC, attribute, compute_crc, position,
};
use super::varint;

/// Who produces a batch: for idempotence, transactions and transaction markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// `None` in transaction markers only.
    pub base_sequence: Option<Sequence>,
}

/// What a batch says of all its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    pub base_offset: Offset,
    pub partition_leader_epoch: Option<LeaderEpoch>,
    pub compression: Compression,
    pub producer: Option<BatchProducer>,
    pub is_transactional: bool,
    pub is_control: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions {
            base_offset: Offset::ZERO,
            partition_leader_epoch: None,
            compression: Compression::None,
            producer: None,
            is_transactional: false,
            is_control: false,
        }
    }
}

/// Gathers records, whose offsets count up from the base offset, into one batch with create times.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    options: BatchOptions,
    records: Vec<u8>,
    record_count: i32,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> BatchBuilder {
        BatchBuilder {
            options,
            records: Vec::new(),
            record_count: 0,
            base_timestamp: TimestampMs(0),
            max_timestamp: TimestampMs(0),
        }
    }

    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Size of the batch if it were built now without compression.
    pub fn size_bytes(&self) -> usize {
        HEADER_SIZE_BYTES + self.records.len()
    }

    /// Adds one record. The first one's timestamp becomes the batch's base timestamp.
    pub fn append(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let offset_delta = i64::from(self.record_count);

        write_record(
            &mut self.records,
            timestamp_delta,
            offset_delta,
            &Fields { key, value, headers },
        );
        self.record_count += 1;
    }

    /// Adds one control record; the batch has to be a control batch.
    pub fn append_control(
        &mut self,
        timestamp: TimestampMs,
        control_type: ControlRecordType,
        value: &[u8],
    ) {
        assert!(self.options.is_control, "control records go in control batches");
        self.append(timestamp, Some(&control_type.key()), Some(value), &[]);
    }

    /// The finished batch. Panics without a record, and when it exceeds what a length field can say
    /// (2 GiB): both are the caller's to prevent.
    pub fn build(self) -> Bytes {
        assert!(self.record_count > 0, "a batch is built of at least one record");
        let options = self.options;
        let mut batch = Vec::with_capacity(self.size_bytes());
        self.write_header(&mut batch);
        options
            .compression
            .write(&self.records, &mut batch)
            .unwrap_or_else(|error| panic!("compression into memory: {error}"));
        let batch_length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES)
            .unwrap_or_else(|_| panic!("a batch of {} bytes has no length field", batch.len()));
        patch(&mut batch, position::BATCH_LENGTH, batch_length.to_be_bytes());
        let crc = compute_crc(&batch);
        patch(&mut batch, position::CRC, crc.to_be_bytes());
        batch.into()
    }

    /// All header fields, the length and the CRC as zeros.
    fn write_header(&self, out: &mut Vec<u8>) {
        let options = &self.options;
        let producer = options.producer;
        let producer_id = ProducerId::to_wire(producer.map(|producer| producer.id));
        let producer_epoch = ProducerEpoch::to_wire(producer.map(|producer| producer.epoch));
        let base_sequence = Sequence::to_wire(producer.and_then(|producer| producer.base_sequence));
        out.extend_from_slice(&options.base_offset.0.to_be_bytes());
        out.extend_from_slice(&0_i32.to_be_bytes());
        out.extend_from_slice(&LeaderEpoch::to_wire(options.partition_leader_epoch).to_be_bytes());
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&0_u32.to_be_bytes());
        out.extend_from_slice(&self.attributes().to_be_bytes());
        out.extend_from_slice(&(self.record_count - 1).to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.0.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.0.to_be_bytes());
        out.extend_from_slice(&producer_id.to_be_bytes());
        out.extend_from_slice(&producer_epoch.to_be_bytes());
        out.extend_from_slice(&base_sequence.to_be_bytes());
        out.extend_from_slice(&self.record_count.to_be_bytes());
        assert!(out.len() == HEADER_SIZE_BYTES, "{} bytes of header", out.len());
    }

    fn attributes(&self) -> i16 {
        let mut attributes = self.options.compression.codec().id();
        if self.options.is_transactional {
            attributes |= attribute::TRANSACTIONAL;
        }
        if self.options.is_control {
            attributes |= attribute::CONTROL;
        }
        attributes
    }
}

/// What a record says.
pub(super) struct Fields<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Appends one record to `out`, its length first.
pub(super) fn write_record(
    out: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i64,
    fields: &Fields<'_>,
) {
    let &Fields { key, value, headers } = fields;
    let body_size_bytes = 1
        + varint::size_bytes(timestamp_delta)
        + varint::size_bytes(offset_delta)
        + field_size_bytes(key)
        + field_size_bytes(value)
        + varint::size_bytes(headers.len() as i64)
        + headers
            .iter()
            .map(|&(key, value)| field_size_bytes(Some(key)) + field_size_bytes(value))
            .sum::<usize>();
    varint::write(out, body_size_bytes as i64);
    let body_position = out.len();
    // Record attributes: no bit of them is in use.
    out.push(0);
    varint::write(out, timestamp_delta);
    varint::write(out, offset_delta);
    write_field(out, key);
    write_field(out, value);
    varint::write(out, headers.len() as i64);
    for &(key, value) in headers {
        write_field(out, Some(key));
        write_field(out, value);
    }
    assert!(out.len() - body_position == body_size_bytes, "a record's length is its size");
}

fn field_size_bytes(field: Option<&[u8]>) -> usize {
    match field {
        Some(field) => varint::size_bytes(field.len() as i64) + field.len(),
        None => varint::size_bytes(-1),
    }
}

fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            varint::write(out, field.len() as i64);
            out.extend_from_slice(field);
        }
        None => varint::write(out, -1),
    }
}

pub(super) fn patch<const N: usize>(batch: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(field) = batch.get_mut(at..at + N) {
        field.copy_from_slice(&bytes);
    }
}
