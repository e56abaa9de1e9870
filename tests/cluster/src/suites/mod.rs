//! The cases, by the fault they are about.

pub mod compaction;
pub mod flush;
pub mod freeze;
pub mod kill;
pub mod power_loss;
pub mod recover;
pub mod swap;
pub mod week;
