//! The group coordinator: one shard for each partition of `__consumer_offsets`, on that partition's core.
//!
//! [`GroupShard`] is a machine without I/O. What is written (committed offsets, and of a group what its
//! last record says) changes by `replay` alone, live and on load alike (INV-5, INV-8); what a rebalance
//! needs beside it (who waits, timers) is data of the machine, too, and is made anew after a load.
//! [`GroupCoordinator`] loads shards, appends what they decide, and answers once it is committed.

mod classic;
mod commit;
mod committed_offset;
mod config;
mod coordinator;
mod describe;
mod expire;
mod join;
mod leave;
mod load;
mod member;
mod question;
mod rebalance;
mod record;
mod request;
mod shard;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod topic;

pub use config::GroupConfig;
pub use coordinator::GroupCoordinator;
pub use question::GroupQuestion;
pub use request::{Asker, GroupAnswer, GroupRequest, GroupResult};
pub use topic::{OFFSETS_TOPIC, offsets_topic, partition_of};
