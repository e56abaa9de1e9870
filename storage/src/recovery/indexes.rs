//! The indexes of a rolled segment: from their files, or rebuilt from the segment.

use std::path::Path;

use protocol::model::Offset;
use reactor::file::File;

use crate::error::StorageError;
use crate::index::{IndexedBatch, SegmentIndexes};
use crate::segment::{FileKind, ScanEnd, Scanned, Scanner, path_of};
use crate::small_file;

/// Reads both index files of the segment `(base_offset, size_bytes, next_offset)`, open as `file`.
/// Where one is missing or invalid, both are rebuilt from the segment and written.
pub(crate) async fn read_indexes(
    directory: &Path,
    file: &File,
    (base_offset, size_bytes, next_offset): (Offset, u32, Offset),
    interval_bytes: u32,
) -> Result<SegmentIndexes, StorageError> {
    if let Some(indexes) = decode_files(directory, base_offset, size_bytes).await? {
        return Ok(indexes);
    }
    rebuild_indexes(directory, file, (base_offset, size_bytes, next_offset), interval_bytes).await
}

/// The indexes of a rolled segment from its batches; they are written, too. Errors: `CorruptBatch`, and
/// the files stay as they are.
pub(crate) async fn rebuild_indexes(
    directory: &Path,
    file: &File,
    (base_offset, size_bytes, next_offset): (Offset, u32, Offset),
    interval_bytes: u32,
) -> Result<SegmentIndexes, StorageError> {
    let path = path_of(directory, FileKind::Log, base_offset);
    tracing::warn!(segment = %path.display(), "rebuilding missing or invalid indexes");
    let mut indexes = SegmentIndexes::new(base_offset);
    let mut scanner = Scanner::new(file.clone(), path.clone(), 0, size_bytes, base_offset);
    loop {
        match scanner.next().await? {
            Ok(scanned) => indexes.append(indexed(&scanned), interval_bytes),
            Err(ScanEnd::Whole) => break,
            // A rolled segment was flushed whole; only the padding of its last block may follow.
            Err(ScanEnd::Bad(_)) if scanner.next_offset() == next_offset => break,
            Err(ScanEnd::Bad(source)) => {
                let position = u64::from(scanner.position());
                return Err(StorageError::CorruptBatch { path, position, source });
            }
        }
    }
    indexes.add_time_entry();
    write_indexes(directory, base_offset, &indexes).await?;
    Ok(indexes)
}

/// The indexes from their files; `None` where one is missing or invalid.
pub(super) async fn decode_files(
    directory: &Path,
    base_offset: Offset,
    size_bytes: u32,
) -> Result<Option<SegmentIndexes>, StorageError> {
    let offsets = small_file::read(&path_of(directory, FileKind::OffsetIndex, base_offset)).await?;
    let times = small_file::read(&path_of(directory, FileKind::TimeIndex, base_offset)).await?;
    let (Some(offsets), Some(times)) = (offsets, times) else {
        return Ok(None);
    };
    Ok(SegmentIndexes::decode(base_offset, u64::from(size_bytes), &offsets, &times).ok())
}

pub(crate) async fn write_indexes(
    directory: &Path,
    base_offset: Offset,
    indexes: &SegmentIndexes,
) -> Result<(), StorageError> {
    for (kind, bytes) in [
        (FileKind::OffsetIndex, indexes.offsets.encode()),
        (FileKind::TimeIndex, indexes.times.encode()),
    ] {
        let path = path_of(directory, kind, base_offset);
        reactor::directory::write_atomic(&path, &bytes)
            .await
            .map_err(StorageError::io("write", &path))?;
    }
    Ok(())
}

pub(super) fn indexed(scanned: &Scanned) -> IndexedBatch {
    let header = scanned.batch.header();
    IndexedBatch {
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        position: scanned.position,
        size_bytes: header.size_bytes() as u32,
    }
}
