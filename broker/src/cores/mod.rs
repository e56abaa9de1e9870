//! Cores: what each owns, how they ask each other, and what runs on them from start to stop.

mod ask;
mod checkpoints;
mod compaction;
mod core;
mod deadlines;
mod inbox;
mod lifecycle;
mod message;
mod placement;
mod prepare;
mod together;
mod upkeep;
mod view;

pub use ask::{Ask, Awaiting, ReplyTo, Unanswered};
pub use core::{Core, ProducerIdBlock};
pub use deadlines::{Deadline, Deadlines};
pub use lifecycle::{CoreSeed, run, seeds};
pub use message::{ChangedPartition, Closed, CoreReply, CoreRequest, Preparation};
pub use placement::Placement;
pub use view::ClusterView;
