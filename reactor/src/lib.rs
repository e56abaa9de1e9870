//! The one seam between millrace and the world: cores, tasks, time, sockets, files, the mesh.
//!
//! Every public type is concrete and has two variants inside: a real one (glommio, io_uring) and a
//! simulated one (virtual time, a faulty disk and network, one random stream per concern). Which one
//! a call reaches is decided by the core it runs on, never by a type parameter, so the simulator
//! runs the shipped code. Source: DESIGN.md section 3.
//!
//! Nothing outside this crate names glommio, `std::fs`, `std::net`, `std::thread` or a clock.
#![expect(
    unsafe_code,
    reason = "the reactor is the one crate that may; each block says why it is sound"
)]

pub mod buffer;
pub mod core;
pub mod directory;
mod environment;
pub mod file;
pub mod host;
pub mod latencies;
pub mod mesh;
pub mod net;
pub mod outside;
pub mod random;
mod real;
pub mod sim;
pub mod sync;
pub mod task;
pub mod time;

pub use crate::core::{CoreIndex, Cores, LaunchError, Settings, launch};
pub use crate::task::{Task, poll, spawn, yield_now};
pub use crate::time::{Instant, now, sleep, sleep_until, timeout, wall_clock};
