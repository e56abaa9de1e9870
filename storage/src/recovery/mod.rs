//! From the files of a partition's directory to the state of its log, after any kind of stop.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod decision;
mod epochs;
mod indexes;
mod known;
mod listing;
mod load;
mod producers;
mod swap;
mod transactions;

pub(crate) use indexes::{read_indexes, rebuild_indexes, write_indexes};
pub(crate) use listing::{holds_records, list, remove};
pub(crate) use load::{Loaded, create_segment, is_zeros, load, remove_segment};
pub(crate) use swap::end_of_segment;
pub(crate) use transactions::read_aborted;
