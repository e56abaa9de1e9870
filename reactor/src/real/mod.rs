//! The real world: glommio's executors and timers; a ring of our own for files, sockets and bells.

pub(crate) mod bell;
mod blocking;
mod clock;
pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod host;
pub(crate) mod net;
mod operation;
mod ring;
pub(crate) mod signal;
mod socket;
pub(crate) mod task;
pub(crate) mod watchdog;
