//! What is sent: the workloads of PERFORMANCE.md, their frames, and the loops that send them.

mod answers;
mod client;
mod closed_loop;
mod load;
mod open_loop;
mod produce;
mod topic;
mod workload;

pub use client::Client;
pub use load::{Load, Window, run};
pub use topic::Topic;
pub use workload::{WORKLOADS, Workload};
