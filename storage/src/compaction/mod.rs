//! What may be rewritten: of all records of a key, a compacted log keeps the last one. Kafka's rules as
//! decisions without I/O; [`crate::log`] carries them out.
//!
//! ```text
//! log start      first dirty offset        bound                       log end
//!    │  cleaned before  │  dirty: no key twice  │  not yet: active segment,  │
//!    │                  │  looked at so far     │  open transactions, young  │
//! ```
//!
//! A round has two passes. The first puts the latest offset of each key of the dirty part into a
//! [`KeyMap`], as far as that has room; the second rewrites all segments below, from the oldest on, and
//! keeps what [`Cleaner`] says. Offsets never move: a batch keeps its base and last offset whatever it
//! loses. Source: Kafka's `LogCleaner`, `LogCleanerManager`, `Cleaner`.

mod cleaner;
mod key_map;
mod memory;
mod output;
mod pace;
mod plan;
mod transactions;

pub(crate) use cleaner::{Cleaned, Cleaner, LastOfProducer, Round, marker_of};
pub(crate) use key_map::{KeyMap, MapFull};
pub use memory::CompactionMemory;
pub(crate) use memory::Lent;
pub(crate) use output::Output;
pub use pace::Pace;
pub(crate) use plan::{Dirty, Extent, bound, dirty, groups};
pub(crate) use transactions::TransactionsSeen;
