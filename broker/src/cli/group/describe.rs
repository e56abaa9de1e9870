//! `millrace group describe`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use client::Cluster;
use serde_json::{Value, json};

use super::committed::committed;
use super::coordinator;
use super::lag::{Log, first_timestamp_ms, logs};
use super::list::groups;
use super::members::{Described, Member, describe};
use crate::cli::bootstrap::Bootstrap;
use crate::cli::output::{Output, all_went_well};
use crate::cli::storage::wall_clock_ms;
use crate::cli::table::Table;

/// Show groups: state, members, and how far each is behind.
///
/// LAG is how many offsets lie between what was committed and the end of the log. SECONDS is how old the
/// first record is that was not committed, by its own timestamp and this host's clock.
///
/// Example: millrace group describe billing --members
#[derive(clap::Args)]
pub struct Describe {
    /// Their names; without any, all groups.
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Show members and what they are assigned, instead of partitions and lag.
    #[arg(short, long)]
    members: bool,
    /// Print an object a line for each group.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// A partition that a group has committed an offset of, or that a member is assigned.
struct Row {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    /// `None` where nobody leads it, or its topic is gone.
    log: Option<Log>,
    /// Of the first record that was not committed; nothing where there is none.
    first_timestamp_ms: Option<i64>,
    /// Its place among the members.
    member: Option<usize>,
}

impl Describe {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let (names, mut failures) = match self.groups.is_empty() {
            false => (self.groups.clone(), Vec::new()),
            true => {
                let (groups, failures) = groups(&mut cluster)?;
                (groups.into_iter().map(|(it, _)| it.group_id.into()).collect(), failures)
            }
        };
        let mut output = Output::stdout();
        for (index, name) in names.iter().enumerate() {
            let Some(described) = describe(&mut cluster, name)? else {
                failures.push(format!(
                    "there is no classic or consumer group {name:?}; millrace group list shows \
                     those there are"
                ));
                continue;
            };
            let coordinator = cluster.retry(|cluster| coordinator::find(cluster, name))?;
            if self.json || !self.members {
                let rows = rows(&mut cluster, name, &described)?;
                let now_ms = wall_clock_ms()?;
                if self.json {
                    let line = to_json(name, coordinator, &described, &rows, now_ms);
                    output.line(&line.to_string())?;
                    continue;
                }
                output.write(if index > 0 { b"\n" } else { b"" })?;
                output.line(&heading(name, coordinator, &described))?;
                output.write(partitions(&rows, &described.members, now_ms).as_bytes())?;
                continue;
            }
            output.write(if index > 0 { b"\n" } else { b"" })?;
            output.line(&heading(name, coordinator, &described))?;
            output.write(members(&described.members).as_bytes())?;
        }
        output.flush()?;
        all_went_well(&failures)
    }
}

fn rows(cluster: &mut Cluster, group: &str, described: &Described) -> Result<Vec<Row>> {
    let offsets = committed(cluster, group)?;
    let mut owners = BTreeMap::new();
    for (index, member) in described.members.iter().enumerate() {
        for (topic, partitions) in member.partitions.iter().flatten() {
            owners.extend(partitions.iter().map(|&it| ((topic.clone(), it), index)));
        }
    }
    let places: BTreeSet<(String, i32)> = offsets.keys().chain(owners.keys()).cloned().collect();
    let mut logs_by_topic: BTreeMap<String, BTreeMap<i32, Log>> = BTreeMap::new();
    let mut rows = Vec::with_capacity(places.len());
    for (topic, partition) in places {
        if !logs_by_topic.contains_key(&topic) {
            logs_by_topic.insert(topic.clone(), logs(cluster, &topic)?);
        }
        let log = logs_by_topic.get(&topic).and_then(|logs| logs.get(&partition)).copied();
        let committed = offsets.get(&(topic.clone(), partition)).copied();
        let first_timestamp_ms = match committed.zip(log) {
            Some((offset, log)) => first_timestamp_ms(cluster, &topic, partition, log, offset)?,
            None => None,
        };
        let member = owners.get(&(topic.clone(), partition)).copied();
        rows.push(Row { topic, partition, committed, log, first_timestamp_ms, member });
    }
    Ok(rows)
}

impl Row {
    fn lag(&self) -> Option<i64> {
        Some((self.log?.end_offset - self.committed?).max(0))
    }

    /// Not known where no record with a time is left: markers of transactions have an offset, too.
    fn lag_ms(&self, now_ms: i64) -> Option<i64> {
        match (self.lag()?, self.first_timestamp_ms) {
            (0, _) => Some(0),
            (_, timestamp_ms) => Some((now_ms - timestamp_ms?).max(0)),
        }
    }
}

fn heading(name: &str, coordinator: i32, described: &Described) -> String {
    let Described { state, kind, protocol_type, assignor, members } = described;
    let count = match members.len() {
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    };
    let mut words = vec![name.to_owned(), state.clone(), (*kind).to_owned()];
    words.extend([protocol_type, assignor].into_iter().filter(|it| !it.is_empty()).cloned());
    words.extend([count, format!("coordinator {coordinator}")]);
    words.join("  ")
}

fn or_none(text: Option<String>) -> String {
    text.filter(|it| !it.is_empty()).unwrap_or_else(|| "-".to_owned())
}

fn partitions(rows: &[Row], members: &[Member], now_ms: i64) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heading =
        ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "SECONDS", "MEMBER", "INSTANCE", "HOST"];
    let mut table = Table::new(&heading);
    let number = |it: Option<i64>| or_none(it.map(|it| it.to_string()));
    for row in rows {
        let member = row.member.and_then(|index| members.get(index));
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            number(row.committed),
            number(row.log.map(|log| log.end_offset)),
            number(row.lag()),
            or_none(row.lag_ms(now_ms).map(seconds).map(|it| format!("{it:.1}"))),
            or_none(member.map(|it| it.id.clone())),
            or_none(member.and_then(|it| it.instance.clone())),
            or_none(member.map(|it| it.host.clone())),
        ]);
    }
    table.text()
}

fn members(members: &[Member]) -> String {
    if members.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"]);
    for member in members {
        let numbers = |partitions: &[i32]| {
            partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
        };
        let topic =
            |(topic, partitions): (&String, &Vec<i32>)| format!("{topic}:{}", numbers(partitions));
        let partitions = member.partitions.as_ref();
        let partitions = partitions.map(|it| it.iter().map(topic).collect::<Vec<_>>().join(" "));
        table.row([
            member.id.clone(),
            or_none(member.instance.clone()),
            or_none(Some(member.client_id.clone())),
            or_none(Some(member.host.clone())),
            or_none(partitions),
        ]);
    }
    table.text()
}

fn seconds(age_ms: i64) -> f64 {
    age_ms as f64 / 1000.0
}

fn to_json(
    name: &str,
    coordinator: i32,
    described: &Described,
    rows: &[Row],
    now_ms: i64,
) -> Value {
    let partition = |row: &Row| {
        let member = row.member.and_then(|index| described.members.get(index));
        json!({
            "topic": row.topic,
            "partition": row.partition,
            "committed_offset": row.committed,
            "start_offset": row.log.map(|log| log.start_offset),
            "end_offset": row.log.map(|log| log.end_offset),
            "lag": row.lag(),
            "lag_seconds": row.lag_ms(now_ms).map(seconds),
            "member": member.map(|it| it.id.as_str()),
        })
    };
    let member = |member: &Member| {
        json!({
            "id": member.id,
            "instance": member.instance,
            "client_id": member.client_id,
            "host": member.host,
            "partitions": member.partitions,
        })
    };
    json!({
        "group": name,
        "state": described.state,
        "type": described.kind,
        "protocol_type": described.protocol_type,
        "assignor": described.assignor,
        "coordinator": coordinator,
        // What is not known of one partition is left out of the whole.
        "lag": rows.iter().filter_map(Row::lag).sum::<i64>(),
        "lag_seconds": rows.iter().filter_map(|row| row.lag_ms(now_ms)).max().map(seconds),
        "members": described.members.iter().map(member).collect::<Vec<_>>(),
        "partitions": rows.iter().map(partition).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_what_lies_behind_the_committed_offset() {
        let log = Some(Log { leader: 1, start_offset: 5, end_offset: 20 });
        for (committed, log, first_timestamp_ms, lag, lag_ms) in [
            (Some(12), log, Some(400), Some(8), Some(600)),
            (Some(20), log, None, Some(0), Some(0)),
            (Some(25), log, None, Some(0), Some(0)), // the log was made again since
            (Some(0), log, Some(2_000), Some(20), Some(0)), // a clock ahead of this one
            (Some(19), log, None, Some(1), None),    // a marker, or a record without a time
            (None, log, None, None, None),
            (Some(3), None, None, None, None),
        ] {
            let (topic, partition, member) = ("orders".to_owned(), 0, None);
            let row = Row { topic, partition, committed, log, first_timestamp_ms, member };
            assert_eq!((row.lag(), row.lag_ms(1_000)), (lag, lag_ms), "{committed:?} {log:?}");
        }
    }
}
