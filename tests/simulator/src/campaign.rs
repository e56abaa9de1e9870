//! Many runs: each on one thread, several at once, one line each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::planted::Planted;
use crate::totals::{Totals, line};
use crate::verdict::Failure;
use crate::world::{Ended, World, describe, run_seed};

/// One seed in so many is run twice: both must be the same run.
const TWICE_EVERY: u64 = 50;

/// Seeds, the worlds that each is made into, and how many runs at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    pub first_seed: u64,
    pub seed_count: u64,
    pub worlds: Vec<World>,
    pub threads: usize,
    pub planted: Planted,
    /// Nothing is printed but what failed.
    pub is_quiet: bool,
}

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Caught {
    pub world: World,
    pub seed: u64,
    pub failure: Failure,
}

struct Finished {
    world: World,
    seed: u64,
    ended: Result<Ended, Failure>,
}

impl Campaign {
    /// Runs all seeds and prints a line for each. Ends at the first that fails, with the lowest of
    /// those that ran meanwhile.
    pub fn run(&self) -> Result<Totals, Caught> {
        let next = AtomicU64::new(0);
        let stopped = AtomicBool::new(false);
        let (sender, receiver) = channel();
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                let sender = sender.clone();
                scope.spawn(|| self.work(&next, &stopped, sender));
            }
            drop(sender);
            let mut totals = Totals::default();
            let mut caught: Option<Caught> = None;
            for Finished { world, seed, ended } in receiver {
                let head = format!("SEED={seed:#x} world={}", world.name());
                if !self.is_quiet {
                    println!("{head} commit={} {}", commit(), describe(world, seed));
                }
                match ended {
                    Ok(ended) => {
                        if !self.is_quiet {
                            println!("ok   {head} {}", line(&ended));
                        }
                        totals.add(&ended);
                    }
                    Err(failure) => {
                        stopped.store(true, Ordering::Relaxed);
                        if !self.is_quiet {
                            println!("{failure}\n{}", reproduce(world, seed));
                        }
                        if caught.as_ref().is_none_or(|first| seed < first.seed) {
                            caught = Some(Caught { world, seed, failure });
                        }
                    }
                }
            }
            caught.map_or(Ok(totals), Err)
        })
    }

    fn work(&self, next: &AtomicU64, stopped: &AtomicBool, finished: Sender<Finished>) {
        let world_count = self.worlds.len() as u64;
        while !stopped.load(Ordering::Relaxed) {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= self.seed_count * world_count {
                break;
            }
            let seed = self.first_seed.wrapping_add(turn / world_count);
            let world = self.worlds[(turn % world_count) as usize];
            let is_twice = self.seed_count > 1
                && self.planted == Planted::NONE
                && seed.is_multiple_of(TWICE_EVERY);
            let ended =
                if is_twice { run_twice(world, seed) } else { run_seed(world, seed, self.planted) };
            if finished.send(Finished { world, seed, ended }).is_err() {
                break;
            }
        }
    }
}

fn run_twice(world: World, seed: u64) -> Result<Ended, Failure> {
    let first = run_seed(world, seed, Planted::NONE)?;
    let second = run_seed(world, seed, Planted::NONE)?;
    if first == second {
        return Ok(first);
    }
    let what = format!("one seed, two runs:\n{}\n{}", line(&first), line(&second));
    Err(Failure::crash(what))
}

/// How a failed run is run again.
pub fn reproduce(world: World, seed: u64) -> String {
    format!(
        "reproduce: git checkout {} && cargo xtask sim --world {} --seed {seed:#x}",
        commit(),
        world.name()
    )
}

/// What was built, as `cargo xtask` tells.
fn commit() -> String {
    std::env::var("MILLRACE_COMMIT").unwrap_or_else(|_| "HEAD".to_owned())
}
