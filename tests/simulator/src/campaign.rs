//! Many runs: each on one thread, several at once, one line each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::run::{Outcome, run};
use crate::scenario::Scenario;
use crate::totals::{Totals, line};
use crate::verdict::{Failure, Kind};

/// One seed in so many is run twice: both must be the same run.
const TWICE_EVERY: u64 = 50;

/// Seeds, and how many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Campaign {
    pub first_seed: u64,
    pub seed_count: u64,
    pub threads: usize,
}

struct Finished {
    seed: u64,
    scenario: String,
    ended: Result<Outcome, Failure>,
}

impl Campaign {
    /// Runs all seeds and prints a line for each. Ends at the first that fails, with the lowest of
    /// those that ran meanwhile.
    pub fn run(self) -> Result<Totals, Failure> {
        let next = AtomicU64::new(self.first_seed);
        let stopped = AtomicBool::new(false);
        let (sender, receiver) = channel();
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                let sender = sender.clone();
                scope.spawn(|| self.work(&next, &stopped, sender));
            }
            drop(sender);
            let mut totals = Totals::default();
            let mut failed: Option<(u64, Failure)> = None;
            for Finished { seed, scenario, ended } in receiver {
                println!("SEED={seed:#x} commit={} {scenario}", commit());
                match ended {
                    Ok(outcome) => {
                        println!("ok   SEED={seed:#x} {}", line(&outcome));
                        totals.add(&outcome);
                    }
                    Err(failure) => {
                        println!("{failure}\n{}", reproduce(seed));
                        stopped.store(true, Ordering::Relaxed);
                        let is_first = failed.as_ref().is_none_or(|(first, _)| seed < *first);
                        if is_first {
                            failed = Some((seed, failure));
                        }
                    }
                }
            }
            failed.map_or(Ok(totals), |(_, failure)| Err(failure))
        })
    }

    fn work(self, next: &AtomicU64, stopped: &AtomicBool, finished: Sender<Finished>) {
        let end = self.first_seed.saturating_add(self.seed_count);
        while !stopped.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let scenario = Scenario::of_seed(seed);
            let is_twice = self.seed_count > 1 && seed.is_multiple_of(TWICE_EVERY);
            let ended = if is_twice { run_twice(&scenario) } else { run_caught(&scenario) };
            let scenario = scenario.to_string();
            if finished.send(Finished { seed, scenario, ended }).is_err() {
                break;
            }
        }
    }
}

fn run_twice(scenario: &Scenario) -> Result<Outcome, Failure> {
    let first = run_caught(scenario)?;
    let second = run_caught(scenario)?;
    if first == second {
        return Ok(first);
    }
    let what = format!("one seed, two runs:\n{}\n{}", line(&first), line(&second));
    Err(Failure::crash(what))
}

/// A panic is the broker's: its assertions are the invariants' too.
pub fn run_caught(scenario: &Scenario) -> Result<Outcome, Failure> {
    catch_unwind(AssertUnwindSafe(|| run(scenario))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("panic: {}", text.unwrap_or("without a text"));
        Err(Failure { kind: Kind::Crash, invariant: None, what })
    })
}

/// How a failed run is run again.
pub fn reproduce(seed: u64) -> String {
    format!("reproduce: git checkout {} && cargo xtask sim --seed {seed:#x}", commit())
}

/// What was built, as `cargo xtask` tells.
fn commit() -> String {
    std::env::var("MILLRACE_COMMIT").unwrap_or_else(|_| "HEAD".to_owned())
}
