//! Batches that Apache Kafka wrote read as it reads them, and built again are the same.

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::{
    BatchBuilder, BatchOptions, BatchProducer, Batches, Codec, Compression, ControlRecordType,
    EndTxnMarker, RecordBatch, TimestampAndOffset, TimestampType,
};

use crate::describe::{DECOMPRESSED_SIZE_BYTES_MAX, describe};

/// One file of `testdata/batches`.
pub struct Golden {
    pub name: String,
    pub description: String,
    pub bytes: Bytes,
}

impl Golden {
    pub fn batch(&self) -> RecordBatch {
        RecordBatch::new(self.bytes.clone()).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data from real files")]
pub fn goldens() -> Vec<Golden> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/batches");
    let mut goldens: Vec<Golden> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            parse(name, &std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    goldens.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(goldens.len() >= 22, "{} batches in {folder}", goldens.len());
    goldens
}

pub fn golden(name: &str) -> Golden {
    goldens().into_iter().find(|golden| golden.name == name).unwrap()
}

fn parse(name: String, text: &str) -> Golden {
    let (_comment, text) = text.split_once('\n').unwrap();
    let (description, hex) = text.split_once("bytes\n").unwrap();
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    let bytes = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    Golden { name, description: description.to_owned(), bytes }
}

/// The same records in a batch of our own, with the same codec.
pub fn rebuild(batch: &RecordBatch) -> Bytes {
    let header = batch.header();
    let compression = match header.codec().unwrap() {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::Gzip { level: None },
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd { level: 3 },
    };
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        partition_leader_epoch: header.partition_leader_epoch,
        compression,
        producer: header.producer_id.map(|id| BatchProducer {
            id,
            epoch: header.producer_epoch.unwrap(),
            base_sequence: header.base_sequence,
        }),
        is_transactional: header.is_transactional(),
        is_control: header.is_control(),
    });
    for record in batch.records(DECOMPRESSED_SIZE_BYTES_MAX).unwrap() {
        let record = record.unwrap();
        let headers: Vec<(&[u8], Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|header| (header.key.as_ref(), header.value.as_deref()))
            .collect();
        builder.append(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    builder.build()
}

/// Whether our builder writes such batches: create times, and all offsets from the base on.
pub fn is_buildable(batch: &RecordBatch) -> bool {
    let header = batch.header();
    header.timestamp_type() == TimestampType::CreateTime
        && !header.has_delete_horizon()
        && header.record_count == header.last_offset_delta + 1
}

#[test]
fn kafkas_batches_read_as_kafka_reads_them() {
    for golden in goldens() {
        let name = &golden.name;
        let description = describe(&golden.batch()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(description, golden.description, "{name}");
    }
}

#[test]
fn uncompressed_batches_are_built_byte_for_byte_as_kafka_builds_them() {
    let mut built = 0;
    for golden in goldens() {
        let batch = golden.batch();
        if batch.header().codec() == Ok(Codec::None) && is_buildable(&batch) {
            assert_eq!(rebuild(&batch), golden.bytes, "{}", golden.name);
            built += 1;
        }
    }
    assert_eq!(built, 7);
}

#[test]
fn rebuilt_batches_hold_the_same_records() {
    for golden in goldens() {
        let batch = golden.batch();
        if is_buildable(&batch) {
            let rebuilt = RecordBatch::new(rebuild(&batch)).unwrap();
            assert_eq!(describe(&rebuilt).unwrap(), golden.description, "{}", golden.name);
        }
    }
}

#[test]
fn concatenated_batches_are_told_apart() {
    let goldens = goldens();
    let bytes: Bytes = goldens.iter().flat_map(|golden| golden.bytes.clone()).collect();
    let mut batches = Batches::new(bytes.clone());
    for golden in &goldens {
        assert_eq!(batches.next().unwrap().unwrap().bytes(), &golden.bytes, "{}", golden.name);
    }
    assert!(batches.next().is_none());
    assert_eq!((batches.whole_size_bytes(), batches.partial_size_bytes()), (bytes.len(), 0));
}

#[test]
fn a_batch_cut_short_is_partial_at_every_length() {
    let bytes = [golden("nulls").bytes, golden("gzip").bytes].concat();
    let first_size_bytes = golden("nulls").bytes.len();
    for size_bytes in 0..bytes.len() {
        let mut batches = Batches::new(Bytes::copy_from_slice(&bytes[..size_bytes]));
        let whole = usize::from(size_bytes >= first_size_bytes);
        assert_eq!(batches.by_ref().filter(|batch| batch.is_ok()).count(), whole, "{size_bytes}");
        assert_eq!(batches.whole_size_bytes(), whole * first_size_bytes, "{size_bytes}");
        let partial = size_bytes - whole * first_size_bytes;
        assert_eq!(batches.partial_size_bytes(), partial, "{size_bytes}");
    }
}

#[test]
fn control_records_say_what_they_are() {
    for (name, want) in [
        ("commit", ControlRecordType::Commit),
        ("abort", ControlRecordType::Abort),
        ("leader_change", ControlRecordType::LeaderChange),
    ] {
        let record = golden(name).batch().records(0).unwrap().next().unwrap().unwrap();
        let key = record.key.unwrap();
        assert_eq!(ControlRecordType::from_key(&key), Some(want), "{name}");
        assert_eq!(key, want.key().as_slice(), "{name}");
    }
    let marker = golden("commit").batch().records(0).unwrap().next().unwrap().unwrap();
    let value = marker.value.unwrap();
    assert_eq!(EndTxnMarker::from_value(&value), Some(EndTxnMarker { coordinator_epoch: 12 }));
    assert_eq!(value, EndTxnMarker { coordinator_epoch: 12 }.value().as_slice());
    for unknown in [&[0, 0, 0, 99][..], &[0, 0, 0], &[0x80, 0, 0, 0]] {
        assert_eq!(ControlRecordType::from_key(unknown), None, "{unknown:?}");
    }
}

#[test]
fn records_are_found_by_timestamp() {
    const TIME: i64 = 1_700_000_000_000;
    for (name, target, from_offset, want) in [
        ("none", 0, 0, Some((TIME, 7))),
        ("none", TIME + 1, 0, Some((TIME + 10, 8))),
        ("none", TIME, 9, Some((TIME + 20, 9))),
        ("none", TIME, 10, None),
        ("none", TIME + 21, 0, None),
        ("gzip", TIME + 11, 0, Some((TIME + 20, 9))),
        ("zstd", TIME + 10, 0, Some((TIME + 10, 8))),
        // All records have the time of the append.
        ("log_append_time", 2, 0, Some((TIME, 3))),
        ("compacted", TIME + 1, 0, Some((TIME + 5, 57))),
        ("emptied", 0, 0, None),
    ] {
        let found = golden(name)
            .batch()
            .first_at_or_after(
                protocol::model::TimestampMs(target),
                Offset(from_offset),
                DECOMPRESSED_SIZE_BYTES_MAX,
            )
            .unwrap();
        assert_eq!(found.map(as_pair), want, "{name} {target} {from_offset}");
    }
    for (name, want) in [
        ("snappy", Some((TIME + 20, 9))),
        ("lz4_large", Some((TIME, 0))),
        ("log_append_time", Some((TIME, 3))),
        ("emptied", None),
    ] {
        let found =
            golden(name).batch().first_at_max_timestamp(Offset(0), DECOMPRESSED_SIZE_BYTES_MAX);
        assert_eq!(found.unwrap().map(as_pair), want, "{name}");
    }
}

fn as_pair(found: TimestampAndOffset) -> (i64, i64) {
    (found.timestamp.0, found.offset.0)
}
