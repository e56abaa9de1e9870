//! `millrace group reset-offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use client::Cluster;
use serde_json::json;

use super::committed::{Offsets, commit, committed};
use super::list::groups;
use super::members::describe;
use super::plan::{Scope, Step, To, parse, plan, scope, within};
use crate::cli::bootstrap::Bootstrap;
use crate::cli::output::{Output, all_went_well};
use crate::cli::storage::wall_clock_ms;
use crate::cli::table::Table;
use crate::cli::times::{age_ms, duration_ms, timestamp_ms};

/// Set where groups go on. Without --execute the plan is shown and nothing is changed.
///
/// A group's members have to stop first. What lies outside of a partition's log becomes its beginning or
/// its end.
///
/// Example: millrace group reset-offsets billing --topic orders:0,1 --to-datetime 2026-01-31T08:00:00
#[derive(clap::Args)]
pub struct ResetOffsets {
    /// Their names. A group that is not there is made by it.
    #[arg(value_name = "GROUP", required_unless_present = "all_groups")]
    groups: Vec<String>,
    /// All groups that there are.
    #[arg(long, conflicts_with = "groups")]
    all_groups: bool,
    /// A topic, or some of its partitions; may be given several times.
    #[arg(long = "topic", value_name = "TOPIC[:0,1,..]", value_parser = scope)]
    topics: Vec<Scope>,
    /// All partitions that the group has committed an offset of.
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    #[command(flatten)]
    target: Target,
    /// Do it, instead of showing what would be done.
    #[arg(long)]
    execute: bool,
    /// Print the plan as --from-file reads it.
    #[arg(long, conflicts_with = "json")]
    export: bool,
    /// Print an object a line for each partition.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Where the offsets go: one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// To the beginning of each log.
    #[arg(long)]
    to_earliest: bool,
    /// To the end of each log.
    #[arg(long)]
    to_latest: bool,
    /// To where they are; with --export this keeps them.
    #[arg(long)]
    to_current: bool,
    /// To this offset.
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record of a date or a time, which is in UTC if it does not say otherwise.
    #[arg(long, value_name = "YYYY-MM-DDTHH:MM:SS", value_parser = datetime)]
    to_datetime: Option<i64>,
    /// To the first record of so long ago: PT1H30M or P7D, as well as 90m or 7d.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    by_duration: Option<i64>,
    /// So many records on, or back with a minus.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// Each to what the file says: lines of TOPIC,PARTITION,OFFSET, after the GROUP of several.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topics", "all_topics"])]
    from_file: Option<PathBuf>,
}

fn datetime(text: &str) -> Result<i64, String> {
    let wrong = "it has to be as 2026-01-31, 2026-01-31T08:00:00.000 or 2026-01-31T08:00:00+01:00";
    timestamp_ms(text).ok_or_else(|| wrong.to_owned())
}

fn duration(text: &str) -> Result<i64, String> {
    let wrong = "it has to be as PT1H30M, P7D, 90s, 10m, 2h or 7d";
    duration_ms(text).or_else(|| age_ms(text)).ok_or_else(|| wrong.to_owned())
}

impl Target {
    /// What is asked for of all groups alike; `None` where a file has it.
    fn to(&self) -> Result<Option<To>> {
        let since = |age_ms: i64| -> Result<To> {
            Ok(To::TimestampMs(wall_clock_ms()?.saturating_sub(age_ms).max(0)))
        };
        Ok(match self {
            Target { to_earliest: true, .. } => Some(To::Earliest),
            Target { to_latest: true, .. } => Some(To::Latest),
            Target { to_current: true, .. } => Some(To::Current),
            Target { to_offset: Some(offset), .. } => Some(To::Offset(*offset)),
            // Before 1970 begins what has no time; below 0 timestamps mean something else.
            Target { to_datetime: Some(timestamp_ms), .. } => {
                Some(To::TimestampMs((*timestamp_ms).max(0)))
            }
            Target { by_duration: Some(age_ms), .. } => Some(since(*age_ms)?),
            Target { shift_by: Some(count), .. } => Some(To::Shift(*count)),
            Target { .. } => None,
        })
    }
}

impl ResetOffsets {
    /// A group that cannot be reset fails the command; the others are reset all the same.
    pub fn run(&self) -> Result<()> {
        let is_scoped = self.all_topics || !self.topics.is_empty();
        if !is_scoped && self.target.from_file.is_none() {
            bail!("which partitions? --topic TOPIC, --topic TOPIC:0,1 or --all-topics");
        }
        let mut cluster = self.bootstrap.connect()?;
        let names = match self.all_groups {
            false => self.groups.clone(),
            true => {
                let (groups, failures) = groups(&mut cluster)?;
                all_went_well(&failures)?;
                groups.into_iter().map(|(group, _)| group.group_id.into()).collect()
            }
        };
        let mut targets = self.targets(&names)?;
        let mut failures = Vec::new();
        let mut done = Vec::new();
        for name in names {
            let Some(to) = targets.remove(&name) else { continue };
            match self.reset(&mut cluster, &name, &to) {
                Ok(steps) => done.push((name, steps)),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        self.show(&done)?;
        all_went_well(&failures)
    }

    /// What becomes of each of `names`.
    fn targets(&self, names: &[String]) -> Result<BTreeMap<String, To>> {
        if let Some(to) = self.target.to()? {
            return Ok(names.iter().map(|name| (name.clone(), to.clone())).collect());
        }
        let path = self.target.from_file.as_deref().context("nothing to reset to")?;
        let path_text = path.display().to_string();
        #[expect(
            clippy::disallowed_methods,
            reason = "a command reads its input, and runs no core"
        )]
        let text = std::fs::read_to_string(path).with_context(|| path_text.clone())?;
        let only = match names {
            [one] => Some(one.as_str()),
            _ => None,
        };
        let offsets = parse(&text, only).context(path_text)?;
        if let Some(other) = offsets.keys().find(|group| !names.contains(group)) {
            bail!("{} has offsets of group {other:?}, which is not to be reset", path.display());
        }
        Ok(offsets.into_iter().map(|(group, offsets)| (group, To::Each(offsets))).collect())
    }

    /// Plans for one group, and does it where it is to be done.
    fn reset(&self, cluster: &mut Cluster, name: &str, to: &To) -> Result<Vec<Step>> {
        if let Some(described) = describe(cluster, name)?.filter(|it| it.is_active()) {
            bail!(
                "group {name:?} is {} with {} members, whose offsets are theirs; they have to stop \
                 first",
                described.state,
                described.members.len()
            );
        }
        let current = committed(cluster, name)?;
        let places: BTreeSet<(String, i32)> = match to {
            To::Each(offsets) => offsets.keys().cloned().collect(),
            _ if self.all_topics => current.keys().cloned().collect(),
            _ => within(cluster, &self.topics)?,
        };
        if places.is_empty() {
            bail!("group {name:?} has committed no offset: --topic TOPIC says what to reset");
        }
        let steps = plan(cluster, &current, &places, to)
            .with_context(|| format!("group {name:?}, of which nothing was reset"))?;
        if self.execute {
            let place = |it: &Step| ((it.topic.clone(), it.partition), it.to);
            commit(cluster, name, &steps.iter().map(place).collect::<Offsets>())?;
        }
        Ok(steps)
    }

    fn show(&self, done: &[(String, Vec<Step>)]) -> Result<()> {
        let mut output = Output::stdout();
        let mut table = Table::new(&["GROUP", "TOPIC", "PARTITION", "CURRENT", "NEW", "ASKED FOR"]);
        let number = |it: Option<i64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
        for (group, steps) in done {
            for Step { topic, partition, current, to, beyond } in steps {
                if self.export && self.groups.len() == 1 {
                    output.line(&format!("{topic},{partition},{to}"))?;
                } else if self.export {
                    output.line(&format!("{group},{topic},{partition},{to}"))?;
                } else if self.json {
                    let line = json!({
                        "group": group,
                        "topic": topic,
                        "partition": partition,
                        "current_offset": current,
                        "new_offset": to,
                        "asked_for": beyond,
                        "done": self.execute,
                    });
                    output.line(&line.to_string())?;
                } else {
                    table.row([
                        group.clone(),
                        topic.clone(),
                        partition.to_string(),
                        number(*current),
                        to.to_string(),
                        number(*beyond),
                    ]);
                }
            }
        }
        if !self.export && !self.json && !done.is_empty() {
            output.write(table.text().as_bytes())?;
            if !self.execute {
                output.line("\nNothing was changed: --execute does it.")?;
            }
        }
        output.flush()
    }
}
