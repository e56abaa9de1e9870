//! What clients are given to produce, and how what they read is compared with it.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;

/// The records of one produce run, in the order in which the client got them. Keys repeat, so that
/// each partition gets many; values count, so that a missing or moved record is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    pub records: Vec<(String, String)>,
}

impl Produced {
    /// `count` records with compressible values of about `value_size_bytes`.
    pub fn new(label: &str, count: usize, value_size_bytes: usize) -> Self {
        let filler = "all the birds of the air fell a-sighing and a-sobbing ";
        let record = |index: usize| {
            let start = format!("{index:07} {label} ");
            let filled = value_size_bytes.saturating_sub(start.len());
            let value: String = start.chars().chain(filler.chars().cycle().take(filled)).collect();
            (format!("key-{}", index % 211), value)
        };
        Self { records: (0..count).map(record).collect() }
    }

    /// `key<TAB>value` lines, which every producing client of the suite takes.
    pub fn lines(&self) -> String {
        self.records.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect()
    }
}

/// One record as a client has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: String,
}

/// Parses `partition<TAB>offset<TAB>key<TAB>value` lines, which every consuming client prints.
pub fn parse_lines(text: &str) -> Result<Vec<ReadRecord>> {
    let parse = |line: &str| {
        let mut fields = line.splitn(4, '\t');
        let mut field = || fields.next().with_context(|| format!("too few fields in {line:?}"));
        let partition = field()?;
        let partition = partition.strip_prefix("Partition:").unwrap_or(partition).parse()?;
        let offset = field()?;
        let offset = offset.strip_prefix("Offset:").unwrap_or(offset).parse()?;
        Ok(ReadRecord { partition, offset, key: field()?.to_owned(), value: field()?.to_owned() })
    };
    text.lines().map(parse).collect()
}

/// What was read is what was produced: everything once, offsets from 0 without gaps, and each
/// partition's records in the order in which the producer got them. All partitions are used.
pub fn check_read(produced: &Produced, read: &[ReadRecord], partition_count: usize) -> Result<()> {
    let mut next_offset = vec![0_i64; partition_count];
    let mut last_value = vec![""; partition_count];
    for record in read {
        let partition = usize::try_from(record.partition)?;
        ensure!(partition < partition_count, "partition {partition} of {partition_count}");
        let due = next_offset[partition];
        ensure!(
            record.offset == due,
            "partition {partition}: {} where {due} was due",
            record.offset
        );
        // Values begin with their index at a fixed width, so that text order is produce order.
        let before = last_value[partition];
        ensure!(before < record.value.as_str(), "partition {partition}: {before:?} out of order");
        next_offset[partition] += 1;
        last_value[partition] = &record.value;
    }
    ensure!(
        read.len() == produced.records.len(),
        "{} records read, {} produced",
        read.len(),
        produced.records.len()
    );
    let read: BTreeSet<(&str, &str)> =
        read.iter().map(|record| (record.key.as_str(), record.value.as_str())).collect();
    for (key, value) in &produced.records {
        if !read.contains(&(key.as_str(), value.as_str())) {
            bail!("key {key} value {value:?} was produced and not read");
        }
    }
    let used = next_offset.iter().filter(|&&count| count > 0).count();
    ensure!(used == partition_count, "only {used} of {partition_count} partitions have records");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(produced: &Produced) -> Vec<ReadRecord> {
        let mut next = [0; 2];
        let record = |(key, value): &(String, String)| {
            let partition = key.len() % 2;
            let offset = next[partition];
            next[partition] += 1;
            let (key, value) = (key.clone(), value.clone());
            ReadRecord { partition: partition as i32, offset, key, value }
        };
        produced.records.iter().map(record).collect()
    }

    #[test]
    fn what_every_client_prints_is_understood() {
        let kafka = parse_lines("Partition:3\tOffset:0\tk\tv w").expect("kafka-console-consumer");
        let kcat = parse_lines("3\t0\tk\tv w\n").expect("kcat");
        assert_eq!(kafka, kcat);
        assert!(parse_lines("Processed a total of 5 messages").is_err());
    }

    #[test]
    fn every_kind_of_damage_is_seen() {
        let produced = Produced::new("t", 300, 60);
        check_read(&produced, &read_of(&produced), 2).expect("all is as produced");
        type Damage = fn(&mut Vec<ReadRecord>);
        let damages: [(&str, Damage); 6] = [
            ("the last is lost", |read| drop(read.pop())),
            ("one is lost within", |read| drop(read.remove(7))),
            ("one is twice", |read| read.insert(3, read[2].clone())),
            ("a value is damaged", |read| read[5].value.push('x')),
            ("two changed places", |read| {
                let values = (read[0].value.clone(), read[1].value.clone());
                (read[1].value, read[0].value) = values;
            }),
            ("a partition does not exist", |read| read[0].partition = 2),
        ];
        for (what, damage) in damages {
            let mut read = read_of(&produced);
            damage(&mut read);
            assert!(check_read(&produced, &read, 2).is_err(), "unseen: {what}");
        }
    }
}
