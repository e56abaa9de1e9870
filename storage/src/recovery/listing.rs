//! What lies in a partition's directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use protocol::model::Offset;
use reactor::directory::Entry;

use super::swap::finish_swaps;
use crate::error::StorageError;
use crate::replay::{OFFLINE, reason_offline};
use crate::segment::{FileKind, SegmentFile};

/// The files of one log.
pub(crate) struct Listing {
    /// Segments by base offset, with the size of their files.
    pub(crate) segments: BTreeMap<Offset, u32>,
    /// Offsets of the producer snapshots, ascending.
    pub(super) snapshots: Vec<Offset>,
    /// Segments that have a file of aborted transactions.
    pub(super) transaction_indexes: BTreeSet<Offset>,
}

/// The largest segment: positions in the offset index are signed 32-bit numbers.
const SEGMENT_SIZE_BYTES_MAX: u64 = i32::MAX as u64;

/// Lists `directory`. An interrupted compaction is finished or taken back before; what a deletion or a
/// compaction has left that is nothing of the log is removed.
pub(crate) async fn list(directory: &Path) -> Result<Listing, StorageError> {
    let mut entries = read(directory).await?;
    let is_swap = |entry: &Entry| matches!(SegmentFile::parse(&entry.name), SegmentFile::Swap(..));
    if entries.iter().any(is_swap) {
        finish_swaps(directory, &entries).await?;
        entries = read(directory).await?;
    }
    let mut listing = Listing {
        segments: BTreeMap::new(),
        snapshots: Vec::new(),
        transaction_indexes: BTreeSet::new(),
    };
    for entry in entries.iter().filter(|entry| !entry.is_directory) {
        let path = directory.join(&entry.name);
        if entry.name == OFFLINE {
            let reason = reason_offline(directory).await?.unwrap_or_default();
            return Err(StorageError::PartitionOffline { directory: directory.to_owned(), reason });
        }
        match SegmentFile::parse(&entry.name) {
            SegmentFile::Kept(FileKind::Log, base_offset) => {
                if entry.size_bytes > SEGMENT_SIZE_BYTES_MAX {
                    let reason = "it is larger than 2 GiB";
                    return Err(StorageError::Malformed { path, what: "segment", reason });
                }
                listing.segments.insert(base_offset, entry.size_bytes as u32);
            }
            SegmentFile::Kept(FileKind::ProducerSnapshot, offset) => listing.snapshots.push(offset),
            SegmentFile::Discarded | SegmentFile::Cleaned(_) => remove(&path).await?,
            SegmentFile::Kept(FileKind::TransactionIndex, base_offset) => {
                listing.transaction_indexes.insert(base_offset);
            }
            SegmentFile::Kept(FileKind::OffsetIndex | FileKind::TimeIndex, _)
            | SegmentFile::Swap(..)
            | SegmentFile::Other => {}
        }
    }
    listing.snapshots.sort_unstable();
    Ok(listing)
}

async fn read(directory: &Path) -> Result<Vec<Entry>, StorageError> {
    reactor::directory::list(directory).await.map_err(StorageError::io("list", directory))
}

/// Whether there is a segment in `directory` that is not empty.
pub(crate) async fn holds_records(directory: &Path) -> Result<bool, StorageError> {
    Ok(list(directory).await?.segments.values().any(|&size_bytes| size_bytes > 0))
}

/// On return there is no file at `path`: its removal after a delay may have come first.
pub(crate) async fn remove(path: &Path) -> Result<(), StorageError> {
    match reactor::directory::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
