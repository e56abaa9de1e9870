//! Batches such as no client library makes.

use bytes::Bytes;
use protocol::model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, BatchProducer, Compression, set_max_timestamp,
};

pub const COMPRESSIONS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip { level: None }),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd { level: 3 }),
];

/// Whose batch it is, and its first sequence.
#[derive(Debug, Clone, Copy)]
pub struct Sequences {
    pub producer_id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

fn of_records<'a>(
    options: BatchOptions,
    records: impl IntoIterator<Item = (i64, Option<&'a [u8]>, &'a [u8])>,
) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value) in records {
        builder.append(TimestampMs(timestamp), key, Some(value), &[]);
    }
    builder.build()
}

/// One record for each time.
pub fn timed(timestamps: &[i64]) -> Bytes {
    let record = |&timestamp: &i64| (timestamp, Some(&b"key"[..]), &b"value"[..]);
    of_records(BatchOptions::default(), timestamps.iter().map(record))
}

/// One record for each item, with a key or without.
pub fn keyed(has_key: &[bool], timestamp: i64) -> Bytes {
    let record = |has_key: &bool| (timestamp, has_key.then_some(&b"key"[..]), &b"value"[..]);
    of_records(BatchOptions::default(), has_key.iter().map(record))
}

pub fn large(size_bytes: usize, timestamp: i64) -> Bytes {
    let value = vec![b'x'; size_bytes];
    of_records(BatchOptions::default(), [(timestamp, None, &value[..])])
}

pub fn compressed(compression: Compression, count: usize, timestamp: i64) -> Bytes {
    let options = BatchOptions { compression, ..BatchOptions::default() };
    let record = (timestamp, Some(&b"key"[..]), &b"a value of some words, words, words"[..]);
    of_records(options, std::iter::repeat_n(record, count))
}

/// One record of a single letter, `size_bytes` times.
pub fn repetitive(compression: Compression, size_bytes: usize, timestamp: i64) -> Bytes {
    let options = BatchOptions { compression, ..BatchOptions::default() };
    let value = vec![b'x'; size_bytes];
    of_records(options, [(timestamp, None, &value[..])])
}

pub fn idempotent(sequences: Sequences, count: usize, timestamp: i64) -> Bytes {
    let producer = BatchProducer {
        id: ProducerId(sequences.producer_id),
        epoch: ProducerEpoch(sequences.epoch),
        base_sequence: Some(Sequence(sequences.sequence)),
    };
    let options = BatchOptions { producer: Some(producer), ..BatchOptions::default() };
    of_records(options, std::iter::repeat_n((timestamp, None, &b"value"[..]), count))
}

/// `batch` with other bytes, and a CRC that is now wrong.
pub fn changed(batch: &Bytes, change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    bytes.into()
}

/// `batch` with other bytes and their CRC.
pub fn with_crc(batch: &Bytes, change: impl FnOnce(&mut [u8])) -> Bytes {
    changed(batch, |bytes| {
        change(bytes);
        let max_timestamp = bytes[35..43].try_into().expect("eight bytes");
        set_max_timestamp(bytes, TimestampMs(i64::from_be_bytes(max_timestamp)));
    })
}

/// `batch` with another magic; what follows is not in that format.
pub fn with_magic(batch: &Bytes, magic: u8) -> Bytes {
    with_crc(batch, |bytes| bytes[16] = magic)
}
