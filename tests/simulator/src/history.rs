//! What clients have been told and shown so far, and the checks of every new thing against it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use protocol::record_batch::Record;

use crate::verdict::Failure;

/// Which record this is: the workload's own name for it, which its key and value spell out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    pub producer: ProducerIdentity,
    /// Counts one producer's records of one partition from 0.
    pub number: u64,
}

/// A producer and, for one without idempotence, which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerIdentity {
    pub index: u32,
    pub generation: u32,
    pub idempotent: bool,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProducerIdentity { index, generation, idempotent } = self.producer;
        let kind = if idempotent { "idempotent" } else { "plain" };
        write!(f, "{kind}-{index}.{generation}#{}", self.number)
    }
}

impl RecordId {
    pub fn key(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// `size_bytes` of text that no other record has, and of which no part can be another's.
    pub fn value(&self, size_bytes: usize) -> Vec<u8> {
        let word = format!("{self};");
        word.bytes().cycle().take(size_bytes).collect()
    }

    /// Reads the key back, and checks that the value is this record's.
    fn of(record: &Record) -> Option<Self> {
        let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
        let (kind, rest) = key.split_once('-')?;
        let (index, rest) = rest.split_once('.')?;
        let (generation, number) = rest.split_once('#')?;
        let producer = ProducerIdentity {
            index: index.parse().ok()?,
            generation: generation.parse().ok()?,
            idempotent: kind == "idempotent",
        };
        let id = RecordId { producer, number: number.parse().ok()? };
        let value: &Bytes = record.value.as_ref()?;
        (id.key() == key.as_bytes() && id.value(value.len()) == value[..]).then_some(id)
    }
}

/// All that is known of the topic.
pub struct History {
    partitions: Vec<PartitionHistory>,
    pub acknowledged_records: u64,
    /// Records that were read and compared with what is known.
    pub compared_records: u64,
    /// Records that a consumer was the first to see.
    pub exposed_records: u64,
}

#[derive(Default)]
struct PartitionHistory {
    /// By offset, from 0 on without gaps: what some consumer has read there.
    exposed: Vec<RecordId>,
    /// By offset.
    acknowledged: BTreeMap<i64, RecordId>,
    /// Acknowledged as duplicates, whose offsets the broker no longer tells.
    acknowledged_somewhere: Vec<RecordId>,
    /// The last number that was exposed of each producer.
    last_number: BTreeMap<ProducerIdentity, u64>,
}

impl History {
    pub fn new(partition_count: i32) -> Self {
        History {
            partitions: (0..partition_count).map(|_| PartitionHistory::default()).collect(),
            acknowledged_records: 0,
            compared_records: 0,
            exposed_records: 0,
        }
    }

    /// The records of a batch were acknowledged, the first of them at `base_offset`.
    pub fn acknowledged(
        &mut self,
        partition: i32,
        base_offset: i64,
        ids: impl Iterator<Item = RecordId>,
    ) -> Result<(), Failure> {
        let known = &mut self.partitions[partition as usize];
        for (offset, id) in (base_offset..).zip(ids) {
            self.acknowledged_records += 1;
            let exposed = known.exposed.get(offset as usize).copied();
            let before = known.acknowledged.insert(offset, id);
            let mut others = [exposed, before].into_iter().flatten();
            if let Some(other) = others.find(|other| *other != id) {
                let what = format!(
                    "partition={partition} offset={offset} {id} is acknowledged where {other} is"
                );
                return Err(Failure::broken(4, what));
            }
        }
        Ok(())
    }

    /// The records of a batch were acknowledged as duplicates of ones that the log has.
    pub fn acknowledged_somewhere(&mut self, partition: i32, ids: impl Iterator<Item = RecordId>) {
        let known = &mut self.partitions[partition as usize];
        let before = known.acknowledged_somewhere.len();
        known.acknowledged_somewhere.extend(ids);
        self.acknowledged_records += (known.acknowledged_somewhere.len() - before) as u64;
    }

    /// A consumer was given `record`, and before it all from offset 0 on (asserted).
    pub fn read(&mut self, partition: i32, record: &Record) -> Result<(), Failure> {
        let offset = record.offset.0;
        let place = format!("partition={partition} offset={offset}");
        let Some(id) = RecordId::of(record) else {
            let what = format!("{place} the record is no producer's: key {:?}", record.key);
            return Err(Failure::broken(2, what));
        };
        self.compared_records += 1;
        let known = &mut self.partitions[partition as usize];
        if let Some(&before) = known.exposed.get(offset as usize) {
            if before != id {
                return Err(Failure::broken(2, format!("{place} {id} where {before} was read")));
            }
            return Ok(());
        }
        assert!(offset as usize == known.exposed.len(), "consumers read without gaps");
        if let Some(acknowledged) = known.acknowledged.get(&offset).filter(|other| **other != id) {
            let what = format!("{place} {id} where {acknowledged} was acknowledged");
            return Err(Failure::broken(4, what));
        }
        known.check_order(&place, id)?;
        known.exposed.push(id);
        self.exposed_records += 1;
        Ok(())
    }

    /// Everything was read up to `ends`: what was acknowledged is among it.
    pub fn check_complete(&self, ends: &[i64]) -> Result<(), Failure> {
        for (partition, (known, &end)) in self.partitions.iter().zip(ends).enumerate() {
            if (known.exposed.len() as i64) > end {
                let what = format!(
                    "partition={partition} ends at {end}, but {} records were read before",
                    known.exposed.len()
                );
                return Err(Failure::broken(2, what));
            }
            let beyond = known.acknowledged.range(known.exposed.len() as i64..).next();
            if let Some((offset, id)) = beyond {
                let what = format!(
                    "partition={partition} offset={offset} {id} was acknowledged and is gone; the log ends at {end}"
                );
                return Err(Failure::broken(4, what));
            }
            let missing = known.acknowledged_somewhere.iter().find(|id| !known.has(id));
            if let Some(id) = missing {
                let what = format!("partition={partition} {id} was acknowledged and is nowhere");
                return Err(Failure::broken(4, what));
            }
        }
        Ok(())
    }
}

impl PartitionHistory {
    /// INV-6: an idempotent producer's records are there once and in order, without gaps. INV-15: those
    /// of a plain one, which nobody retries, are in order.
    fn check_order(&mut self, place: &str, id: RecordId) -> Result<(), Failure> {
        let before = self.last_number.insert(id.producer, id.number);
        let due = before.map_or(0, |before| before + 1);
        if id.producer.idempotent && id.number != due {
            let what = format!("{place} {id} where its producer's number {due} was due");
            return Err(Failure::broken(6, what));
        }
        if id.number < due {
            let what = format!("{place} {id} after its producer's number {}", due - 1);
            return Err(Failure::broken(15, what));
        }
        Ok(())
    }

    /// Whether `id`, of an idempotent producer, has been read: its numbers come without gaps.
    fn has(&self, id: &RecordId) -> bool {
        self.last_number.get(&id.producer).is_some_and(|last| *last >= id.number)
    }
}

#[cfg(test)]
mod tests {
    use protocol::model::{Offset, TimestampMs};

    use super::*;

    fn id(idempotent: bool, number: u64) -> RecordId {
        RecordId { producer: ProducerIdentity { index: 1, generation: 0, idempotent }, number }
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
        let mut history = History::new(1);
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
            record.value = Some(Bytes::from_static(b"plain-1.0#1;"));
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
    }
}
