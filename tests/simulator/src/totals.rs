//! Sums over all runs, and what they must come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::log_world::LogOutcome;
use crate::run::Outcome;
use crate::scenario::Floor;
use crate::world::Ended;

/// Names of all marks in the code that ships, separated by commas, as `cargo xtask` tells.
const MARKS: &str = "MILLRACE_MARKS";

/// What the world does to disks in any hundred seeds.
const DISK_FAULTS: [&str; 6] =
    ["bit_rot", "disk_full", "flush_error", "read_error", "unsynced_lost", "write_error"];
const DISK_FAULTS_AFTER_RUNS: u64 = 100;

/// Batches that a run of storage alone appends at least, on average.
const LOG_BATCHES_MEAN_MIN: u64 = 100;

#[derive(Default)]
pub struct Totals {
    runs: u64,
    /// Runs below [`Floor::FULL`].
    small_runs: u64,
    virtual_time: Duration,
    acknowledged_records: u64,
    compared_records: u64,
    topics: u64,
    commits: u64,
    restarts: u64,
    faults: BTreeMap<&'static str, u64>,
    world_faults: BTreeMap<&'static str, u64>,
    marks: BTreeMap<&'static str, u64>,
    logs: LogTotals,
}

/// Of runs of storage alone.
#[derive(Default)]
struct LogTotals {
    runs: u64,
    lives: u64,
    appended_batches: u64,
    compared_batches: u64,
    cuts: u64,
    deletions: u64,
    deleted_segments: u64,
    compactions: u64,
    rots: BTreeMap<&'static str, u64>,
    refusals: u64,
}

/// What one run did.
pub fn line(ended: &Ended) -> String {
    match ended {
        Ended::Broker(outcome) => broker_line(outcome),
        Ended::Logs(outcome) => format!(
            "trace={:016x} virtual_s={:.1} lives={} appended_batches={} compared={} cuts={} deletions={} deleted_segments={} compactions={} rots={} refusals={}",
            outcome.trace_hash,
            outcome.virtual_time.as_secs_f64(),
            outcome.lives,
            outcome.appended_batches,
            outcome.compared_batches,
            outcome.cuts,
            outcome.deletions,
            outcome.deleted_segments,
            outcome.compactions,
            counts(&outcome.rots),
            outcome.refusals,
        ),
    }
}

fn broker_line(outcome: &Outcome) -> String {
    format!(
        "trace={:016x} virtual_s={:.1} acknowledged={} compared={} topics={} commits={} restarts={} polls={} faults={}",
        outcome.trace_hash,
        outcome.virtual_time.as_secs_f64(),
        outcome.acknowledged_records,
        outcome.compared_records,
        outcome.topics,
        outcome.commits,
        outcome.restarts,
        outcome.counters.polls,
        counts(&outcome.faults),
    )
}

fn counts(counts: &BTreeMap<&'static str, u64>) -> String {
    let texts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}:{count}")).collect();
    texts.join(",")
}

fn add_up(sums: &mut BTreeMap<&'static str, u64>, counts: &BTreeMap<&'static str, u64>) {
    for (name, count) in counts {
        *sums.entry(name).or_default() += count;
    }
}

impl Totals {
    pub fn add(&mut self, ended: &Ended) {
        match ended {
            Ended::Broker(outcome) => self.add_broker(outcome),
            Ended::Logs(outcome) => self.add_logs(outcome),
        }
    }

    fn add_logs(&mut self, outcome: &LogOutcome) {
        self.virtual_time += outcome.virtual_time;
        self.logs.runs += 1;
        self.logs.lives += outcome.lives;
        self.logs.appended_batches += outcome.appended_batches;
        self.logs.compared_batches += outcome.compared_batches;
        self.logs.cuts += outcome.cuts;
        self.logs.deletions += outcome.deletions;
        self.logs.deleted_segments += outcome.deleted_segments;
        self.logs.compactions += outcome.compactions;
        self.logs.refusals += outcome.refusals;
        add_up(&mut self.logs.rots, &outcome.rots);
        add_up(&mut self.world_faults, &outcome.counters.faults);
        add_up(&mut self.marks, &outcome.marks);
    }

    fn add_broker(&mut self, outcome: &Outcome) {
        self.runs += 1;
        let floor = &Floor::FULL;
        let is_small = outcome.virtual_time < floor.virtual_time
            || outcome.acknowledged_records < floor.acknowledged_records
            || outcome.restarts < floor.restarts;
        self.small_runs += u64::from(is_small);
        self.virtual_time += outcome.virtual_time;
        self.acknowledged_records += outcome.acknowledged_records;
        self.compared_records += outcome.compared_records;
        self.topics += outcome.topics;
        self.commits += outcome.commits;
        self.restarts += outcome.restarts;
        add_up(&mut self.faults, &outcome.faults);
        add_up(&mut self.world_faults, &outcome.counters.faults);
        add_up(&mut self.marks, &outcome.marks);
    }

    pub fn text(&self) -> String {
        format!(
            "{} runs, {:.2} virtual hours, {} records acknowledged, {} compared, {} topics, {} commits of offsets, {} restarts\n\
             {} runs of storage alone, {} lives, {} batches appended, {} compared, {} cuts, {} deletions, {} segments deleted, {} compactions\n\
             bits flipped in: {}; {} refusals of what was hit\n\
             faults: {}\nof the world: {}\nmarks reached: {}\nmarks never reached: {}",
            self.runs,
            self.virtual_time.as_secs_f64() / 3_600.0,
            self.acknowledged_records,
            self.compared_records,
            self.topics,
            self.commits,
            self.restarts,
            self.logs.runs,
            self.logs.lives,
            self.logs.appended_batches,
            self.logs.compared_batches,
            self.logs.cuts,
            self.logs.deletions,
            self.logs.deleted_segments,
            self.logs.compactions,
            counts(&self.logs.rots),
            self.logs.refusals,
            counts(&self.faults),
            counts(&self.world_faults),
            counts(&self.marks),
            self.never_reached(&std::env::var(MARKS).unwrap_or_default()),
        )
    }

    fn never_reached(&self, marks: &str) -> String {
        let all: BTreeSet<&str> = marks.split(',').filter(|name| !name.is_empty()).collect();
        let missed: Vec<&str> =
            all.into_iter().filter(|name| !self.marks.contains_key(name)).collect();
        missed.join(",")
    }

    /// Why the runs are too small to say anything, if they are.
    pub fn below_floor(&self) -> Option<String> {
        let appended = self.logs.appended_batches;
        if appended < self.logs.runs * LOG_BATCHES_MEAN_MIN {
            return Some(format!("{} runs of storage appended {appended} batches", self.logs.runs));
        }
        let is_missing = |fault: &&&str| !self.world_faults.contains_key(**fault);
        if self.logs.runs >= DISK_FAULTS_AFTER_RUNS
            && let Some(fault) = DISK_FAULTS.iter().find(is_missing)
        {
            return Some(format!("no {fault} in {} runs of storage", self.logs.runs));
        }
        let (small, runs, floor) = (self.small_runs, self.runs, Floor::FULL);
        (small > 0).then(|| format!("{small} of {runs} runs are below {floor:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_no_run_reached_are_named() {
        let mut totals = Totals::default();
        let marks = BTreeMap::from([("torn_tail", 2)]);
        totals.add(&Ended::Broker(Outcome { marks, ..Outcome::default() }));
        assert_eq!(totals.never_reached("stale_epoch,torn_tail"), "stale_epoch");
        assert_eq!(totals.never_reached(""), "");
    }

    #[test]
    fn a_small_run_is_below_the_floor() {
        let floor = Floor::FULL;
        let full = Outcome {
            virtual_time: floor.virtual_time,
            acknowledged_records: floor.acknowledged_records,
            restarts: floor.restarts,
            ..Outcome::default()
        };
        for (outcome, want) in [
            (full.clone(), false),
            (Outcome { restarts: floor.restarts - 1, ..full.clone() }, true),
            (Outcome { virtual_time: Duration::from_secs(59), ..full.clone() }, true),
            (Outcome { acknowledged_records: 999, ..full }, true),
        ] {
            let mut totals = Totals::default();
            totals.add(&Ended::Broker(outcome.clone()));
            assert_eq!(totals.below_floor().is_some(), want, "{outcome:?}");
        }
    }
}
