use protocol::model::{Offset, TimestampMs};

use super::*;

fn id(idempotent: bool, number: u64) -> RecordId {
    RecordId {
        producer: ProducerIdentity { topic: 3, index: 1, generation: 0, idempotent },
        number,
    }
}

fn record(offset: i64, id: RecordId) -> Record {
    Record {
        offset: Offset(offset),
        timestamp: TimestampMs(0),
        key: Some(id.key().into()),
        value: Some(id.value(100).into()),
        headers: Vec::new(),
    }
}

/// What the steps break, if anything.
fn check(steps: impl FnOnce(&mut History) -> Result<(), Failure>, want: Option<u8>) {
    let mut history = History::new(3, 1, Role::Lasting);
    let broken = steps(&mut history).err();
    assert_eq!(broken.as_ref().and_then(|failure| failure.invariant), want, "{broken:?}");
}

#[test]
fn what_is_right_passes() {
    check(
        |history| {
            history.acknowledged(0, 0, [id(true, 0), id(true, 1)].into_iter())?;
            history.read(0, &record(0, id(true, 0)))?;
            history.read(0, &record(1, id(true, 1)))?;
            history.read(0, &record(0, id(true, 0)))?;
            history.read(0, &record(2, id(false, 7)))?;
            history.acknowledged_somewhere(0, [id(true, 1)].into_iter());
            history.check_complete(&[3])
        },
        None,
    );
}

#[test]
fn every_kind_of_damage_is_seen() {
    let lost = |history: &mut History| {
        history.acknowledged(0, 0, [id(true, 0), id(true, 1)].into_iter())?;
        history.read(0, &record(0, id(true, 0)))?;
        history.check_complete(&[1])
    };
    check(lost, Some(4));
    let nowhere = |history: &mut History| {
        history.acknowledged_somewhere(0, [id(true, 0)].into_iter());
        history.check_complete(&[0])
    };
    check(nowhere, Some(4));
    let another = |history: &mut History| {
        history.acknowledged(0, 0, [id(true, 0)].into_iter())?;
        history.read(0, &record(0, id(false, 0)))
    };
    check(another, Some(4));
    let changed = |history: &mut History| {
        history.read(0, &record(0, id(false, 0)))?;
        history.read(0, &record(0, id(false, 1)))
    };
    check(changed, Some(2));
    let shorter = |history: &mut History| {
        history.read(0, &record(0, id(false, 0)))?;
        history.check_complete(&[0])
    };
    check(shorter, Some(2));
    let damaged = |history: &mut History| {
        let mut record = record(0, id(true, 0));
        record.value = Some(bytes::Bytes::from_static(b"plain@3-1.0#1;"));
        history.read(0, &record)
    };
    check(damaged, Some(2));
    let twice = |history: &mut History| {
        history.read(0, &record(0, id(true, 0)))?;
        history.read(0, &record(1, id(true, 0)))
    };
    check(twice, Some(6));
    let gap = |history: &mut History| history.read(0, &record(0, id(true, 1)));
    check(gap, Some(6));
    let swapped = |history: &mut History| {
        history.read(0, &record(0, id(false, 5)))?;
        history.read(0, &record(1, id(false, 3)))
    };
    check(swapped, Some(15));
    let foreign = |history: &mut History| {
        let mut id = id(false, 0);
        id.producer.topic = 2;
        history.read(0, &record(0, id))
    };
    check(foreign, Some(2));
    let deleted_unasked = |history: &mut History| history.skipped(0, 0, 5);
    check(deleted_unasked, Some(4));
    let refused = |history: &mut History| {
        history.ask_to_delete(0, 5);
        history.skipped(0, 5, 5)
    };
    check(refused, Some(2));
    let lost_behind_deleted = |history: &mut History| {
        history.acknowledged(0, 4, [id(true, 4), id(true, 5)].into_iter())?;
        history.ask_to_delete(0, 5);
        history.begins_at(0, 5)?;
        history.check_complete(&[6])
    };
    check(lost_behind_deleted, Some(4));
    let twice_behind_deleted = |history: &mut History| {
        history.ask_to_delete(0, 5);
        history.read(0, &record(5, id(true, 5)))?;
        history.read(0, &record(6, id(true, 5)))
    };
    check(twice_behind_deleted, Some(6));
}

#[test]
fn what_was_deleted_need_not_be_read() {
    let deleted = |history: &mut History| {
        history.acknowledged(0, 0, [id(true, 0), id(true, 1)].into_iter())?;
        history.ask_to_delete(0, 1);
        history.skipped(0, 0, 1)?;
        history.read(0, &record(1, id(true, 1)))?;
        history.check_complete(&[2])
    };
    check(deleted, None);
    let gap = |history: &mut History| {
        history.ask_to_delete(0, 9);
        history.read(0, &record(0, id(true, 0)))?;
        history.skipped(0, 1, 4)?;
        history.read(0, &record(4, id(true, 4)))?;
        history.read(0, &record(5, id(true, 5)))
    };
    check(gap, None);
}

#[test]
fn a_damaged_partition_may_end_early_and_may_not_lie() {
    let short = |history: &mut History| {
        history.acknowledged(0, 0, [id(true, 0)].into_iter())?;
        history.damage(0);
        history.check_complete(&[0])
    };
    check(short, None);
    let lie = |history: &mut History| {
        history.acknowledged(0, 0, [id(true, 0)].into_iter())?;
        history.damage(0);
        history.read(0, &record(0, id(false, 0)))
    };
    check(lie, Some(4));
}
