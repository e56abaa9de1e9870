//! The simulated world: N nodes of M cores as tasks on one thread, in virtual time, from one seed.
//!
//! A [`Simulation`] is built from a seed and [`Knobs`]; nodes are added and started, the world runs, and
//! the test harms it: crashes, partitions, failing disks, jumping clocks. Nothing in it depends on the
//! host, on the time of day or on an address in memory, so that a seed is a whole run.

pub(crate) mod bell;
mod disk;
mod knobs;
mod mark;
mod node;
mod planted;
mod random;
mod simulation;
mod world;

pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod net;
pub(crate) mod task;

pub use self::disk::DiskFaults;
pub use self::knobs::Knobs;
pub use self::mark::reached;
pub use self::node::NodeId;
pub use self::planted::{has_planted_bugs, is_planted};
pub use self::random::Random;
pub use self::simulation::{Client, Crash, Simulation};
pub use self::world::Counters;
