//! Why storage refuses, and what a refusal leaves behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::model::{Offset, ProducerEpoch, ProducerId, Sequence};
use protocol::record_batch::BatchError;

/// The disk, or what lies on it. Cheap to clone: one failure answers every waiter.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    #[error("cannot {operation} {path}: {source}")]
    Io { operation: &'static str, path: PathBuf, source: Arc<io::Error> },
    /// A write or flush failed earlier: nothing is appended or acknowledged any more.
    #[error("log {directory} is offline since a write failed: {source}")]
    Offline { directory: PathBuf, source: Arc<StorageError> },
    #[error("log directory {path} is offline: {reason}")]
    DirectoryFailed { path: PathBuf, reason: Arc<str> },
    /// What was durable is missing; an earlier start has found it.
    #[error(
        "partition {directory} is offline: {reason}. `millrace storage recover` says what to do"
    )]
    PartitionOffline { directory: PathBuf, reason: String },
    /// No blocks are left for records. Nothing has changed, and the log is online.
    #[error("the disk of {directory} is full: free some space; records are taken again by then")]
    Full { directory: PathBuf },
    #[error("log {directory} is closed")]
    Closed { directory: PathBuf },
    /// What was waited for has been cut off by `truncate_to`.
    #[error("offset {offset} was truncated away")]
    Truncated { offset: Offset },
    #[error("{path} at position {position}: {source}")]
    CorruptBatch { path: PathBuf, position: u64, source: BatchError },
    /// A log that is shorter than what was flushed: its file has lost its end.
    #[error(
        "log {directory} ends at offset {log_end_offset}, but all below {recovery_point} was on disk: \
         restore its files, or see `millrace storage verify`"
    )]
    LostRecords { directory: PathBuf, log_end_offset: Offset, recovery_point: Offset },
    /// A file of Kafka's small text, JSON or binary formats that does not parse.
    #[error("{path} is no valid {what}: {reason}")]
    Malformed { path: PathBuf, what: &'static str, reason: &'static str },
    #[error(
        "log directory {path} is in use by another process: stop it, or give another `log.dirs`"
    )]
    Locked { path: PathBuf },
}

/// Linux's EIO, ENXIO, ENODEV, EROFS, ENODATA (a medium error), EBADMSG, EUCLEAN (a damaged file
/// system), EREMOTEIO.
const DISK_FAILURES: [i32; 8] = [5, 6, 19, 30, 61, 74, 117, 121];

impl StorageError {
    /// Whether nothing has failed but that the disk has no blocks left, so that the same may be tried
    /// again. A flush is another matter: what it did not write is lost.
    pub fn is_full(&self) -> bool {
        match self {
            StorageError::Full { .. } => true,
            StorageError::Io { operation, source, .. } => {
                is_out_of_blocks(source) && *operation != "flush"
            }
            _ => false,
        }
    }

    /// Whether the device, or the file system on it, has failed: not one file alone.
    pub fn is_disk_failure(&self) -> bool {
        let StorageError::Io { source, .. } = self else { return false };
        source.raw_os_error().is_some_and(|code| DISK_FAILURES.contains(&code))
    }

    /// Whether the disk refused to be read or written.
    pub fn is_io(&self) -> bool {
        match self {
            StorageError::Io { .. } => true,
            StorageError::Offline { source, .. } => source.is_io(),
            _ => false,
        }
    }

    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| StorageError::Io { operation, path, source: Arc::new(source) }
    }
}

/// Whether nothing was wrong but that there are no blocks, or no more for this owner of files.
pub(crate) fn is_out_of_blocks(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why an append was refused. Every refusal leaves the log as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("batch of {size_bytes} bytes does not fit into a segment of {segment_size_bytes}")]
    BatchTooLarge { size_bytes: usize, segment_size_bytes: u32 },
    /// The producer's sequence leaves a gap. Kafka's OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("producer {producer_id} sent sequence {sequence}, expected {expected}")]
    OutOfOrderSequence { producer_id: ProducerId, sequence: Sequence, expected: Sequence },
    /// A newer incarnation of the producer was seen. Kafka's INVALID_PRODUCER_EPOCH.
    #[error("producer {producer_id} sent epoch {producer_epoch}, the last seen is {current}")]
    InvalidProducerEpoch {
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        current: ProducerEpoch,
    },
    /// A plain batch inside an open transaction. Kafka's INVALID_TXN_STATE.
    #[error("producer {producer_id} sent a plain batch within a transaction")]
    InvalidTxnState { producer_id: ProducerId },
    /// A marker from an older transaction coordinator. Kafka's TRANSACTION_COORDINATOR_FENCED.
    #[error("producer {producer_id}: marker of coordinator epoch {requested}, last is {current}")]
    TransactionCoordinatorFenced { producer_id: ProducerId, requested: i32, current: i32 },
}

/// Why a read was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("offset {requested} is outside of {log_start_offset}..={log_end_offset}")]
    OffsetOutOfRange { requested: Offset, log_start_offset: Offset, log_end_offset: Offset },
    #[error("the first batch takes a buffer of {size_bytes} bytes")]
    BufferTooSmall { size_bytes: usize },
}

/// Why the log start was not moved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RaiseLogStartError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("log start {requested} would lie above the high watermark {high_watermark}")]
    OffsetOutOfRange { requested: Offset, high_watermark: Offset },
}
