use protocol::model::Sequence;
use protocol::record_batch::{BatchBuilder, BatchOptions, BatchProducer, EndTxnMarker};

use super::*;
use crate::index::AbortedTransaction;

const NOW: TimestampMs = TimestampMs(1_000_000);

/// What a row says of a batch that is left: the offsets of its records, and its delete horizon.
type Left = Option<(&'static [i64], Option<i64>)>;

fn round(keys: &[(&str, i64)], mapped_end: i64, bound: i64) -> Round {
    let mut map = KeyMap::new(100, 1 << 16, [9; 16]);
    for (key, offset) in keys {
        map.put(key.as_bytes(), Offset(*offset)).expect("room");
    }
    Round {
        map,
        mapped_end: Offset(mapped_end),
        bound: Offset(bound),
        now: NOW,
        delete_retention_ms: 500,
        limits: StreamLimits { records_size_bytes_max: 1 << 20, record_size_bytes_max: 1 << 20 },
    }
}

fn cleaner(round: &Round) -> Cleaner<'_> {
    Cleaner { round, transactions: TransactionsSeen::default(), producers: BTreeMap::new() }
}

fn options(base_offset: i64, producer_id: Option<i64>) -> BatchOptions {
    let producer = producer_id.map(|id| BatchProducer {
        id: ProducerId(id),
        epoch: ProducerEpoch(4),
        base_sequence: Some(Sequence(0)),
    });
    BatchOptions { base_offset: Offset(base_offset), producer, ..BatchOptions::default() }
}

/// Records of the keys given, from `base_offset` on; a key in capitals has no value, and `-` is none.
fn batch_with(options: BatchOptions, keys: &str) -> RecordBatch {
    let mut builder = BatchBuilder::new(options);
    for key in keys.chars() {
        let value = (!key.is_uppercase()).then_some(&b"value"[..]);
        let key = key.to_lowercase().to_string();
        let key = (key != "-").then_some(key.as_bytes());
        builder.append(TimestampMs(7000), key, value, &[]);
    }
    RecordBatch::new(builder.build()).expect("a batch")
}

fn batch(base_offset: i64, keys: &str) -> RecordBatch {
    batch_with(options(base_offset, None), keys)
}

fn transactional(base_offset: i64, producer_id: i64, keys: &str) -> RecordBatch {
    let options =
        BatchOptions { is_transactional: true, ..options(base_offset, Some(producer_id)) };
    batch_with(options, keys)
}

fn marker(base_offset: i64, producer_id: i64, kind: ControlRecordType) -> RecordBatch {
    let mut options = options(base_offset, Some(producer_id));
    (options.is_transactional, options.is_control) = (true, true);
    let mut builder = BatchBuilder::new(options);
    let value = EndTxnMarker { coordinator_epoch: 0 }.value();
    builder.append_control(TimestampMs(7000), kind, &value);
    RecordBatch::new(builder.build()).expect("a batch")
}

/// With the horizon as a first pass at a time when it was `horizon - 500` would set it.
fn with_horizon(batch: &RecordBatch, horizon: i64) -> RecordBatch {
    let records = batch.records(1 << 20).expect("readable");
    let kept = Kept {
        records,
        delete_horizon: Some(TimestampMs(horizon)),
        last_offset: batch.header().last_offset(),
    };
    RecordBatch::new(with_records(batch, kept).expect("written")).expect("a batch")
}

fn check(cleaner: &mut Cleaner<'_>, batch: &RecordBatch, ends_segment: bool, want: Left) {
    let case = format!("{:?} {ends_segment}", batch.header());
    let cleaned = cleaner.clean(batch, ends_segment).expect("readable");
    let left = match &cleaned {
        Cleaned::Gone => return assert_eq!(want, None, "{case}"),
        Cleaned::AsItWas => batch.clone(),
        Cleaned::Rewritten(bytes) => RecordBatch::new(bytes.clone()).expect("a batch"),
    };
    left.verify_crc().expect("its CRC");
    let records = left.records(1 << 20).expect("readable").map(|it| it.expect("a record"));
    let offsets: Vec<i64> = records.map(|it| it.offset.0).collect();
    let (want_offsets, want_horizon) = want.unwrap_or_else(|| panic!("left of {case}: {left:?}"));
    assert_eq!(offsets, want_offsets, "{case}");
    assert_eq!(left.header().delete_horizon().map(|it| it.0), want_horizon, "{case}");
    assert_eq!(left.header().base_offset, batch.header().base_offset, "{case}");
    assert_eq!(left.header().last_offset(), batch.header().last_offset(), "{case}");
    assert_eq!(left.header().last_sequence(), batch.header().last_sequence(), "{case}");
    if cleaned == Cleaned::AsItWas {
        assert_eq!(left.bytes(), batch.bytes(), "{case}");
    }
}

#[test]
fn the_last_record_of_each_key_stays() {
    // Keys at 10 to 14; everything below 20 is known.
    let round = round(&[("a", 13), ("b", 11), ("c", 19)], 20, 20);
    for (base_offset, keys, want) in [
        (10, "ababd", Some((&[11, 13, 14][..], None))), // d is older than the map: nobody is later
        (10, "aaa", None),
        (13, "a", Some((&[13][..], None))),
        (10, "--", None), // what has no key goes
        (10, "c", None),
        (18, "cc", Some((&[19][..], None))),
        (20, "ab-", Some((&[20, 21, 22][..], None))), // not looked at yet
        (11, "abc", Some((&[12][..], None))),
    ] {
        check(&mut cleaner(&round), &batch(base_offset, keys), false, want);
    }
}

#[test]
fn a_tombstone_stays_until_its_horizon() {
    let round = round(&[("a", 10), ("b", 11)], 20, 20);
    let horizon = NOW.0 + 500;
    for (batch, want) in [
        // The first time it is met it gets one.
        (batch(10, "A"), Some((&[10][..], Some(horizon)))),
        (batch(10, "Ab"), Some((&[10, 11][..], Some(horizon)))),
        (batch(9, "aA"), Some((&[10][..], Some(horizon)))),
        // Then it stays the same.
        (with_horizon(&batch(10, "A"), NOW.0 + 1), Some((&[10][..], Some(NOW.0 + 1)))),
        (with_horizon(&batch(10, "A"), NOW.0), None),
        (with_horizon(&batch(10, "Ab"), NOW.0), Some((&[11][..], Some(NOW.0)))),
        // One that is not the last of its key is as any record.
        (batch(5, "A"), None),
        (with_horizon(&batch(5, "A"), NOW.0 + 9000), None),
    ] {
        check(&mut cleaner(&round), &batch, false, want);
    }
}

#[test]
fn some_batches_stay_without_a_record() {
    let round = round(&[("a", 30)], 31, 31);
    let empty = Some((&[][..], None));
    let mut of_producer = cleaner(&round);
    let last = |offset: Option<i64>| LastOfProducer {
        last_data_offset: offset.map(Offset),
        producer_epoch: Some(ProducerEpoch(4)),
    };
    of_producer.producers.insert(ProducerId(1), last(Some(12)));
    let one = batch_with(options(11, Some(1)), "aa");
    check(&mut of_producer, &one, false, empty);
    check(&mut of_producer, &batch_with(options(12, Some(1)), "aa"), false, None);
    check(&mut of_producer, &batch_with(options(11, Some(2)), "aa"), false, None);
    // The last of a segment, and the last of the round.
    check(&mut cleaner(&round), &batch(11, "aa"), true, empty);
    check(&mut cleaner(&round), &batch(29, "aA"), false, Some((&[30], Some(NOW.0 + 500))));
    let without = Round { map: KeyMap::new(9, 999, [1; 16]), ..round };
    check(&mut cleaner(&without), &batch(29, "--"), false, empty);
    // What is empty already stays the same, or goes.
    let gone = RecordBatch::new(without_records(&one)).expect("a batch");
    check(&mut of_producer, &gone, false, empty);
    check(&mut cleaner(&without), &gone, false, None);
}

#[test]
fn what_was_aborted_goes_and_its_marker_after_it() {
    let round = round(&[], 100, 100);
    let mut first = cleaner(&round);
    let aborted = AbortedTransaction {
        producer_id: ProducerId(1),
        first_offset: Offset(10),
        last_offset: Offset(20),
        last_stable_offset: Offset(21),
    };
    first.transactions.expect(&[aborted]);
    let abort = marker(20, 1, ControlRecordType::Abort);
    check(&mut first, &transactional(9, 2, "x"), false, Some((&[9], None)));
    check(&mut first, &transactional(10, 1, "xy"), false, None);
    check(&mut first, &transactional(12, 2, "z"), false, Some((&[12], None)));
    check(&mut first, &abort, false, Some((&[20], None)));
    check(&mut first, &marker(21, 2, ControlRecordType::Commit), false, Some((&[21], None)));
    assert_eq!(first.transactions.take_indexed(), [aborted]);
    // The next round finds none of its batches: the marker gets a horizon, and goes when that is over.
    let mut second = cleaner(&round);
    check(&mut second, &abort, false, Some((&[20], Some(NOW.0 + 500))));
    check(&mut second, &with_horizon(&abort, NOW.0 + 1), false, Some((&[20], Some(NOW.0 + 1))));
    check(&mut second, &with_horizon(&abort, NOW.0), false, None);
    // But not from a producer of which there is nothing else.
    let last = LastOfProducer { last_data_offset: None, producer_epoch: Some(ProducerEpoch(4)) };
    second.producers.insert(ProducerId(1), last);
    check(&mut second, &with_horizon(&abort, NOW.0), false, Some((&[], None)));
    assert_eq!(second.transactions.take_indexed(), []);
    // What a transaction has committed is as any record, and holds its marker, even when it is empty.
    let mut third = cleaner(&round);
    let commit = marker(21, 2, ControlRecordType::Commit);
    let empty = RecordBatch::new(without_records(&transactional(12, 2, "z"))).expect("a batch");
    check(&mut third, &empty, true, Some((&[], None)));
    check(&mut third, &with_horizon(&commit, NOW.0), false, Some((&[21], Some(NOW.0))));
    check(&mut third, &with_horizon(&commit, NOW.0), false, None);
}

#[test]
fn behind_the_bound_nothing_is_touched() {
    let round = round(&[("a", 12)], 11, 12);
    let mut cleaner = cleaner(&round);
    let aborted = AbortedTransaction {
        producer_id: ProducerId(1),
        first_offset: Offset(12),
        last_offset: Offset(14),
        last_stable_offset: Offset(15),
    };
    cleaner.transactions.expect(&[aborted]);
    check(&mut cleaner, &batch(10, "a"), false, None);
    check(&mut cleaner, &batch(11, "aA"), false, Some((&[11, 12], None)));
    check(&mut cleaner, &transactional(12, 1, "x-"), false, Some((&[12, 13], None)));
    check(&mut cleaner, &marker(14, 1, ControlRecordType::Abort), false, Some((&[14], None)));
    // The next round is to know of it.
    assert_eq!(cleaner.transactions.take_indexed(), [aborted]);
}

#[test]
fn an_unreadable_batch_is_an_error() {
    let round = round(&[], 100, 100);
    let good = batch(10, "ab");
    let mut bytes = good.bytes().to_vec();
    bytes.truncate(bytes.len() - 3);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let bad = RecordBatch::new(bytes.into()).expect("a header");
    assert!(cleaner(&round).clean(&bad, false).is_err());
}
