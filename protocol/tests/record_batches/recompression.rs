//! Batches in another codec: the same records, whatever they were and become, and no more than may be.

use bytes::Bytes;
use protocol::model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, BatchProducer, Codec, Compression, DecompressError,
    RecompressError, Record, RecordBatch, recompress,
};

const LIMIT: usize = 16 << 20;

const COMPRESSIONS: [Compression; 7] = [
    Compression::None,
    Compression::Gzip { level: None },
    Compression::Gzip { level: Some(1) },
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd { level: 3 },
    Compression::Zstd { level: -5 },
];

/// A transactional batch of a producer, with keys, headers and nothing at all; `count` records.
fn batch(compression: Compression, count: usize) -> RecordBatch {
    let producer = BatchProducer {
        id: ProducerId(7),
        epoch: ProducerEpoch(3),
        base_sequence: Some(Sequence(11)),
    };
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        producer: Some(producer),
        is_transactional: true,
        ..BatchOptions::default()
    });
    for index in 0..count {
        let value = format!("{index} ").repeat(index % 900);
        let key = (index % 3 > 0).then_some(value.as_bytes());
        let value = (index % 5 > 0).then_some(value.as_bytes());
        let headers = [(&b"name"[..], value)];
        let headers = if index % 2 == 0 { &headers[..] } else { &[] };
        builder.append(TimestampMs(5_000 - index as i64), key, value, headers);
    }
    RecordBatch::new(builder.build()).expect("a batch of ours")
}

fn records(batch: &RecordBatch) -> Vec<Record> {
    let records = batch.records(LIMIT).expect("it can be read");
    records.map(|record| record.expect("it can be read")).collect()
}

#[test]
fn a_batch_in_another_codec_has_the_same_records() {
    for count in [1, 2, 700] {
        for from in COMPRESSIONS {
            let given = batch(from, count);
            for to in COMPRESSIONS {
                let made = recompress(&given, to, LIMIT, LIMIT).expect("room for all of it");
                let label = format!("{count} records, {from:?} to {to:?}");
                made.verify_crc().unwrap_or_else(|error| panic!("{label}: {error}"));
                assert_eq!(made.header().codec(), Ok(to.codec()), "{label}");
                assert_eq!(records(&made), records(&given), "{label}");
                // What differs of the header is what depends on the bytes.
                let back = recompress(&made, from, LIMIT, LIMIT).expect("room for all of it");
                assert_eq!(back.bytes(), given.bytes(), "{label}");
            }
        }
    }
}

#[test]
fn no_more_is_written_or_read_than_may_be() {
    let plain = batch(Compression::None, 300);
    let size_bytes = plain.size_bytes();
    for from in COMPRESSIONS {
        let given = batch(from, 300);
        let limited =
            |decompressed, size| recompress(&given, Compression::None, decompressed, size);
        assert_eq!(limited(LIMIT, size_bytes).expect("it fits").bytes(), plain.bytes());
        assert!(
            matches!(
                limited(LIMIT, size_bytes - 1),
                Err(RecompressError::TooLarge { codec: Codec::None, size_bytes_max })
                    if size_bytes_max == size_bytes - 1
            ),
            "{from:?}"
        );
        assert!(
            matches!(
                limited(1_000, LIMIT),
                Err(RecompressError::Decompress(DecompressError::LimitExceeded { limit: 1_000 }))
            ),
            "{from:?}"
        );
    }
    // A codec's own framing can be what is too much.
    let one = batch(Compression::None, 1);
    for to in COMPRESSIONS.into_iter().skip(1) {
        let made = recompress(&one, to, LIMIT, one.size_bytes());
        assert!(matches!(made, Err(RecompressError::TooLarge { .. })), "{to:?}: {made:?}");
    }
}

#[test]
fn what_cannot_be_decompressed_is_an_error() {
    for from in COMPRESSIONS.into_iter().filter(|from| from.codec() != Codec::None) {
        let mut bytes = batch(from, 300).into_bytes().to_vec();
        let end = bytes.len() - 40;
        bytes[100..end].fill(0xee);
        let damaged = RecordBatch::new(Bytes::from(bytes)).expect("its header is whole");
        let made = recompress(&damaged, Compression::Zstd { level: 3 }, LIMIT, LIMIT);
        assert!(matches!(made, Err(RecompressError::Decompress(_))), "{from:?}: {made:?}");
    }
}
