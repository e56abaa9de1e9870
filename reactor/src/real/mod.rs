//! The real world: glommio's executors; a ring of our own for files, sockets, timers and bells.

pub(crate) mod bell;
mod blocking;
pub(crate) mod clock;
pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod file;
mod foreign;
pub(crate) mod host;
pub(crate) mod net;
mod operation;
mod ring;
pub(crate) mod signal;
mod socket;
pub(crate) mod task;
mod timers;
pub(crate) mod watchdog;
