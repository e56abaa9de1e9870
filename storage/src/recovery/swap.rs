//! What an interrupted compaction has left, finished or taken back as Apache Kafka does it.
//!
//! A cleaner writes the files of new segments as `.cleaned`, renames them to `.swap`, the last segment
//! first, removes the segments that they replace, and takes the suffix away. So as long as there is a
//! `.cleaned` file, the segments from its offset on are not complete, and the old ones are all there; as
//! soon as there is none, the new ones count, and what they replace may go.

use std::path::Path;

use protocol::model::Offset;
use reactor::directory::Entry;
use reactor::file::{File, Open};

use super::listing::remove;
use crate::error::StorageError;
use crate::segment::{FileKind, ScanEnd, Scanner, SegmentFile, path_of};

/// Leaves no `.swap` file among `entries`, those of `directory`, durably: the log is as it was before the
/// compaction, or as that wanted it. Interrupted at any point, another call goes on.
///
/// Errors: `CorruptBatch` where a new segment cannot be read to its end, so that nobody can tell what it
/// replaces; nothing is changed then.
pub(super) async fn finish_swaps(directory: &Path, entries: &[Entry]) -> Result<(), StorageError> {
    let files = || entries.iter().filter(|entry| !entry.is_directory);
    let cleaned = files().filter_map(|entry| match SegmentFile::parse(&entry.name) {
        SegmentFile::Cleaned(base_offset) => Some(base_offset),
        _ => None,
    });
    let incomplete_from = cleaned.min();
    let swaps: Vec<(FileKind, Offset, &Entry)> = files()
        .filter_map(|entry| match SegmentFile::parse(&entry.name) {
            SegmentFile::Swap(kind, offset) => Some((kind, offset, entry)),
            _ => None,
        })
        .collect();
    let is_complete = |offset: Offset| incomplete_from.is_none_or(|from| offset < from);
    let mut replaced = None::<(Offset, Offset)>;
    for (kind, base_offset, entry) in &swaps {
        if *kind == FileKind::Log && is_complete(*base_offset) {
            let end = end_of_segment(&directory.join(&entry.name), *base_offset).await?;
            let (first, last) = replaced.unwrap_or((*base_offset, end));
            replaced = Some((first.min(*base_offset), last.max(end)));
        }
    }
    for (_, offset, entry) in &swaps {
        if !is_complete(*offset) {
            reactor::mark!(compaction_taken_back);
            remove(&directory.join(&entry.name)).await?;
        }
    }
    for entry in files() {
        if let (SegmentFile::Kept(_, offset), Some((first, end))) =
            (SegmentFile::parse(&entry.name), replaced)
            && (first..end).contains(&offset)
        {
            tracing::info!(
                log = %directory.display(), file = entry.name,
                "compacted before the stop, and removed now"
            );
            remove(&directory.join(&entry.name)).await?;
        }
    }
    // What is replaced is gone for good before its successor can no longer be told.
    flush(directory).await?;
    for (kind, offset, entry) in &swaps {
        if is_complete(*offset) {
            reactor::mark!(compaction_finished);
            let from = directory.join(&entry.name);
            reactor::directory::rename(&from, &path_of(directory, *kind, *offset))
                .await
                .map_err(StorageError::io("rename", &from))?;
        }
    }
    flush(directory).await
}

async fn flush(directory: &Path) -> Result<(), StorageError> {
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))
}

/// The offset behind the last batch of the segment in `path`. Errors: `CorruptBatch`, `Io`.
pub(crate) async fn end_of_segment(
    path: &Path,
    base_offset: Offset,
) -> Result<Offset, StorageError> {
    let file = File::open(path, Open::Existing).await.map_err(StorageError::io("open", path))?;
    let size_bytes = u32::try_from(file.size()).unwrap_or(u32::MAX);
    let mut scanner = Scanner::new(file, path.to_owned(), 0, size_bytes, base_offset);
    loop {
        match scanner.next().await? {
            Ok(_) => {}
            Err(ScanEnd::Whole) => return Ok(scanner.next_offset()),
            Err(ScanEnd::Bad(source)) => {
                let position = u64::from(scanner.position());
                return Err(StorageError::CorruptBatch { path: path.to_owned(), position, source });
            }
        }
    }
}
