//! The records of a batch, one after the other, as slices of its (decompressed) bytes.

use bytes::Bytes;

use crate::model::{Offset, OffsetDelta, TimestampMs};

use super::batch::RecordBatch;
use super::codec::{Codec, DecompressError, Decompressor, decompress};
use super::header::{BatchError, BatchHeader, TimestampType};
use super::varint::{VARINT_SIZE_BYTES_MAX, VARLONG_SIZE_BYTES_MAX, unzigzag};

/// The shortest header: a one-byte key length and a one-byte value length.
const HEADER_ON_WIRE_BYTES_MIN: usize = 2;

/// Why a batch's records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error("record count {record_count} is negative")]
    RecordCount { record_count: i32 },
    #[error("the records end within a record")]
    Truncated,
    #[error("a variable-length integer goes on for more than {size_bytes_max} bytes")]
    Varint { size_bytes_max: usize },
    #[error("a length of {length} where {available} bytes of the record are left")]
    Length { length: i64, available: usize },
    #[error("{header_count} headers where {available} bytes of the record are left")]
    HeaderCount { header_count: i64, available: usize },
    #[error("record ends {unread} bytes before its length says")]
    RecordSize { unread: usize },
    #[error("offset delta {offset_delta} leads out of the batch")]
    OffsetDelta { offset_delta: i32 },
    #[error("bytes follow the last record")]
    Trailing,
}

/// One record, its bytes shared with the batch (or with the one buffer that it was decompressed into).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A record's header. Kafka's clients write UTF-8 keys; the broker does not look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl RecordBatch {
    /// The batch's records. A compressed batch is decompressed at once into one buffer of at most
    /// `decompressed_size_bytes_max`; an uncompressed one is not copied.
    ///
    /// Errors: an unknown codec, a compressed stream that is bad or exceeds the limit, a negative count.
    pub fn records(&self, decompressed_size_bytes_max: usize) -> Result<Records, RecordError> {
        let header = *self.header();
        let remaining = record_count(&header)?;
        let bytes = match header.codec()? {
            Codec::None => self.record_bytes(),
            codec => decompress(codec, &self.record_bytes(), decompressed_size_bytes_max)?,
        };
        Ok(Records { bytes, position: 0, header, remaining, failed: false })
    }
}

/// See [`RecordBatch::records`]. An error is the last item; bytes behind the last record are one.
#[derive(Clone, Debug)]
pub struct Records {
    bytes: Bytes,
    position: usize,
    header: BatchHeader,
    remaining: u32,
    failed: bool,
}

impl Records {
    fn read(&mut self) -> Result<Record, RecordError> {
        let (record, position) = read_shared(&self.header, &self.bytes, self.position)?;
        self.position = position;
        Ok(record)
    }
}

/// The record at `position` of `bytes`, shared with these, and where the next one begins.
pub(super) fn read_shared(
    header: &BatchHeader,
    bytes: &Bytes,
    position: usize,
) -> Result<(Record, usize), RecordError> {
    let mut source = SliceSource { bytes, position };
    let mut headers = Vec::new();
    let raw = read_record(&mut source, |key, value| {
        headers.push(Header {
            key: bytes.slice_ref(key),
            value: value.map(|value| bytes.slice_ref(value)),
        });
    })?;
    let record = Record {
        offset: record_offset(header, raw.offset_delta)?,
        timestamp: record_timestamp(header, raw.timestamp_delta),
        key: raw.key.map(|key| bytes.slice_ref(key)),
        value: raw.value.map(|value| bytes.slice_ref(value)),
        headers,
    };
    Ok((record, source.position))
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = if self.remaining > 0 {
            self.remaining -= 1;
            self.read()
        } else if self.position < self.bytes.len() {
            Err(RecordError::Trailing)
        } else {
            return None;
        };
        self.failed = item.is_err();
        Some(item)
    }
}

/// Reads all records of `batch` without keeping them: `visit` gets each one's number from 0 and its
/// skeleton. A compressed batch is streamed through a small buffer. Stops when `visit` answers false;
/// otherwise the count and the end of the bytes have been checked on return.
pub(super) fn walk(
    batch: &RecordBatch,
    decompressed_size_bytes_max: usize,
    visit: impl FnMut(u32, &Skeleton) -> bool,
) -> Result<(), (u32, RecordError)> {
    let header = batch.header();
    let record_count = record_count(header).map_err(|error| (0, error))?;
    let record_bytes = batch.record_bytes();
    match header.codec().map_err(|error| (0, error.into()))? {
        Codec::None => {
            let source = SliceSource { bytes: &record_bytes, position: 0 };
            walk_source(source, record_count, visit)
        }
        codec => {
            let stream = Decompressor::new(codec, &record_bytes, decompressed_size_bytes_max)
                .map_err(|error| (0, error.into()))?;
            walk_source(StreamSource { stream, position: 0 }, record_count, visit)
        }
    }
}

fn walk_source<S: Source>(
    mut source: S,
    record_count: u32,
    mut visit: impl FnMut(u32, &Skeleton) -> bool,
) -> Result<(), (u32, RecordError)> {
    for index in 0..record_count {
        let raw = read_record(&mut source, |_key, _value| {}).map_err(|error| (index, error))?;
        let skeleton = Skeleton {
            timestamp_delta: raw.timestamp_delta,
            offset_delta: raw.offset_delta,
            has_key: raw.key.is_some(),
        };
        if !visit(index, &skeleton) {
            return Ok(());
        }
    }
    match source.is_at_end().map_err(|error| (record_count, error))? {
        true => Ok(()),
        false => Err((record_count, RecordError::Trailing)),
    }
}

/// What of a record is left when its bytes are not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skeleton {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub has_key: bool,
}

pub(super) fn record_timestamp(header: &BatchHeader, timestamp_delta: i64) -> TimestampMs {
    match header.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        // Wraps as Java's does: with made-up deltas every result is as good as any other.
        TimestampType::CreateTime => {
            TimestampMs(header.base_timestamp.0.wrapping_add(timestamp_delta))
        }
    }
}

pub(super) fn record_offset(
    header: &BatchHeader,
    offset_delta: i32,
) -> Result<Offset, RecordError> {
    if (0..=header.last_offset_delta).contains(&offset_delta) {
        Ok(header.base_offset + OffsetDelta(i64::from(offset_delta)))
    } else {
        Err(RecordError::OffsetDelta { offset_delta })
    }
}

pub(super) fn record_count(header: &BatchHeader) -> Result<u32, RecordError> {
    let record_count = header.record_count;
    u32::try_from(record_count).map_err(|_negative| RecordError::RecordCount { record_count })
}

struct RawRecord<F> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<F>,
    value: Option<F>,
}

/// Where the bytes of records come from: memory, or a stream that decompresses.
trait Source {
    /// What is left of a key or value that was read.
    type Field;
    fn position(&self) -> usize;
    fn byte(&mut self) -> Result<u8, RecordError>;
    fn field(&mut self, size_bytes: usize) -> Result<Self::Field, RecordError>;
    fn is_at_end(&mut self) -> Result<bool, RecordError>;
}

struct SliceSource<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Source for SliceSource<'a> {
    type Field = &'a [u8];

    fn position(&self) -> usize {
        self.position
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = *self.bytes.get(self.position).ok_or(RecordError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    #[inline]
    fn field(&mut self, size_bytes: usize) -> Result<&'a [u8], RecordError> {
        let rest = self.bytes.get(self.position..).ok_or(RecordError::Truncated)?;
        let field = rest.get(..size_bytes).ok_or(RecordError::Truncated)?;
        self.position += size_bytes;
        Ok(field)
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.position == self.bytes.len())
    }
}

struct StreamSource<'a> {
    stream: Decompressor<'a>,
    position: usize,
}

impl Source for StreamSource<'_> {
    type Field = ();

    fn position(&self) -> usize {
        self.position
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = *self.stream.fill_buf()?.first().ok_or(RecordError::Truncated)?;
        self.stream.consume(1);
        self.position += 1;
        Ok(byte)
    }

    fn field(&mut self, size_bytes: usize) -> Result<(), RecordError> {
        let mut left = size_bytes;
        while left > 0 {
            let available = self.stream.fill_buf()?.len().min(left);
            if available == 0 {
                return Err(RecordError::Truncated);
            }
            self.stream.consume(available);
            left -= available;
        }
        self.position += size_bytes;
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.stream.fill_buf()?.is_empty())
    }
}

/// Reads one record: length, attributes (unused), timestamp delta, offset delta, key, value, headers.
/// Every field has to fit in the record's own length, so that a record never reads into the next one.
fn read_record<S: Source>(
    source: &mut S,
    mut on_header: impl FnMut(S::Field, Option<S::Field>),
) -> Result<RawRecord<S::Field>, RecordError> {
    let length = read_varint(source)?;
    let length = usize::try_from(length)
        .map_err(|_negative| RecordError::Length { length: i64::from(length), available: 0 })?;
    // Cannot overflow: a length is below 2^31 and a position counts bytes that exist.
    let mut body = Body { end: source.position() + length, source };
    body.byte()?;
    let timestamp_delta = body.varlong()?;
    let offset_delta = body.varint()?;
    let key = body.nullable_field()?;
    let value = body.nullable_field()?;
    for _ in 0..body.header_count()? {
        let key_length = body.varint()?;
        let header_key = body.field(key_length)?;
        on_header(header_key, body.nullable_field()?);
    }
    match body.available() {
        0 => Ok(RawRecord { timestamp_delta, offset_delta, key, value }),
        unread => Err(RecordError::RecordSize { unread }),
    }
}

/// The rest of one record, up to the end that its length gives.
struct Body<'s, S> {
    source: &'s mut S,
    end: usize,
}

impl<S: Source> Body<'_, S> {
    #[inline]
    fn available(&self) -> usize {
        self.end - self.source.position()
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        if self.available() == 0 {
            return Err(RecordError::Length { length: 1, available: 0 });
        }
        self.source.byte()
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, RecordError> {
        read_varint_with(|| self.byte())
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, RecordError> {
        let raw = read_raw(VARLONG_SIZE_BYTES_MAX, || self.byte())?;
        Ok(unzigzag(raw))
    }

    #[inline]
    fn field(&mut self, length: i32) -> Result<S::Field, RecordError> {
        let available = self.available();
        match usize::try_from(length) {
            Ok(size_bytes) if size_bytes <= available => self.source.field(size_bytes),
            Ok(_) | Err(_) => Err(RecordError::Length { length: i64::from(length), available }),
        }
    }

    /// Any negative length is null, as for Kafka's `DefaultRecord`.
    #[inline]
    fn nullable_field(&mut self) -> Result<Option<S::Field>, RecordError> {
        let length = self.varint()?;
        if length < 0 { Ok(None) } else { self.field(length).map(Some) }
    }

    #[inline]
    fn header_count(&mut self) -> Result<usize, RecordError> {
        let count = self.varint()?;
        let available = self.available();
        match usize::try_from(count) {
            Ok(count) if count <= available / HEADER_ON_WIRE_BYTES_MIN => Ok(count),
            Ok(_) | Err(_) => {
                Err(RecordError::HeaderCount { header_count: i64::from(count), available })
            }
        }
    }
}

#[inline]
fn read_varint<S: Source>(source: &mut S) -> Result<i32, RecordError> {
    read_varint_with(|| source.byte())
}

#[inline]
fn read_varint_with(byte: impl FnMut() -> Result<u8, RecordError>) -> Result<i32, RecordError> {
    // Bits of the fifth byte that an `i32` has no place for are dropped, as Kafka's `ByteUtils` does.
    let raw = read_raw(VARINT_SIZE_BYTES_MAX, byte)? as u32;
    Ok(unzigzag(u64::from(raw)) as i32)
}

#[inline]
fn read_raw(
    size_bytes_max: usize,
    mut byte: impl FnMut() -> Result<u8, RecordError>,
) -> Result<u64, RecordError> {
    // Nearly all of a record's integers are of one byte.
    let first = byte()?;
    let mut raw = u64::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Ok(raw);
    }
    for index in 1..size_bytes_max {
        let next = byte()?;
        // At most 7 * 9 = 63: a shift that exists.
        raw |= u64::from(next & 0x7f) << (7 * index);
        if next & 0x80 == 0 {
            return Ok(raw);
        }
    }
    Err(RecordError::Varint { size_bytes_max })
}
