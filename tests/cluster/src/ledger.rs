//! What producers were told and what a reader has read of one topic, and whether the two agree.
//!
//! Every record is named by its producer and by its place among those that the producer sent to its
//! partition. None lost, doubled or misordered then means: the offsets that are read have no gap, each
//! producer's records are read in order from 0 without one missing or twice, and where a producer was
//! told an offset, its record stands there.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// A record by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub producer: u16,
    /// Counts from 0 on each partition.
    pub sequence: u32,
}

#[derive(Debug, Clone, Default)]
struct PartitionLedger {
    /// By offset; what was acknowledged without an offset is only in `acknowledged_end`.
    acknowledged: BTreeMap<i64, Record>,
    /// For each producer, the sequence after the last one acknowledged.
    acknowledged_end: BTreeMap<u16, u32>,
    /// By offset, from 0.
    read: Vec<Record>,
    /// For each producer, the sequence that is read next.
    read_end: BTreeMap<u16, u32>,
}

/// For each partition, for each producer: the sequence after the last one acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged(Vec<BTreeMap<u16, u32>>);

/// All partitions of a topic.
#[derive(Debug, Clone)]
pub struct Ledger {
    partitions: Vec<PartitionLedger>,
    acknowledged_count: u64,
    read_count: u64,
}

impl Ledger {
    pub fn new(partition_count: usize) -> Self {
        let partitions = vec![PartitionLedger::default(); partition_count];
        Self { partitions, acknowledged_count: 0, read_count: 0 }
    }

    pub fn acknowledged_count(&self) -> u64 {
        self.acknowledged_count
    }

    pub fn read_count(&self) -> u64 {
        self.read_count
    }

    /// `record` is acknowledged, at `offset` where the producer was told one. An error when another
    /// record was acknowledged or read there.
    pub fn acknowledge(
        &mut self,
        partition: usize,
        offset: Option<i64>,
        record: Record,
    ) -> Result<()> {
        let ledger = self.partitions.get_mut(partition).context("no such partition")?;
        self.acknowledged_count += 1;
        let end = ledger.acknowledged_end.entry(record.producer).or_default();
        *end = (*end).max(record.sequence + 1);
        let Some(offset) = offset else { return Ok(()) };
        if let Some(before) = ledger.acknowledged.insert(offset, record) {
            let message = format!("partition {partition} offset {offset}: acknowledged for");
            ensure!(before == record, "{message} {before:?}, then for {record:?}");
        }
        let read = usize::try_from(offset).ok().and_then(|at| ledger.read.get(at));
        let same = read.is_none_or(|read| *read == record);
        ensure!(
            same,
            "partition {partition} offset {offset}: {record:?} acknowledged, {read:?} read"
        );
        Ok(())
    }

    /// `record` was read at `offset`. An error when an offset was left out, when the producer's record
    /// before it is missing, when it was read before, or when another one was acknowledged there.
    pub fn read(&mut self, partition: usize, offset: i64, record: Record) -> Result<()> {
        let ledger = self.partitions.get_mut(partition).context("no such partition")?;
        let place = format!("partition {partition} offset {offset}: {record:?} read");
        let due = ledger.read.len() as i64;
        ensure!(offset == due, "{place} where offset {due} was due");
        let sequence = ledger.read_end.entry(record.producer).or_default();
        ensure!(record.sequence == *sequence, "{place} where sequence {sequence} was due");
        let acknowledged = ledger.acknowledged.get(&offset);
        let same = acknowledged.is_none_or(|acknowledged| *acknowledged == record);
        ensure!(same, "{place}, {acknowledged:?} acknowledged");
        *sequence += 1;
        ledger.read.push(record);
        self.read_count += 1;
        Ok(())
    }

    /// Whether all that is acknowledged has been read.
    pub fn is_read(&self) -> bool {
        self.first_unread().is_none()
    }

    /// Whether all has been read that was acknowledged then.
    pub fn has_read(&self, acknowledged: &Acknowledged) -> bool {
        self.partitions.iter().zip(&acknowledged.0).all(|(ledger, ends)| {
            let read = |producer| ledger.read_end.get(producer).copied().unwrap_or_default();
            ends.iter().all(|(producer, end)| read(producer) >= *end)
        })
    }

    /// How far each producer was acknowledged on each partition until now.
    pub fn acknowledged(&self) -> Acknowledged {
        Acknowledged(self.partitions.iter().map(|it| it.acknowledged_end.clone()).collect())
    }

    /// The first producer on the first partition that has acknowledged records which are not read.
    pub fn first_unread(&self) -> Option<String> {
        self.partitions.iter().enumerate().find_map(|(partition, ledger)| {
            let unread = ledger.acknowledged_end.iter().find_map(|(producer, end)| {
                let read = ledger.read_end.get(producer).copied().unwrap_or_default();
                (read < *end).then(|| format!("producer {producer}: {read} of {end} read"))
            });
            unread.map(|unread| format!("partition {partition} {unread}"))
        })
    }

    /// Nothing was read that was not acknowledged in the end: `sent` says how many records of a
    /// producer were sent to a partition and acknowledged.
    pub fn check_end(&self, sent: &BTreeMap<(u16, usize), u32>) -> Result<()> {
        for (partition, ledger) in self.partitions.iter().enumerate() {
            for (&(producer, _), &count) in sent.iter().filter(|((_, of), _)| *of == partition) {
                let read = ledger.read_end.get(&producer).copied().unwrap_or_default();
                let place = format!("partition {partition} producer {producer}");
                ensure!(read == count, "{place}: {read} records read, {count} sent");
            }
        }
        let sent: u64 = sent.values().map(|&count| u64::from(count)).sum();
        let (acknowledged, read) = (self.acknowledged_count, self.read_count);
        ensure!(acknowledged == sent, "{acknowledged} records acknowledged, {sent} sent");
        ensure!(read == sent, "{read} records read, {sent} sent");
        Ok(())
    }

    /// The same acknowledgements, nothing read yet: for a second reader.
    pub fn unread(&self) -> Self {
        let mut again = self.clone();
        for ledger in &mut again.partitions {
            ledger.read.clear();
            ledger.read_end.clear();
        }
        again.read_count = 0;
        again
    }

    /// INV-2: a later reader read the same record at every offset, and no fewer.
    pub fn check_same_read(&self, later: &Self) -> Result<()> {
        for (partition, (one, two)) in self.partitions.iter().zip(&later.partitions).enumerate() {
            let differs = one.read.iter().zip(&two.read).position(|(one, two)| one != two);
            ensure!(differs.is_none(), "partition {partition} offset {differs:?} has changed");
            let (one, two) = (one.read.len(), two.read.len());
            ensure!(one <= two, "partition {partition}: {one} records read, then {two}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u32 = 20;

    /// One partition, two producers that take turns; offset 5 was acknowledged without its place.
    fn log() -> Vec<Record> {
        let record = |at: u32| Record { producer: (at % 2) as u16, sequence: at / 2 };
        (0..COUNT).map(record).collect()
    }

    fn sent() -> BTreeMap<(u16, usize), u32> {
        [((0, 0), COUNT / 2), ((1, 0), COUNT / 2)].into()
    }

    fn judge(read: &[Record]) -> Result<()> {
        let mut ledger = Ledger::new(1);
        for (offset, record) in (0..).zip(log()) {
            ledger.acknowledge(0, (offset != 5).then_some(offset), record)?;
        }
        for (offset, record) in (0..).zip(read) {
            ledger.read(0, offset, *record)?;
        }
        ensure!(ledger.is_read(), "{:?}", ledger.first_unread());
        ledger.check_end(&sent())
    }

    #[test]
    fn what_is_right_passes() {
        judge(&log()).expect("all is as acknowledged");
    }

    #[test]
    fn every_kind_of_damage_is_seen() {
        type Damage = fn(&mut Vec<Record>);
        let damages: [(&str, Damage); 8] = [
            ("the last is lost", |read| read.truncate(COUNT as usize - 1)),
            ("one within is lost", |read| read.retain(|it| *it != log()[8])),
            ("one is twice", |read| read.insert(9, read[8])),
            ("two of one producer changed places", |read| read.swap(6, 8)),
            ("two of two producers changed places", |read| read.swap(6, 7)),
            ("one of another producer is there", |read| read[5].producer = 7),
            ("one that nobody acknowledged follows", |read| {
                read.push(Record { producer: 0, sequence: COUNT / 2 });
            }),
            ("nothing is there", Vec::clear),
        ];
        for (what, damage) in damages {
            let mut read = log();
            damage(&mut read);
            assert!(judge(&read).is_err(), "unseen: {what}");
        }
    }

    #[test]
    fn offsets_neither_leap_nor_are_given_twice() {
        let [first, second] = [log()[0], log()[1]];
        let mut ledger = Ledger::new(1);
        ledger.acknowledge(0, Some(0), first).expect("nothing is there yet");
        ledger.acknowledge(0, Some(0), first).expect("a retry is told the same");
        assert!(ledger.acknowledge(0, Some(0), second).is_err());
        let mut ledger = Ledger::new(1);
        assert!(ledger.read(0, 1, first).is_err());
        ledger.read(0, 0, first).expect("offset 0 is due");
        assert!(ledger.acknowledge(0, Some(0), second).is_err());
    }

    #[test]
    fn a_second_reader_must_read_the_same() {
        let mut one = Ledger::new(1);
        one.read(0, 0, log()[0]).expect("offset 0 is due");
        let mut two = one.unread();
        assert!(one.check_same_read(&two).is_err());
        two.read(0, 0, log()[1]).expect("offset 0 is due");
        assert!(one.check_same_read(&two).is_err());
    }
}
