//! What of a topic was altered since it was made, and what it may be: the answers of an administrator
//! against what a broker says of itself (INV-5), and the order of requests (INV-15).

use std::collections::{BTreeMap, BTreeSet};

use crate::verdict::Failure;

/// Of one topic.
pub struct Alterations {
    /// By the name of the configuration; nothing of one that nobody has altered.
    configs: BTreeMap<&'static str, AlteredConfig>,
    /// There are so many at least: some answer has told.
    partition_count_min: i32,
    /// Nobody has asked for more.
    partition_count_max: i32,
    /// By what was asked for: how many were told that they have brought it about.
    grown: BTreeMap<i32, u32>,
}

#[derive(Default)]
struct AlteredConfig {
    /// The last of those that were acknowledged.
    acknowledged: Option<String>,
    /// Values of requests without an answer: one may be on its way still.
    in_doubt: BTreeSet<String>,
}

impl Alterations {
    pub fn new(partition_count: i32) -> Self {
        Alterations {
            configs: BTreeMap::new(),
            partition_count_min: partition_count,
            partition_count_max: partition_count,
            grown: BTreeMap::new(),
        }
    }

    pub fn partition_count_max(&self) -> i32 {
        self.partition_count_max
    }

    pub fn configs(&self) -> Vec<&'static str> {
        self.configs.keys().copied().collect()
    }

    /// Someone asks for `values`, one after the other, on one connection.
    pub fn ask_config(&mut self, name: &'static str, values: &[String]) {
        self.configs.entry(name).or_default().in_doubt.extend(values.iter().cloned());
    }

    /// All of `values` were acknowledged: the last of them is what holds.
    pub fn config_acknowledged(&mut self, name: &'static str, values: &[String]) {
        let known = self.configs.entry(name).or_default();
        known.in_doubt.retain(|value| !values.contains(value));
        known.acknowledged = values.last().cloned();
    }

    /// The broker says that `value` holds; `None`, that nobody has set any.
    pub fn check_config(&self, name: &'static str, value: Option<&str>) -> Result<(), Failure> {
        let Some(known) = self.configs.get(name) else { return Ok(()) };
        let is_known = match value {
            Some(value) => {
                known.acknowledged.as_deref() == Some(value) || known.in_doubt.contains(value)
            }
            None => known.acknowledged.is_none(),
        };
        if is_known {
            return Ok(());
        }
        let what = format!(
            "{name} is {value:?}, was set to {:?} last, and perhaps to one of {:?}",
            known.acknowledged, known.in_doubt
        );
        Err(Failure::broken(5, what))
    }

    pub fn ask_partitions(&mut self, count: i32) {
        self.partition_count_max = self.partition_count_max.max(count);
    }

    /// The broker says that there are `count` partitions now, as `has_grown` says because of this request.
    pub fn has_partitions(&mut self, count: i32, has_grown: bool) -> Result<(), Failure> {
        self.partition_count_min = self.partition_count_min.max(count);
        if has_grown {
            let grown = self.grown.entry(count).or_default();
            *grown += 1;
            if *grown > 1 {
                let what =
                    format!("{grown} requests were told that they made it {count} partitions");
                return Err(Failure::broken(5, what));
            }
        }
        Ok(())
    }

    /// The broker shows `count` partitions.
    pub fn check_partitions(&self, count: i32) -> Result<(), Failure> {
        if (self.partition_count_min..=self.partition_count_max).contains(&count) {
            return Ok(());
        }
        let what = format!(
            "there are {count} partitions; {} were acknowledged, and {} asked for",
            self.partition_count_min, self.partition_count_max
        );
        Err(Failure::broken(5, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: impl FnOnce(&mut Alterations) -> Result<(), Failure>, is_right: bool) {
        let outcome = steps(&mut Alterations::new(2));
        assert_eq!(outcome.is_ok(), is_right, "{outcome:?}");
    }

    #[test]
    fn what_was_acknowledged_last_holds_or_what_has_no_answer() {
        let [one, two, three] = ["1", "2", "3"].map(str::to_owned);
        for (value, is_right) in [
            (Some("1"), false),
            (Some("2"), true),
            (Some("3"), true),
            (Some("4"), false),
            (None, false),
        ] {
            let asked = [one.clone(), two.clone()];
            let doubtful = [three.clone()];
            check(
                move |known| {
                    known.ask_config("a", &asked);
                    known.ask_config("a", &doubtful);
                    known.config_acknowledged("a", &asked);
                    known.check_config("a", value)
                },
                is_right,
            );
        }
    }

    #[test]
    fn partitions_are_as_many_as_were_acknowledged_or_asked_for() {
        for (count, is_right) in [(2, false), (3, true), (4, true), (5, false)] {
            check(
                |known| {
                    known.ask_partitions(3);
                    known.has_partitions(3, true)?;
                    known.has_partitions(3, false)?;
                    known.ask_partitions(4);
                    known.check_partitions(count)
                },
                is_right,
            );
        }
        check(
            |known| {
                known.has_partitions(3, true)?;
                known.has_partitions(3, true)
            },
            false,
        );
    }
}
