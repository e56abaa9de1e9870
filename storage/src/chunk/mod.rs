//! What was appended last, readable in memory and written behind.

mod tail;

pub(crate) use tail::{Cursor, PendingWrites, Tail};
