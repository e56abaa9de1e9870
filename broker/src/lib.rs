//! The broker process: connections, one loop per core, one handler per Kafka API, replicas, the
//! controller's driver and the command line.

mod admin_http;
pub mod cli;
pub mod config;
mod controller_core;
mod coordinator;
mod cores;
pub mod format;
mod handlers;
mod memory;
mod metrics;
mod net;
pub mod process;
mod quota;
mod replica;
#[cfg(test)]
mod tests;

pub use cores::{CoreSeed, run, seeds};
pub use metrics::{CoreReport, CoreState, Observer};
