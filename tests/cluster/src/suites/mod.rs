//! The cases, by the fault they are about.

pub mod freeze;
pub mod kill;
