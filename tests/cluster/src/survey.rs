//! All that a client can see of a broker, as lines that must be the same whoever serves them.

use anyhow::{Context, Result, ensure};
use clients::{Broker, Tools, run};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(120);

/// The lines of `survey.py see`, each a JSON array that begins with its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey(BTreeSet<String>);

impl Survey {
    pub fn of(tools: &Tools, broker: &Broker) -> Result<Self> {
        let text = survey(tools, broker, &["see"])?;
        let survey = Self(text.lines().map(str::to_owned).collect());
        for kind in ["cluster", "topic", "config", "record", "time"] {
            ensure!(survey.count(kind) > 0, "nothing of kind {kind} was seen");
        }
        Ok(survey)
    }

    pub fn count(&self, kind: &str) -> usize {
        let start = format!("[\"{kind}\",");
        self.0.iter().filter(|line| line.starts_with(&start)).count()
    }

    /// Another broker on the same directories shows exactly the same.
    pub fn check_same(&self, now: &Self) -> Result<()> {
        differ("gone", &self.0, &now.0)?;
        differ("new", &now.0, &self.0)
    }

    /// After more was written, everything that stays is there: only ends have moved, and what a
    /// timestamp leads to.
    pub fn check_kept(&self, now: &Self) -> Result<()> {
        let moves = |line: &&String| {
            ["end", "time", "latest time"]
                .iter()
                .any(|kind| line.starts_with(&format!("[\"{kind}\",")))
        };
        let stays = self.0.iter().filter(|line| !moves(line)).cloned().collect();
        differ("gone", &stays, &now.0)?;
        let (before, after) = (self.count("record"), now.count("record"));
        ensure!(after > before, "{before} records before, {after} after more were written");
        Ok(())
    }
}

fn differ(what: &str, these: &BTreeSet<String>, those: &BTreeSet<String>) -> Result<()> {
    const SHOWN: usize = 5;
    let different: Vec<&String> = these.difference(those).collect();
    let shown = &different[..different.len().min(SHOWN)];
    ensure!(different.is_empty(), "{} lines are {what}, such as {shown:#?}", different.len());
    Ok(())
}

/// Runs a command of `survey.py` against a broker.
pub fn survey(tools: &Tools, broker: &Broker, command: &[&str]) -> Result<String> {
    let mut python: Command = tools.command(Tools::CONFLUENT_KAFKA);
    python.arg(crate::folder().join("confluent-kafka/survey.py"));
    python.arg(command[0]).arg(broker.bootstrap()).args(&command[1..]);
    let finished = run(&mut python, "", DEADLINE)?;
    finished.success().with_context(|| format!("survey.py {command:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Survey {
        Survey(lines.iter().map(|&line| line.to_owned()).collect())
    }

    #[test]
    fn a_difference_is_seen_both_ways() {
        let (one, two) = (of(&["[\"record\", 1]"]), of(&["[\"record\", 1]", "[\"record\", 2]"]));
        one.check_same(&one).expect("it is the same");
        assert!(one.check_same(&two).is_err());
        assert!(two.check_same(&one).is_err());
    }

    #[test]
    fn what_stays_must_stay() {
        let before = of(&["[\"end\", 1]", "[\"record\", 1]"]);
        let right = of(&["[\"end\", 2]", "[\"record\", 1]", "[\"record\", 2]"]);
        before.check_kept(&right).expect("an end may move");
        let lost = of(&["[\"end\", 2]", "[\"record\", 2]", "[\"record\", 3]"]);
        assert!(before.check_kept(&lost).is_err());
        assert!(before.check_kept(&before).is_err(), "nothing was written");
    }
}
