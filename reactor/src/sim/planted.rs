//! Planted bugs: faults in our own code that a simulated world switches on, to prove that the
//! simulator sees them.

/// Whether the bug of this name is planted here: `if planted!(acknowledge_before_flush) { … }`. A
/// constant `false`, and its branch gone, unless `reactor` is built with its feature `planted-bugs`,
/// which no build that ships has; then true on cores of a world that
/// [`crate::sim::Simulation::plant`] was told.
#[macro_export]
macro_rules! planted {
    ($name:ident) => {
        $crate::sim::is_planted(stringify!($name))
    };
}

/// Whether builds have planted bugs at all.
pub const fn has_planted_bugs() -> bool {
    cfg!(feature = "planted-bugs")
}

/// Whether the bug `name` is planted in the world that runs on this thread; see [`crate::planted!`].
#[cfg(feature = "planted-bugs")]
pub fn is_planted(name: &str) -> bool {
    use crate::environment::{self, Environment};
    match environment::current_if_any() {
        Some(Environment::Sim(core)) => core.world.planted.get() == Some(name),
        _ => false,
    }
}

/// See [`crate::planted!`].
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_name: &str) -> bool {
    false
}
