//! What clients have been told and shown of one topic so far, and the checks of every new thing
//! against it.

use std::collections::BTreeMap;

use protocol::record_batch::Record;

use crate::record::{Keying, ProducerIdentity, RecordId};
use crate::topic::Role;
use crate::verdict::Failure;

/// All that is known of one topic.
pub struct History {
    /// The number of the topic, which its records carry.
    topic: u32,
    keying: Keying,
    partitions: Vec<PartitionHistory>,
    pub acknowledged_records: u64,
    /// Records that were read and compared with what is known.
    pub compared_records: u64,
    /// Records that a consumer was the first to see.
    pub exposed_records: u64,
}

#[derive(Default)]
struct PartitionHistory {
    /// By offset: what some consumer has read there.
    exposed: BTreeMap<i64, RecordId>,
    /// The offset after the last that was exposed.
    next_offset: i64,
    /// By offset.
    acknowledged: BTreeMap<i64, RecordId>,
    /// Acknowledged as duplicates, whose offsets the broker no longer tells.
    acknowledged_somewhere: Vec<RecordId>,
    /// The last of each producer that was exposed.
    last: BTreeMap<ProducerIdentity, LastOfProducer>,
    start: LogStart,
    /// Bytes of its files were flipped, or its disk failed for good: it may refuse and end early, but
    /// what it serves is right.
    is_damaged: bool,
    /// Of a compacted log: by key, the last that was read since someone began anew.
    last_read: BTreeMap<u64, i64>,
    /// Who read that has begun when nobody wrote any more.
    is_read_anew: bool,
}

struct LastOfProducer {
    number: u64,
    /// Records between this one and the next that is exposed may have been deleted unseen.
    is_followed_by_gap: bool,
}

/// Where the log may begin, and where it has.
#[derive(Default)]
struct LogStart {
    /// The highest offset below which anyone asked to delete; `i64::MAX` under retention.
    allowed: i64,
    /// The highest that the broker has told.
    told: i64,
}

impl History {
    pub fn new(topic: u32, partition_count: i32, role: Role) -> Self {
        // Under retention it may begin anywhere.
        let allowed = if role == Role::Retained { i64::MAX } else { 0 };
        let partition = |_| PartitionHistory {
            start: LogStart { allowed, told: 0 },
            ..PartitionHistory::default()
        };
        History {
            topic,
            keying: role.keying(),
            partitions: (0..partition_count).map(partition).collect(),
            acknowledged_records: 0,
            compared_records: 0,
            exposed_records: 0,
        }
    }

    /// Whether records may be gone between others.
    pub fn is_compacted(&self) -> bool {
        self.keying != Keying::Own
    }

    /// Nobody writes any more, and whoever reads from here on knows nothing.
    pub fn begin_anew(&mut self) {
        for known in &mut self.partitions {
            known.last_read.clear();
            known.is_read_anew = true;
        }
    }

    fn partition(&mut self, partition: i32) -> &mut PartitionHistory {
        &mut self.partitions[partition as usize]
    }

    /// From now on the partition may refuse, or end before what was acknowledged.
    pub fn damage(&mut self, partition: i32) {
        self.partition(partition).is_damaged = true;
    }

    pub fn is_damaged(&self, partition: i32) -> bool {
        self.partitions[partition as usize].is_damaged
    }

    /// The offset after the last record that anyone has read.
    pub fn read_up_to(&self, partition: i32) -> i64 {
        self.partitions[partition as usize].next_offset
    }

    /// Someone asks to delete what is below `offset`.
    pub fn ask_to_delete(&mut self, partition: i32, offset: i64) {
        let start = &mut self.partition(partition).start;
        start.allowed = start.allowed.max(offset);
    }

    /// The broker has told that the log begins at `offset`.
    pub fn begins_at(&mut self, partition: i32, offset: i64) -> Result<(), Failure> {
        let start = &mut self.partition(partition).start;
        if offset > start.allowed {
            let what = format!(
                "partition={partition} log_start_offset={offset} where no more than what is below {} \
                 was to be deleted",
                start.allowed
            );
            return Err(Failure::broken(4, what));
        }
        start.told = start.told.max(offset);
        Ok(())
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
            tracing::debug!(partition, offset, %id, "acknowledged");
            self.acknowledged_records += 1;
            let exposed = known.exposed.get(&offset).copied();
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

    /// A consumer was given `record`, as the next after all that it was given before.
    pub fn read(&mut self, partition: i32, record: &Record) -> Result<(), Failure> {
        let offset = record.offset.0;
        tracing::debug!(partition, offset, key = ?record.key, "read");
        let place = format!("partition={partition} offset={offset}");
        let Some(id) = RecordId::of(record, self.keying) else {
            let what = format!("{place} the record is no producer's: key {:?}", record.key);
            return Err(Failure::broken(2, what));
        };
        if id.producer.topic != self.topic {
            let what = format!("{place} {id} is of another topic than number {}", self.topic);
            return Err(Failure::broken(2, what));
        }
        self.compared_records += 1;
        let known = &mut self.partitions[partition as usize];
        if let Keying::Few(key_count) = self.keying {
            let last = known.last_read.entry(id.key_among(key_count)).or_insert(offset);
            *last = offset.max(*last);
        }
        if let Some(&before) = known.exposed.get(&offset) {
            if before != id {
                return Err(Failure::broken(2, format!("{place} {id} where {before} was read")));
            }
            return Ok(());
        }
        if let Some(acknowledged) = known.acknowledged.get(&offset).filter(|other| **other != id) {
            let what = format!("{place} {id} where {acknowledged} was acknowledged");
            return Err(Failure::broken(4, what));
        }
        if offset >= known.next_offset {
            if offset > known.next_offset {
                known.last.values_mut().for_each(|last| last.is_followed_by_gap = true);
            }
            known.check_order(&place, id, self.keying)?;
            known.next_offset = offset + 1;
        }
        known.exposed.insert(offset, id);
        self.exposed_records += 1;
        Ok(())
    }

    /// A consumer was told that `offset` is out of range, and that the log begins at
    /// `log_start_offset`.
    pub fn skipped(
        &mut self,
        partition: i32,
        offset: i64,
        log_start_offset: i64,
    ) -> Result<(), Failure> {
        self.begins_at(partition, log_start_offset)?;
        if offset >= log_start_offset && !self.is_damaged(partition) {
            let what = format!(
                "partition={partition} offset={offset} is out of range, and log_start_offset={log_start_offset}"
            );
            return Err(Failure::broken(2, what));
        }
        Ok(())
    }

    /// Everything was read up to `ends`: what was acknowledged is among it, but for what was deleted.
    pub fn check_complete(&self, ends: &[i64]) -> Result<(), Failure> {
        for (partition, (known, &end)) in self.partitions.iter().zip(ends).enumerate() {
            if !known.is_damaged {
                known.check_complete(end, self.keying).map_err(|mut failure| {
                    failure.what = format!("partition={partition} {}", failure.what);
                    failure
                })?;
            }
        }
        Ok(())
    }
}

impl PartitionHistory {
    /// INV-6: an idempotent producer's records are there once and in order, without gaps. INV-15: those
    /// of a plain one, which nobody retries, are in order.
    fn check_order(&mut self, place: &str, id: RecordId, keying: Keying) -> Result<(), Failure> {
        let last = LastOfProducer { number: id.number, is_followed_by_gap: false };
        let (due, has_gap) = match self.last.insert(id.producer, last) {
            Some(before) => (before.number + 1, before.is_followed_by_gap),
            // Those before it may have been deleted, or compacted.
            None => (0, self.start.allowed > 0 || keying != Keying::Own),
        };
        if id.producer.idempotent && id.number != due && !(has_gap && id.number > due) {
            let what = format!("{place} {id} where its producer's number {due} was due");
            return Err(Failure::broken(6, what));
        }
        if id.number < due {
            let what = format!("{place} {id} after its producer's number {}", due - 1);
            return Err(Failure::broken(15, what));
        }
        Ok(())
    }

    fn check_complete(&self, end: i64, keying: Keying) -> Result<(), Failure> {
        if self.next_offset > end {
            let what = format!("ends at {end}, but records were read up to {}", self.next_offset);
            return Err(Failure::broken(2, what));
        }
        if let Keying::Few(key_count) = keying {
            return self.check_compacted(key_count);
        }
        let unread = |(offset, _): &(&i64, &RecordId)| !self.exposed.contains_key(*offset);
        if let Some((offset, id)) = self.acknowledged.range(self.start.told..).find(unread) {
            let what =
                format!("offset={offset} {id} was acknowledged and is gone; the log ends at {end}");
            return Err(Failure::broken(4, what));
        }
        // Where records were deleted, any of these may have been before someone read it.
        let missing = self.acknowledged_somewhere.iter().find(|id| !self.has(id));
        match missing.filter(|_| self.start.told == 0) {
            Some(id) => Err(Failure::broken(4, format!("{id} was acknowledged and is nowhere"))),
            None => Ok(()),
        }
    }

    /// That of each key the last record is there, but for one that has deleted its key; and that with such
    /// a one all before it are gone.
    fn check_compacted(&self, key_count: u64) -> Result<(), Failure> {
        let mut last = BTreeMap::<u64, (i64, RecordId)>::new();
        for (&offset, &id) in self.acknowledged.iter().chain(&self.exposed) {
            let known = last.entry(id.key_among(key_count)).or_insert((offset, id));
            *known = (*known).max((offset, id));
        }
        for (key, (offset, id)) in last {
            let read = self.last_read.get(&key).copied();
            let is_right = match read {
                Some(read) if read >= offset => true,
                // Who reads while it is compacted may miss a tombstone, and have read what it deletes.
                Some(_) => id.is_tombstone() && !self.is_read_anew,
                None => id.is_tombstone(),
            };
            if !is_right {
                let what = format!(
                    "offset={offset} {id} is the last of key {key}, and the last that was read is {read:?}"
                );
                return Err(Failure::broken(4, what));
            }
        }
        Ok(())
    }

    /// Whether `id`, of an idempotent producer, has been read: its numbers come without gaps.
    fn has(&self, id: &RecordId) -> bool {
        self.last.get(&id.producer).is_some_and(|last| last.number >= id.number)
    }
}

#[cfg(test)]
mod tests;
