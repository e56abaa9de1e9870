//! Compressed records stay within their limit, whatever their bytes claim.

use std::io::Write;

use bytes::Bytes;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, Codec, Compression, DecompressError, HEADER_SIZE_BYTES,
    RecordBatch, RecordError, set_max_timestamp,
};

const COMPRESSIONS: [Compression; 4] = [
    Compression::Gzip { level: None },
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd { level: 3 },
];

/// A batch of one record whose value is `size_bytes` zeros.
fn zeros(compression: Compression, size_bytes: usize) -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    builder.append(TimestampMs(1), None, Some(&vec![0; size_bytes]), &[]);
    RecordBatch::new(builder.build()).unwrap()
}

/// `batch` with other bytes in place of its records.
fn with_records(batch: &RecordBatch, records: &[u8]) -> RecordBatch {
    let mut bytes = [&batch.bytes()[..HEADER_SIZE_BYTES], records].concat();
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    set_max_timestamp(&mut bytes, TimestampMs(1));
    let batch = RecordBatch::new(bytes.into()).unwrap();
    batch.verify_crc().unwrap();
    batch
}

/// What reading all records in one buffer, and streaming them, come to: they must agree.
fn read(batch: &RecordBatch, limit: usize) -> Result<usize, RecordError> {
    let iterated = batch.records(limit).and_then(|mut records| {
        records.try_fold(0, |count, record| record.map(|_record| count + 1))
    });
    // No record has this offset, so that all are walked.
    let walked = batch.first_at_or_after(TimestampMs(i64::MIN), Offset(i64::MAX), limit);
    match (iterated, walked) {
        (Ok(count), Ok(_)) => Ok(count),
        (Err(iterated), Err(walked)) => {
            assert_eq!(iterated.to_string(), walked.to_string());
            Err(iterated)
        }
        (iterated, walked) => panic!("{iterated:?} but streamed {walked:?}"),
    }
}

#[test]
fn a_limit_is_exact_for_every_codec() {
    // Length (3 bytes), attributes, two deltas, null key, value length (3 bytes), value, no headers.
    let plain_size_bytes = 3 + 1 + 1 + 1 + 1 + 3 + 100_000 + 1;
    for compression in COMPRESSIONS {
        let batch = zeros(compression, 100_000);
        assert_eq!(read(&batch, plain_size_bytes).unwrap(), 1, "{compression:?}");
        let error = read(&batch, plain_size_bytes - 1).unwrap_err();
        assert!(
            matches!(error, RecordError::Decompress(DecompressError::LimitExceeded { limit })
                if limit == plain_size_bytes - 1),
            "{compression:?}: {error}"
        );
    }
}

#[test]
fn bombs_are_refused() {
    for compression in COMPRESSIONS {
        let batch = zeros(compression, 16 << 20);
        let error = read(&batch, 1 << 20).unwrap_err();
        assert!(
            matches!(error, RecordError::Decompress(DecompressError::LimitExceeded { .. })),
            "{compression:?}: {error}"
        );
    }
}

#[test]
fn raw_snappy_without_framing_is_read() {
    let batch = zeros(Compression::Snappy, 1000);
    let plain = zeros(Compression::None, 1000).record_bytes();
    let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(read(&with_records(&batch, &raw), 1 << 20).unwrap(), 1);
}

#[test]
fn concatenated_streams_are_read_as_one() {
    for compression in [Compression::Gzip { level: Some(1) }, Compression::Snappy] {
        let batch = zeros(compression, 1000);
        let stream = batch.record_bytes();
        // The second stream holds another record, which the count does not tell of.
        let twice = with_records(&batch, &[stream.clone(), stream].concat());
        let error = read(&twice, 1 << 20).unwrap_err();
        assert!(matches!(error, RecordError::Trailing), "{compression:?}: {error}");
    }
}

#[test]
fn lz4_frames_of_other_writers_are_read() {
    for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
        for checksums in [false, true] {
            let frame = lz4_frame(BlockMode::Independent, block_size, checksums);
            assert_eq!(read(&frame, 1 << 20).unwrap(), 1, "{block_size:?} {checksums}");
        }
    }
}

#[test]
fn linked_lz4_blocks_are_refused_as_kafka_refuses_them() {
    let frame = lz4_frame(BlockMode::Linked, BlockSize::Max64KB, false);
    let error = read(&frame, 1 << 20).unwrap_err();
    assert!(
        matches!(
            error,
            RecordError::Decompress(DecompressError::Corrupt { codec: Codec::Lz4, .. })
        ),
        "{error}"
    );
}

fn lz4_frame(block_mode: BlockMode, block_size: BlockSize, checksums: bool) -> RecordBatch {
    let plain = zeros(Compression::None, 200_000).record_bytes();
    let info = FrameInfo::new()
        .block_mode(block_mode)
        .block_size(block_size)
        .block_checksums(checksums)
        .content_checksum(checksums)
        .content_size(checksums.then_some(plain.len() as u64));
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&plain).unwrap();
    with_records(&zeros(Compression::Lz4, 200_000), &encoder.finish().unwrap())
}

#[test]
fn bytes_that_are_no_stream_are_corrupt() {
    for compression in COMPRESSIONS {
        let batch = zeros(compression, 50_000);
        let stream = batch.record_bytes();
        for damaged in [
            Bytes::from_static(b"these are no compressed records, whatever the header says"),
            stream.slice(..stream.len() / 2),
        ] {
            let error = read(&with_records(&batch, &damaged), 1 << 20).unwrap_err();
            assert!(
                matches!(error, RecordError::Decompress(DecompressError::Corrupt { codec, .. })
                    if codec == batch.header().codec().unwrap()),
                "{compression:?}: {error:?}"
            );
        }
    }
}

#[test]
fn a_snappy_block_that_claims_more_than_it_can_hold_is_corrupt() {
    let batch = zeros(Compression::Snappy, 10);
    // A length of 4 GiB - 1, and nothing that would fill it.
    let error = read(&with_records(&batch, &[0xff, 0xff, 0xff, 0xff, 0x0f]), usize::MAX - 1);
    assert!(
        matches!(
            error,
            Err(RecordError::Decompress(DecompressError::Corrupt { codec: Codec::Snappy, .. }))
        ),
        "{error:?}"
    );
}

#[test]
fn the_lengths_of_records_are_checked() {
    let batch = zeros(Compression::None, 10);
    for (records, want) in [
        (&[][..], "the records end within a record"),
        (&[0x80], "the records end within a record"),
        (&[0xff; 5], "a variable-length integer goes on for more than 5 bytes"),
        (&[0x01], "a length of -1 where 0 bytes of the record are left"),
        (&[0x00], "a length of 1 where 0 bytes of the record are left"),
        // Length 6: attributes, two deltas, null key, null value, no headers.
        (&[12, 0, 0, 0, 1, 1], "the records end within a record"),
        (&[14, 0, 0, 0, 1, 1, 0, 0], "record ends 1 bytes before its length says"),
        (&[12, 0, 0, 0, 1, 1, 0, 9], "bytes follow the last record"),
        (&[12, 0, 0, 0, 6, 1, 0], "a length of 3 where 2 bytes of the record are left"),
        (&[12, 0, 0, 0, 40, 1, 0], "a length of 20 where 2 bytes of the record are left"),
        (&[12, 0, 0, 0, 1, 1, 1], "-1 headers where 0 bytes of the record are left"),
        (&[14, 0, 0, 0, 1, 1, 2, 0], "1 headers where 1 bytes of the record are left"),
        (&[16, 0, 0, 0, 1, 1, 2, 1, 1], "a length of -1 where 1 bytes of the record are left"),
        (&[12, 0, 0, 2, 1, 1, 0], "offset delta 1 leads out of the batch"),
    ] {
        let error = with_records(&batch, records)
            .records(0)
            .unwrap()
            .find_map(Result::err)
            .map_or_else(|| "no error".to_owned(), |error| error.to_string());
        assert_eq!(error, want, "{records:?}");
    }
    for batch in [zeros(Compression::None, 10), zeros(Compression::Zstd { level: 1 }, 10)] {
        assert_eq!(read(&batch, 100).unwrap(), 1);
    }
}
