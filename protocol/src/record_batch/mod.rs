//! Record batches, version 2 (magic 2): view, check, iterate, build. Source: KIP-98.
//!
//! The producer's bytes are the disk's bytes are the consumer's bytes: a [`RecordBatch`] is a view of
//! them, and the only fields that a broker writes are set in place ([`set_base_offset`],
//! [`set_partition_leader_epoch`]; both lie outside the CRC). Everything here takes bytes that a network
//! or a disk may have made up: it answers with an error, and allocates no more than its limits say.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used))]

mod batch;
mod builder;
mod codec;
mod control;
mod header;
mod patch;
mod recompress;
mod record;
mod rewrite;
mod search;
mod stream;
mod validate;
mod varint;
mod xerial;

pub use batch::{Batches, RecordBatch};
pub use builder::{BatchBuilder, BatchOptions, BatchProducer};
pub use codec::{Codec, Compression, DecompressError};
pub use control::{ControlRecordType, EndTxnMarker};
pub use header::{
    BatchError, BatchHeader, HEADER_SIZE_BYTES, LOG_OVERHEAD_BYTES, TimestampType, verify_crc,
};
pub use patch::{
    set_base_offset, set_log_append_time, set_max_timestamp, set_partition_leader_epoch,
};
pub use recompress::{RecompressError, recompress};
pub use record::{Header, Record, RecordError, Records};
pub use rewrite::{Kept, with_records, without_records};
pub use search::TimestampAndOffset;
pub use stream::{StreamLimits, StreamedRecords};
pub use validate::{
    Depth, INVALID_RECORDS_MAX, InvalidBatch, InvalidRecord, RecordFault, Validated,
    ValidationRules, validate_for_append,
};
