//! The real world: glommio's executors, timers and sockets; a ring of our own for files.

pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod host;
pub(crate) mod net;
pub(crate) mod signal;
pub(crate) mod task;
