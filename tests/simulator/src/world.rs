//! The worlds that a seed is made into.

use std::panic::{AssertUnwindSafe, catch_unwind};

use reactor::sim::Simulation;

use crate::log_world::{self, LogOutcome, LogScenario};
use crate::planted::Planted;
use crate::run::{self, Outcome};
use crate::scenario::Scenario;
use crate::verdict::{Failure, Kind};

/// One kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The shipped broker, and clients.
    Broker,
    /// Storage alone.
    Logs,
}

impl World {
    pub const ALL: [World; 2] = [World::Broker, World::Logs];

    pub fn name(self) -> &'static str {
        match self {
            World::Broker => "broker",
            World::Logs => "logs",
        }
    }

    pub fn of_name(name: &str) -> Option<World> {
        Self::ALL.into_iter().find(|world| world.name() == name)
    }
}

/// What a run of either kind did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Broker(Outcome),
    Logs(LogOutcome),
}

/// Runs `seed` in `world`, with a bug planted or none. A panic is our code's: its assertions are the
/// invariants' too.
pub fn run_seed(world: World, seed: u64, planted: Planted) -> Result<Ended, Failure> {
    let prepare = |simulation: &Simulation| planted.plant(simulation);
    let ran = catch_unwind(AssertUnwindSafe(|| match world {
        World::Broker => run::run(&Scenario::of_seed(seed), &prepare).map(Ended::Broker),
        World::Logs => log_world::run(&LogScenario::of_seed(seed), &prepare).map(Ended::Logs),
    }));
    ran.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("panic: {}", text.unwrap_or("without a text"));
        Err(Failure { kind: Kind::Crash, invariant: None, what })
    })
}

/// What `seed` is made into, in one line.
pub fn describe(world: World, seed: u64) -> String {
    match world {
        World::Broker => Scenario::of_seed(seed).to_string(),
        World::Logs => LogScenario::of_seed(seed).to_string(),
    }
}
