//! Record batches, version 2 (magic 2): view, check, iterate, build. Source: KIP-98.

mod header;

pub use header::{BatchError, BatchHeader, HEADER_SIZE_BYTES};
