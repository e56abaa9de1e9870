//! The records of a batch of which only one is held at a time: a batch may decompress to many times its
//! size.

use bytes::Bytes;

use super::batch::RecordBatch;
use super::codec::{Codec, DecompressError, Decompressor};
use super::header::BatchHeader;
use super::record::{Record, RecordError, Records, read_shared, record_count};
use super::varint::{VARINT_SIZE_BYTES_MAX, unzigzag};

/// How much a streamed batch may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Of all records together, decompressed.
    pub records_size_bytes_max: usize,
    /// Of one record.
    pub record_size_bytes_max: usize,
}

/// See [`RecordBatch::stream`]. An error is the last item; bytes behind the last record are one.
pub struct StreamedRecords<'a>(Inner<'a>);

enum Inner<'a> {
    /// Uncompressed: slices of the batch.
    Slices(Records),
    Stream(Box<Stream<'a>>),
}

struct Stream<'a> {
    decompressor: Decompressor<'a>,
    header: BatchHeader,
    remaining: u32,
    record_size_bytes_max: usize,
    failed: bool,
}

impl RecordBatch {
    /// The batch's records. Those of a compressed batch are decompressed one after the other, each into
    /// memory of its own; those of an uncompressed one are not copied.
    ///
    /// Errors: an unknown codec, a negative count; later what [`RecordBatch::records`] says, and
    /// `LimitExceeded` for a record that is larger than it may be.
    pub fn stream(&self, limits: StreamLimits) -> Result<StreamedRecords<'_>, RecordError> {
        let header = *self.header();
        let codec = header.codec()?;
        if codec == Codec::None {
            return Ok(StreamedRecords(Inner::Slices(
                self.records(limits.records_size_bytes_max)?,
            )));
        }
        let remaining = record_count(&header)?;
        let decompressor =
            Decompressor::new(codec, self.record_slice(), limits.records_size_bytes_max)?;
        let record_size_bytes_max = limits.record_size_bytes_max;
        let stream =
            Stream { decompressor, header, remaining, record_size_bytes_max, failed: false };
        Ok(StreamedRecords(Inner::Stream(Box::new(stream))))
    }
}

impl Iterator for StreamedRecords<'_> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Slices(records) => records.next(),
            Inner::Stream(stream) => stream.next(),
        }
    }
}

impl Stream<'_> {
    fn next(&mut self) -> Option<Result<Record, RecordError>> {
        if self.failed {
            return None;
        }
        let item = if self.remaining > 0 {
            self.remaining -= 1;
            self.read()
        } else {
            match self.decompressor.fill_buf() {
                Ok([]) => return None,
                Ok(_) => Err(RecordError::Trailing),
                Err(error) => Err(error.into()),
            }
        };
        self.failed = item.is_err();
        Some(item)
    }

    fn read(&mut self) -> Result<Record, RecordError> {
        // The length, and what it is of, as they stand.
        let mut bytes = Vec::new();
        let length = self.read_length(&mut bytes)?;
        let limit = self.record_size_bytes_max;
        if length > limit {
            return Err(DecompressError::LimitExceeded { limit }.into());
        }
        let end = bytes.len() + length;
        while bytes.len() < end {
            let available = self.decompressor.fill_buf()?;
            let taken = available.get(..available.len().min(end - bytes.len()));
            let taken = taken.filter(|taken| !taken.is_empty()).ok_or(RecordError::Truncated)?;
            bytes.extend_from_slice(taken);
            let size_bytes = taken.len();
            self.decompressor.consume(size_bytes);
        }
        let bytes = Bytes::from(bytes);
        read_shared(&self.header, &bytes, 0).map(|(record, _)| record)
    }

    fn read_length(&mut self, bytes: &mut Vec<u8>) -> Result<usize, RecordError> {
        let mut raw = 0;
        for index in 0..VARINT_SIZE_BYTES_MAX {
            let byte = *self.decompressor.fill_buf()?.first().ok_or(RecordError::Truncated)?;
            self.decompressor.consume(1);
            bytes.push(byte);
            raw |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                // As Kafka's `ByteUtils` does: see `read_record`, which looks at it again.
                let length = unzigzag(u64::from(raw as u32)) as i32;
                return usize::try_from(length).map_err(|_negative| RecordError::Length {
                    length: i64::from(length),
                    available: 0,
                });
            }
        }
        Err(RecordError::Varint { size_bytes_max: VARINT_SIZE_BYTES_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchOptions, Compression};
    use super::*;
    use crate::model::TimestampMs;

    const PLENTY: StreamLimits =
        StreamLimits { records_size_bytes_max: 1 << 20, record_size_bytes_max: 1 << 20 };

    fn batch(codec: Codec, sizes: &[usize]) -> RecordBatch {
        let compression = Compression::usual(codec);
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        for (n, size_bytes) in sizes.iter().enumerate() {
            let value = vec![n as u8; *size_bytes];
            let value = (n != 1).then_some(&value[..]);
            builder.append(TimestampMs(1000), Some(&[n as u8]), value, &[(b"h", Some(b"v"))]);
        }
        RecordBatch::new(builder.build()).expect("a batch")
    }

    #[test]
    fn a_stream_has_the_records_of_the_batch() {
        for codec in Codec::ALL {
            let batch = batch(codec, &[10, 0, 20_000, 100_000, 1]);
            let all: Vec<Record> =
                batch.records(1 << 20).expect("readable").map(|it| it.expect("a record")).collect();
            let streamed: Vec<Record> =
                batch.stream(PLENTY).expect("readable").map(|it| it.expect("a record")).collect();
            assert_eq!(streamed, all, "{codec:?}");
        }
    }

    #[test]
    fn a_record_has_a_limit_and_so_have_all_together() {
        for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
            let batch = batch(codec, &[10, 0, 20_000, 9]);
            for (limits, want) in [
                (StreamLimits { record_size_bytes_max: 19_000, ..PLENTY }, 2..3),
                // Codecs decompress some bytes, or a block, ahead.
                (StreamLimits { records_size_bytes_max: 20_000, ..PLENTY }, 0..3),
                (StreamLimits { record_size_bytes_max: 21_000, ..PLENTY }, 4..5),
            ] {
                let mut stream = batch.stream(limits).expect("readable");
                let read = stream.by_ref().take_while(Result::is_ok).count();
                assert!(want.contains(&read), "{codec:?} {limits:?}: {read}");
                assert!(stream.next().is_none());
            }
        }
    }
}
