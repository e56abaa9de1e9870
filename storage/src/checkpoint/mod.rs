//! The core checkpoint: what is known of logs at offsets up to which their segments are flushed, so
//! that a start after any stop reads little. It is ours alone, checksummed and versioned, and can be
//! deleted with no loss but a slower start: Kafka's files and the log rebuild all of it.
//!
//! Each core has two files in each log directory, each replaced as a whole, durably:
//! `millrace-checkpoint-<core>` holds an entry per partition, `millrace-checkpoint-<core>-changes`
//! those that have changed since. So a checkpoint writes what has changed, not what there is. Of two
//! entries of one partition, in whatever files, the one with the higher generation is the newer.
//! Source: DESIGN.md section 6.

mod entry;
mod file;
mod found;
mod writer;

pub use entry::PartitionCheckpoint;
pub(crate) use entry::{IndexExtent, LastBatch, LogCheckpoint, SegmentCheckpoint};
pub(crate) use found::{Found, damage, discard, is_checkpoint, peek, read};
pub(crate) use writer::CoreCheckpoint;
