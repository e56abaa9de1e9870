//! What is sent: the workloads of PERFORMANCE.md, their frames, and the loops that send them.

mod client;
mod closed_loop;
mod produce;
mod topic;

pub use client::Client;
pub use closed_loop::{Load, Window, run};
pub use produce::{GROUND, Workload};
pub use topic::Topic;
