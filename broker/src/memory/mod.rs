//! What of a core's memory is lent to whom, each use within its own number of bytes.

mod answers;
mod in_use;
mod requests;
mod sends;

pub use answers::{AnswerMemory, Lent};
pub use in_use::MemoryInUse;
pub use requests::{Granted, PER_DECODED_BYTE, Patience, RequestMemory, USUAL_SIZE_BYTES};
pub use sends::{Kept, Sends};
