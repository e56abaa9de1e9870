//! Marks: which rarely taken branches a simulated run really reached (S33).

use crate::environment::{self, Environment};

/// Marks a branch that few runs take: `mark!(unclean_election)`. In the simulation the run counts it
/// (see [`crate::sim::Simulation::marks`]); in the real world and outside of a core it does nothing.
#[macro_export]
macro_rules! mark {
    ($name:ident) => {
        $crate::sim::reached(stringify!($name))
    };
}

/// Counts the mark `name` in the simulation that runs on this thread; see [`crate::mark!`].
pub fn reached(name: &'static str) {
    if let Some(Environment::Sim(core)) = environment::current_if_any() {
        *core.world.marks.borrow_mut().entry(name).or_default() += 1;
    }
}
