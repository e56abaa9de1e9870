//! What was appended last, readable in memory and written behind.

mod pool;
mod tail;

pub use pool::ChunkPool;
pub(crate) use tail::{Cursor, PendingWrites, Tail};
