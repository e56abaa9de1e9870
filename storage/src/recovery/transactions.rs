//! The aborted transactions of a segment: from their file, the core checkpoint, or the segment itself.

use std::path::Path;

use protocol::model::Offset;
use reactor::file::{File, Open};

use super::known::Known;
use super::listing::remove;
use super::load::Context;
use crate::error::StorageError;
use crate::index::{AbortedTransaction, transaction_index};
use crate::segment::{FileKind, ScanEnd, Scanner, Segment, path_of};
use crate::small_file;
use crate::state::{Producers, producer_batch};

/// Those of `segment` whose markers lie below `from`; what follows is replayed.
pub(super) async fn aborted_before(
    context: &Context<'_>,
    segment: &Segment,
    from: Offset,
    known: &Known<'_>,
    is_listed: bool,
) -> Result<Vec<AbortedTransaction>, StorageError> {
    let extent = (segment.base_offset, segment.size_bytes, segment.next_offset);
    let mut aborted = match known.aborted_of(segment.base_offset) {
        Some(aborted) => aborted,
        None if from <= segment.base_offset || !is_listed => Vec::new(),
        None => read_aborted(context.directory, extent).await?,
    };
    aborted.retain(|one| one.last_offset < from);
    Ok(aborted)
}

/// The aborted transactions of the segment `(base_offset, size_bytes, next_offset)`. An invalid file
/// is rebuilt from the segment, and written.
pub(crate) async fn read_aborted(
    directory: &Path,
    (base_offset, size_bytes, next_offset): (Offset, u32, Offset),
) -> Result<Vec<AbortedTransaction>, StorageError> {
    let path = path_of(directory, FileKind::TransactionIndex, base_offset);
    let Some(bytes) = small_file::read(&path).await? else {
        return Ok(Vec::new());
    };
    if let Ok(aborted) = transaction_index::decode(base_offset, next_offset, &bytes) {
        return Ok(aborted);
    }
    tracing::warn!(index = %path.display(), "rebuilding an invalid transaction index");
    let snapshot = path_of(directory, FileKind::ProducerSnapshot, base_offset);
    let mut producers = match small_file::read(&snapshot).await? {
        Some(bytes) => Producers::decode_snapshot(&bytes).map_err(|reason| {
            StorageError::Malformed { path: snapshot, what: "producer snapshot", reason }
        })?,
        None if base_offset == Offset::ZERO => Producers::default(),
        None => {
            let reason = "nor is there a producer snapshot to rebuild it from";
            return Err(StorageError::Malformed { path, what: "transaction index", reason });
        }
    };
    let log = path_of(directory, FileKind::Log, base_offset);
    let file = File::open(&log, Open::Existing).await.map_err(StorageError::io("open", &log))?;
    let mut scanner = Scanner::new(file, log.clone(), 0, size_bytes, base_offset);
    let mut aborted = Vec::new();
    while scanner.next_offset() < next_offset {
        match scanner.next().await? {
            Ok(scanned) => {
                let batch = producer_batch(&scanned.batch);
                aborted.extend(batch.and_then(|batch| producers.replay(&batch)));
            }
            Err(ScanEnd::Whole) => break,
            Err(ScanEnd::Bad(source)) => {
                let position = u64::from(scanner.position());
                return Err(StorageError::CorruptBatch { path: log, position, source });
            }
        }
    }
    write(&path, &aborted).await?;
    Ok(aborted)
}

/// Has the file of a segment hold what the segment knows; without any there is no file.
pub(crate) async fn write_aborted(directory: &Path, segment: &Segment) -> Result<(), StorageError> {
    let path = path_of(directory, FileKind::TransactionIndex, segment.base_offset);
    write(&path, segment.aborted.as_deref().unwrap_or_default()).await
}

pub(crate) async fn write(path: &Path, aborted: &[AbortedTransaction]) -> Result<(), StorageError> {
    if aborted.is_empty() {
        return remove(path).await;
    }
    let bytes = transaction_index::encode(aborted);
    reactor::directory::write_atomic(path, &bytes).await.map_err(StorageError::io("write", path))
}
