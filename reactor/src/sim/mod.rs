//! The simulated world: N nodes of M cores as tasks on one thread, in virtual time, from one seed.

pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod net;
pub(crate) mod task;
