//! A core's write-ahead journal in one log directory: commit groups, recycled files, replay.
//!
//! All partitions of a core append here first: one padded write and one flush make a group of them
//! durable. Segments are written behind; when they are flushed and checkpointed, the files are used
//! again. The bytes are ours alone (`docs/storage.md` has their layout), and after a clean stop there
//! are none: only zeroed or void files stay.
//!
//! **One run at a time.** Before a run writes its first group, the journal of the run before has been
//! replayed, is in flushed segments, and is void on disk. So all records that a start finds are of one
//! run, in which a partition had one core; or had several, one after the other, with a deletion fence
//! between. Their order follows from the sequence numbers of one core's journal: orders between cores
//! are never needed.
//!
//! **Oldest first.** Files become void one after the other, the oldest first, each flushed before the
//! next: what is left of a journal is always its end. A fence can so never go before the records that
//! it makes void.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod file;
mod group;
pub mod guard;
mod record;
mod replay;
mod scan;
mod spare;
mod verdict;
mod writer;

pub use group::Group;
pub use record::{FenceKind, Share};
pub use replay::{Damage, Replay, ReplayRecord};
pub use verdict::Verdict;
pub use writer::{Journal, Mark};
