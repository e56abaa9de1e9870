//! Where a group's offsets are to go, before any goes there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use client::Cluster;

use super::committed::Offsets;
use super::lag::{Log, logs, partitions};
use crate::cli::offsets::{At, offsets};

/// What all offsets of a plan are reset to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    Earliest,
    Latest,
    /// Where they are; the end where none was committed.
    Current,
    Offset(i64),
    /// The first record of this time or later; the end where there is none.
    TimestampMs(i64),
    /// So many behind what was committed, or before it.
    Shift(i64),
    /// Each to its own.
    Each(Offsets),
}

/// Which partitions: all of a topic, or those that are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub topic: String,
    pub partitions: Vec<i32>,
}

/// What becomes of one partition's offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub topic: String,
    pub partition: i32,
    /// What is committed now.
    pub current: Option<i64>,
    pub to: i64,
    /// What was asked for, where the log does not reach so far.
    pub beyond: Option<i64>,
}

/// The partitions of `scopes`. Errors: a topic or a partition that is not there.
pub fn within(cluster: &mut Cluster, scopes: &[Scope]) -> Result<BTreeSet<(String, i32)>> {
    let mut found = BTreeSet::new();
    for Scope { topic, partitions: wanted } in scopes {
        let Some(known) = cluster.retry(|cluster| partitions(cluster, topic))? else {
            bail!("there is no topic {topic:?}; millrace topic list shows those there are");
        };
        let known: Vec<i32> = known.iter().map(|it| it.partition_index).collect();
        if let Some(missing) = wanted.iter().find(|it| !known.contains(it)) {
            bail!("topic {topic} has no partition {missing}: it has {}", known.len());
        }
        let wanted = if wanted.is_empty() { &known } else { wanted };
        found.extend(wanted.iter().map(|&partition| (topic.clone(), partition)));
    }
    Ok(found)
}

/// A step for each of `places`, in their order.
/// Errors: a partition that nobody leads, and one that is to be shifted from nowhere.
pub fn plan(
    cluster: &mut Cluster,
    committed: &Offsets,
    places: &BTreeSet<(String, i32)>,
    to: &To,
) -> Result<Vec<Step>> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        by_topic.entry(topic).or_default().push(*partition);
    }
    let mut steps = Vec::with_capacity(places.len());
    for (topic, wanted) in by_topic {
        let logs = logs(cluster, topic)?;
        let at_time = match to {
            To::TimestampMs(timestamp_ms) => {
                at_time(cluster, topic, &wanted, At::TimestampMs(*timestamp_ms))?
            }
            _ => BTreeMap::new(),
        };
        for partition in wanted {
            let Some(&log) = logs.get(&partition) else {
                bail!("{topic}-{partition} is not there, or has no leader");
            };
            let place = (topic.to_owned(), partition);
            let current = committed.get(&place).copied();
            let given = match to {
                To::Each(offsets) => offsets.get(&place).copied(),
                _ => at_time.get(&partition).copied(),
            };
            let Some(wanted) = wanted_offset(to, current, given, log) else {
                bail!(
                    "{topic}-{partition} has no committed offset to shift; --to-offset, \
                     --to-earliest and --to-latest need none"
                );
            };
            let to = wanted.clamp(log.start_offset, log.end_offset);
            let beyond = (to != wanted).then_some(wanted);
            steps.push(Step { topic: topic.to_owned(), partition, current, to, beyond });
        }
    }
    Ok(steps)
}

fn at_time(
    cluster: &mut Cluster,
    topic: &str,
    wanted: &[i32],
    at: At,
) -> Result<BTreeMap<i32, i64>> {
    Ok(cluster.retry(|cluster| {
        let mut known = partitions(cluster, topic)?.unwrap_or_default();
        known.retain(|it| wanted.contains(&it.partition_index));
        offsets(cluster, topic, &known, at)
    })?)
}

/// Where one offset is to go, whether the log reaches there or not; `None` where that hangs on what was
/// committed, and nothing was. `given` is what was looked up for it.
fn wanted_offset(to: &To, current: Option<i64>, given: Option<i64>, log: Log) -> Option<i64> {
    match to {
        To::Earliest => Some(log.start_offset),
        To::Latest => Some(log.end_offset),
        To::Current => Some(current.unwrap_or(log.end_offset)),
        To::Offset(offset) => Some(*offset),
        To::Shift(count) => Some(current?.saturating_add(*count)),
        To::TimestampMs(_) | To::Each(_) => Some(given.unwrap_or(log.end_offset)),
    }
}

/// `TOPIC` or `TOPIC:0,2`.
pub fn scope(text: &str) -> Result<Scope, String> {
    let (topic, partitions) = match text.split_once(':') {
        None => (text, Vec::new()),
        Some((topic, list)) => {
            let parse = |it: &str| it.parse::<i32>().ok().filter(|it| *it >= 0);
            let partitions: Option<Vec<i32>> = list.split(',').map(parse).collect();
            (topic, partitions.ok_or("it has to be TOPIC or TOPIC:0,1,2")?)
        }
    };
    match topic.is_empty() {
        true => Err("it has to be TOPIC or TOPIC:0,1,2".to_owned()),
        false => Ok(Scope { topic: topic.to_owned(), partitions }),
    }
}

/// Offsets by group from lines of `GROUP,TOPIC,PARTITION,OFFSET`, or of the last three for the one `group`
/// that is reset. Errors: which line is none.
pub fn parse(text: &str, group: Option<&str>) -> Result<BTreeMap<String, Offsets>> {
    let mut offsets: BTreeMap<String, Offsets> = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(|it| it.trim().trim_matches('"')).collect();
        let (group, topic, partition, offset) = match (fields.as_slice(), group) {
            ([group, topic, partition, offset], _) => (*group, *topic, *partition, *offset),
            ([topic, partition, offset], Some(group)) => (group, *topic, *partition, *offset),
            _ => bail!("line {}: it has to be GROUP,TOPIC,PARTITION,OFFSET", index + 1),
        };
        let numbers = partition.parse::<i32>().ok().zip(offset.parse::<i64>().ok());
        let Some((partition, offset)) = numbers.filter(|numbers| *numbers >= (0, 0)) else {
            bail!("line {}: {partition} and {offset} are no partition and offset", index + 1);
        };
        let place = (topic.to_owned(), partition);
        offsets.entry(group.to_owned()).or_default().insert(place, offset);
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reset_knows_where_it_goes() {
        let log = Log { leader: 1, start_offset: 10, end_offset: 50 };
        for (to, current, given, want) in [
            (To::Earliest, Some(20), None, Some(10)),
            (To::Latest, None, None, Some(50)),
            (To::Current, Some(20), None, Some(20)),
            (To::Current, None, None, Some(50)),
            (To::Offset(7), None, None, Some(7)),
            (To::Shift(5), Some(20), None, Some(25)),
            (To::Shift(-50), Some(20), None, Some(-30)),
            (To::Shift(i64::MAX), Some(20), None, Some(i64::MAX)),
            (To::Shift(5), None, None, None),
            (To::TimestampMs(0), Some(20), Some(30), Some(30)),
            (To::TimestampMs(0), Some(20), None, Some(50)), // later than all
        ] {
            assert_eq!(wanted_offset(&to, current, given, log), want, "{to:?} {current:?}");
        }
    }

    #[test]
    fn a_scope_is_a_topic_with_or_without_partitions() {
        let scope_of = |topic: &str, partitions: &[i32]| {
            Some(Scope { topic: topic.to_owned(), partitions: partitions.to_vec() })
        };
        for (text, want) in [
            ("orders", scope_of("orders", &[])),
            ("orders:0", scope_of("orders", &[0])),
            ("orders:2,0", scope_of("orders", &[2, 0])),
            ("orders:", None),
            ("orders:0,", None),
            ("orders:-1", None),
            ("orders:0-2", None),
            (":0", None),
            ("", None),
        ] {
            assert_eq!(scope(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn a_file_has_a_line_for_each_offset() {
        let offsets = |it: &[(&str, i32, i64)]| {
            it.iter().map(|&(topic, partition, to)| ((topic.to_owned(), partition), to)).collect()
        };
        let of = |group: &str, it| BTreeMap::from([(group.to_owned(), offsets(it))]);
        for (text, group, want) in [
            (
                "orders,0,5\norders,1,6\n",
                Some("a"),
                Some(of("a", &[("orders", 0, 5), ("orders", 1, 6)])),
            ),
            ("\"b\",\"orders\",0,5", Some("a"), Some(of("b", &[("orders", 0, 5)]))),
            ("b, orders, 0, 5\n\n", None, Some(of("b", &[("orders", 0, 5)]))),
            ("orders,0,5", None, None),
            ("orders,0", Some("a"), None),
            ("orders,0,-5", Some("a"), None),
            ("orders,-1,5", Some("a"), None),
            ("TOPIC,PARTITION,OFFSET", Some("a"), None),
        ] {
            assert_eq!(parse(text, group).ok(), want, "{text}");
        }
    }
}
