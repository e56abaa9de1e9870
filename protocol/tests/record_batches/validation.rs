//! What a producer may send, as a table: each row breaks one rule of an otherwise good batch.

use protocol::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchHeader, BatchOptions, BatchProducer, Compression, Depth, RecordBatch,
    TimestampType, Validated, ValidationRules, set_base_offset, set_log_append_time,
    set_max_timestamp, set_partition_leader_epoch, validate_for_append, verify_crc,
};

const NOW: i64 = 1_700_000_000_000;

fn rules() -> ValidationRules {
    ValidationRules {
        depth: Depth::Header,
        now: TimestampMs(NOW),
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        is_compacted: false,
        decompressed_size_bytes_max: 1 << 20,
    }
}

/// Three records with keys, at `NOW`, `NOW + 10` and `NOW + 20`, from an idempotent producer.
fn batch_with(compression: Compression) -> Vec<u8> {
    let producer = BatchProducer {
        id: ProducerId(7),
        epoch: ProducerEpoch(0),
        base_sequence: Some(Sequence(0)),
    };
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        producer: Some(producer),
        ..BatchOptions::default()
    });
    for index in 0..3 {
        builder.append(TimestampMs(NOW + 10 * index), Some(b"k"), Some(b"v"), &[]);
    }
    builder.build().to_vec()
}

fn good() -> Vec<u8> {
    batch_with(Compression::None)
}

/// `good` with `bytes` at `position`, and the CRC right again.
fn with(position: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = good();
    batch[position..position + bytes.len()].copy_from_slice(bytes);
    let max_timestamp = i64::from_be_bytes(batch[35..43].try_into().unwrap());
    set_max_timestamp(&mut batch, TimestampMs(max_timestamp));
    batch
}

fn validate(bytes: Vec<u8>, rules: &ValidationRules) -> Result<Validated, String> {
    let batch = RecordBatch::new(bytes.into()).map_err(|error| error.to_string())?;
    validate_for_append(&batch, rules).map_err(|error| error.to_string())
}

#[test]
fn each_rule_of_the_header_is_kept() {
    let mut bad_crc = good();
    *bad_crc.last_mut().unwrap() ^= 1;
    let crc = BatchHeader::parse(&bad_crc).unwrap().crc;
    let crc_error = format!(
        "batch CRC-32C is {:#010x}, its header says {crc:#010x}",
        crc32c::crc32c(&bad_crc[21..])
    );
    for (bytes, want) in [
        (bad_crc, crc_error.as_str()),
        (with(0, &8_i64.to_be_bytes()), "base offset is 8, a producer's must be 0"),
        (with(16, &[1]), "batch magic is 1, only 2 is supported"),
        (with(57, &0_i32.to_be_bytes()), "record count 0 is not positive"),
        (with(57, &(-1_i32).to_be_bytes()), "record count -1 is not positive"),
        (with(57, &4_i32.to_be_bytes()), "last offset delta 2 does not fit 4 records"),
        (with(57, &i32::MIN.to_be_bytes()), "record count -2147483648 is not positive"),
        (
            with(23, &(-1_i32).to_be_bytes()),
            "base offset 0 and last offset delta -1 are no offset range",
        ),
        (with(21, &0x20_i16.to_be_bytes()), "clients may not write control records"),
        (with(53, &(-1_i32).to_be_bytes()), "a batch with producer id 7 has no sequence"),
        (with(51, &(-1_i16).to_be_bytes()), "a batch with producer id 7 has no producer epoch"),
        (with(21, &5_i16.to_be_bytes()), "codec 5 is unknown"),
        (
            with(21, &0x08_i16.to_be_bytes()),
            "the timestamp type is LogAppendTime, which only a broker sets",
        ),
        (with(21, &1_i16.to_be_bytes()), "record 0 cannot be read"),
    ] {
        let rules = ValidationRules { depth: Depth::Records, ..rules() };
        assert_eq!(validate(bytes, &rules), Err(want.to_owned()));
    }
    let mut without_producer = with(21, &0x10_i16.to_be_bytes());
    without_producer[43..51].copy_from_slice(&(-1_i64).to_be_bytes());
    set_max_timestamp(&mut without_producer, TimestampMs(NOW + 20));
    assert_eq!(
        validate(without_producer, &rules()),
        Err("a transactional batch has no producer id".to_owned())
    );
    assert!(validate(with(21, &0x10_i16.to_be_bytes()), &rules()).is_ok());
}

#[test]
fn records_are_walked_as_deep_as_asked() {
    let ok = Ok(Validated { max_timestamp: TimestampMs(NOW + 20) });
    let plain = Compression::None;
    let zstd = Compression::Zstd { level: 3 };
    let mut wrong_count = batch_with(zstd);
    wrong_count[57..61].copy_from_slice(&2_i32.to_be_bytes());
    wrong_count[23..27].copy_from_slice(&1_i32.to_be_bytes());
    set_max_timestamp(&mut wrong_count, TimestampMs(NOW + 20));
    let records = ValidationRules { depth: Depth::Records, ..rules() };
    // The second record's offset delta, 1 as a zig-zag varint, made 2.
    let second_record = 61 + good()[61] as usize / 2 + 1;
    let gap = with(second_record + 3, &[4]);
    for (bytes, rules, want) in [
        (batch_with(plain), rules(), ok.clone()),
        (gap, rules(), Err("record 1 has offset delta 2".to_owned())),
        (batch_with(zstd), rules(), ok.clone()),
        (batch_with(zstd), records, ok.clone()),
        // What only the records tell is seen at depth `Records`, and on a compacted topic.
        (wrong_count.clone(), rules(), ok),
        (wrong_count.clone(), records, Err("record 2 cannot be read".to_owned())),
        (
            wrong_count,
            ValidationRules { is_compacted: true, ..rules() },
            Err("record 2 cannot be read".to_owned()),
        ),
        (
            batch_with(zstd),
            ValidationRules { decompressed_size_bytes_max: 10, ..records },
            Err("record 0 cannot be read".to_owned()),
        ),
    ] {
        assert_eq!(validate(bytes, &rules), want, "{:?}", rules.depth);
    }
}

#[test]
fn a_wrong_max_timestamp_is_told_and_can_be_corrected() {
    let mut batch = good();
    set_max_timestamp(&mut batch, TimestampMs(NOW - 5));
    let validated = validate(batch.clone(), &rules()).unwrap();
    assert_eq!(validated.max_timestamp, TimestampMs(NOW + 20));
    set_max_timestamp(&mut batch, validated.max_timestamp);
    assert_eq!(batch, good());
}

#[test]
fn timestamps_are_kept_within_the_topics_window() {
    let zstd = Compression::Zstd { level: 3 };
    let range = |low: i64, high: i64| format!("is not within {}..={}", NOW + low, NOW + high);
    for (compression, depth, before, after, want) in [
        (Compression::None, Depth::Header, 0, 20, None),
        (Compression::None, Depth::Header, i64::MAX, i64::MAX, None),
        (Compression::None, Depth::Header, 0, 10, Some(range(0, 10))),
        (Compression::None, Depth::Header, -5, 100, Some(range(5, 100))),
        (zstd, Depth::Header, 0, 20, None),
        (zstd, Depth::Header, 0, 10, Some(range(0, 10))),
        (zstd, Depth::Header, -5, 100, Some(range(5, 100))),
        (zstd, Depth::Records, 0, 10, Some(range(0, 10))),
    ] {
        let rules = ValidationRules {
            depth,
            timestamp_before_max_ms: before,
            timestamp_after_max_ms: after,
            ..rules()
        };
        let batch = RecordBatch::new(batch_with(compression).into()).unwrap();
        let found = validate_for_append(&batch, &rules).map_err(|error| format!("{error:?}"));
        assert_eq!(found.is_ok(), want.is_none(), "{compression:?} {depth:?} {before} {after}");
        // With LogAppendTime the broker's time counts.
        let rules = ValidationRules { timestamp_type: TimestampType::LogAppendTime, ..rules };
        assert!(validate_for_append(&batch, &rules).is_ok(), "{compression:?} {depth:?}");
    }
}

#[test]
fn all_bad_records_are_named() {
    use protocol::record_batch::{InvalidBatch, InvalidRecord, RecordFault};
    for compression in [Compression::None, Compression::Lz4] {
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        builder.append(TimestampMs(NOW), Some(b"k"), Some(b"v"), &[]);
        builder.append(TimestampMs(NOW), None, Some(b"v"), &[]);
        builder.append(TimestampMs(-1), Some(b""), None, &[]);
        builder.append(TimestampMs(NOW + 3_600_001), Some(b"k"), None, &[]);
        let batch = RecordBatch::new(builder.build()).unwrap();
        let rules = ValidationRules { is_compacted: true, ..rules() };
        let (earliest, latest) = (NOW - i64::MAX, NOW + 3_600_000);
        let want = [
            InvalidRecord { record_index: 1, fault: RecordFault::KeyMissing },
            InvalidRecord {
                record_index: 3,
                fault: RecordFault::Timestamp { timestamp: NOW + 3_600_001, earliest, latest },
            },
        ];
        match validate_for_append(&batch, &rules) {
            Err(InvalidBatch::Records(invalid)) => assert_eq!(invalid, want),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn fields_are_set_in_place() {
    let mut batch = good();
    let before = BatchHeader::parse(&batch).unwrap();
    set_base_offset(&mut batch, Offset(1234));
    set_partition_leader_epoch(&mut batch, LeaderEpoch(5));
    assert_eq!(
        BatchHeader::parse(&batch).unwrap(),
        BatchHeader {
            base_offset: Offset(1234),
            partition_leader_epoch: Some(LeaderEpoch(5)),
            ..before
        }
    );
    verify_crc(&batch).unwrap();
    set_log_append_time(&mut batch, TimestampMs(42));
    verify_crc(&batch).unwrap();
    let batch = RecordBatch::new(batch.into()).unwrap();
    assert_eq!(batch.header().timestamp_type(), TimestampType::LogAppendTime);
    for record in batch.records(0).unwrap() {
        assert_eq!(record.unwrap().timestamp, TimestampMs(42));
    }
}
