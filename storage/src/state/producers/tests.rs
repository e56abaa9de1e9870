use super::*;

fn data(producer_epoch: i16, first: i32, count: i32, base_offset: i64) -> ProducerBatch {
    let last = Sequence(first).plus(count - 1);
    ProducerBatch {
        producer_id: ProducerId(9),
        producer_epoch: ProducerEpoch(producer_epoch),
        base_offset: Offset(base_offset),
        last_offset: Offset(base_offset + i64::from(count) - 1),
        max_timestamp: TimestampMs(1000 + base_offset),
        content: ProducerContent::Data {
            sequences: Some((Sequence(first), last)),
            transactional: false,
        },
    }
}

fn marker(producer_epoch: i16, coordinator_epoch: i32, offset: i64) -> ProducerBatch {
    ProducerBatch {
        content: ProducerContent::EndMarker { coordinator_epoch, is_abort: true },
        ..data(producer_epoch, 0, 1, offset)
    }
}

fn transactional(batch: ProducerBatch) -> ProducerBatch {
    let ProducerContent::Data { sequences, .. } = batch.content else { panic!("data wanted") };
    ProducerBatch { content: ProducerContent::Data { sequences, transactional: true }, ..batch }
}

fn after(batches: &[ProducerBatch]) -> Producers {
    let mut producers = Producers::default();
    for batch in batches {
        let _ = producers.replay(batch);
    }
    producers
}

#[derive(Debug, PartialEq)]
enum Outcome {
    New,
    DuplicateOf(i64),
    Expected(i32),
    Fenced(i16),
    InvalidTxnState,
    CoordinatorFenced,
}

fn outcome(producers: &Producers, batch: ProducerBatch, origin: Origin) -> Outcome {
    let before = producers.clone();
    let verdict = producers.check(vec![batch], origin);
    assert_eq!(*producers, before);
    match verdict {
        Ok(Verdict::New(_)) => Outcome::New,
        Ok(Verdict::Duplicate(retained)) => Outcome::DuplicateOf(retained.base_offset().0),
        Err(AppendError::OutOfOrderSequence { expected, .. }) => Outcome::Expected(expected.0),
        Err(AppendError::InvalidProducerEpoch { current, .. }) => Outcome::Fenced(current.0),
        Err(AppendError::InvalidTxnState { .. }) => Outcome::InvalidTxnState,
        Err(AppendError::TransactionCoordinatorFenced { .. }) => Outcome::CoordinatorFenced,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn sequences_of_a_client() {
    // Six batches of two: the first is forgotten, the last five are remembered.
    let six: Vec<_> = (0..6).map(|n| data(3, 2 * n, 2, 100 + 2 * i64::from(n))).collect();
    let wraps = [data(3, i32::MAX - 1, 2, 50)];
    let wraps_within = [data(3, i32::MAX - 1, 4, 50)];
    for (history, batch, want) in [
        (&six[..0], data(0, 0, 1, 0), Outcome::New),
        (&six[..0], data(0, 77, 1, 0), Outcome::New), // its records may have been deleted
        (&six, data(3, 12, 1, 0), Outcome::New),
        (&six, data(3, 13, 1, 0), Outcome::Expected(12)),
        (&six, data(3, 10, 2, 0), Outcome::DuplicateOf(110)),
        (&six, data(3, 2, 2, 0), Outcome::DuplicateOf(102)),
        (&six, data(3, 0, 2, 0), Outcome::Expected(12)), // older than what is remembered
        (&six, data(3, 10, 1, 0), Outcome::Expected(12)), // no batch that was sent
        (&six, data(2, 12, 1, 0), Outcome::Fenced(3)),
        (&six, data(4, 0, 1, 0), Outcome::New),
        (&six, data(4, 12, 1, 0), Outcome::Expected(0)),
        (&wraps, data(3, 0, 1, 0), Outcome::New),
        (&wraps, data(3, i32::MAX - 1, 2, 0), Outcome::DuplicateOf(50)),
        (&wraps_within, data(3, 2, 1, 0), Outcome::New),
        (&wraps_within, data(3, i32::MAX - 1, 4, 0), Outcome::DuplicateOf(50)),
    ] {
        let producers = after(history);
        let got = outcome(&producers, batch, Origin::Client);
        assert_eq!(got, want, "{batch:?} after {} batches", history.len());
    }
}

#[test]
fn a_new_epoch_forgets_the_batches_of_the_old_one() {
    let producers = after(&[data(3, 0, 2, 100), data(4, 0, 1, 102)]);
    assert_eq!(outcome(&producers, data(4, 0, 1, 0), Origin::Client), Outcome::DuplicateOf(102));
    assert_eq!(outcome(&producers, data(4, 1, 1, 0), Origin::Client), Outcome::New);
}

#[test]
fn coordinators_write_without_sequences() {
    let producers = after(&[data(3, 0, 2, 100)]);
    let without = ProducerBatch {
        content: ProducerContent::Data { sequences: None, transactional: true },
        ..data(3, 0, 1, 0)
    };
    assert_eq!(outcome(&producers, without, Origin::Coordinator), Outcome::New);
    assert_eq!(outcome(&producers, data(3, 40, 1, 0), Origin::Coordinator), Outcome::New);
    assert_eq!(outcome(&producers, data(2, 2, 1, 0), Origin::Coordinator), Outcome::Fenced(3));
}

fn open_transactions(producers: &Producers) -> Vec<i64> {
    producers
        .iter()
        .filter_map(|(_, producer)| producer.current_txn_first_offset)
        .map(|it| it.0)
        .collect()
}

#[test]
fn a_transaction_begins_with_its_first_batch_and_ends_with_its_marker() {
    let open = after(&[transactional(data(3, 0, 2, 100)), transactional(data(3, 2, 1, 102))]);
    assert_eq!(open_transactions(&open), [100]);
    assert_eq!(outcome(&open, data(3, 3, 1, 0), Origin::Client), Outcome::InvalidTxnState);

    let mut ended = open.clone();
    let _ = ended.replay(&marker(3, 7, 103));
    assert!(open_transactions(&ended).is_empty());
    assert_eq!(outcome(&ended, data(3, 3, 1, 0), Origin::Client), Outcome::New);
    let older = marker(3, 6, 104);
    assert_eq!(outcome(&ended, older, Origin::Coordinator), Outcome::CoordinatorFenced);

    // A marker with the next epoch: the producer starts at sequence 0 again.
    let mut bumped = open;
    let _ = bumped.replay(&marker(4, 7, 103));
    assert_eq!(outcome(&bumped, data(4, 3, 1, 0), Origin::Client), Outcome::Expected(0));
    assert_eq!(outcome(&bumped, data(4, 0, 1, 0), Origin::Client), Outcome::New);
}

#[test]
fn batches_of_one_append_are_checked_in_order() {
    let producers = after(&[data(3, 0, 2, 100)]);
    let both = vec![data(3, 2, 1, 0), data(3, 3, 1, 1)];
    assert!(
        matches!(producers.check(both, Origin::Client), Ok(Verdict::New(new)) if new.len() == 2)
    );
    let gap = vec![data(3, 2, 1, 0), data(3, 4, 1, 1)];
    assert!(producers.check(gap, Origin::Client).is_err());
}

#[test]
fn idle_producers_are_forgotten_unless_in_a_transaction() {
    let mut producers = after(&[data(3, 0, 1, 0)]);
    let mut in_transaction = after(&[transactional(data(3, 0, 1, 0))]);
    for (now, left) in [(999, 1), (1059, 1), (1060, 0)] {
        producers.expire(TimestampMs(now), 60);
        in_transaction.expire(TimestampMs(now), 60);
        assert_eq!(producers.iter().len(), left, "at {now}");
        assert_eq!(in_transaction.iter().len(), 1, "at {now}");
    }
}

/// A batch of `producer_id`'s transaction at `offset`, or its marker.
fn of(producer_id: i64, offset: i64, content: ProducerContent) -> ProducerBatch {
    ProducerBatch { producer_id: ProducerId(producer_id), content, ..data(0, 0, 1, offset) }
}

#[test]
fn the_first_unstable_offset_follows_transactions_and_the_high_watermark() {
    let records = ProducerContent::Data { sequences: None, transactional: true };
    let abort = ProducerContent::EndMarker { coordinator_epoch: 0, is_abort: true };
    let commit = ProducerContent::EndMarker { coordinator_epoch: 0, is_abort: false };
    let mut producers = Producers::default();
    for (batch, aborted, unstable) in [
        (of(1, 10, records), None, Some(10)),
        (of(2, 12, records), None, Some(10)),
        (of(1, 13, records), None, Some(10)),
        (of(3, 14, abort), None, Some(10)), // it has no records: nothing ends
        (of(1, 15, abort), Some((10, 15, 12)), Some(10)), // until the marker is replicated
        (of(2, 17, commit), None, Some(10)),
        (of(3, 18, records), None, Some(10)),
    ] {
        let found = producers.replay(&batch);
        let found = found.map(|it| (it.first_offset.0, it.last_offset.0, it.last_stable_offset.0));
        assert_eq!(found, aborted, "{batch:?}");
        assert_eq!(producers.first_unstable_offset().map(|it| it.0), unstable, "{batch:?}");
    }
    for (high_watermark, unstable) in [(15, 10), (16, 12), (18, 18), (40, 18)] {
        producers.advance_high_watermark(Offset(high_watermark));
        assert_eq!(producers.first_unstable_offset(), Some(Offset(unstable)), "{high_watermark}");
    }
    let kept = Producers::decode_snapshot(&producers.encode_snapshot()).expect("valid");
    assert_eq!(kept.first_unstable_offset(), Some(Offset(18)), "an open one survives a restart");
    let ended = producers.replay(&of(3, 41, abort)).expect("aborted");
    assert_eq!(ended.last_stable_offset, Offset(42), "no other is open");
}
