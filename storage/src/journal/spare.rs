//! Files in waiting: void ones that are used again, and new ones, zeroed before they are used.
//!
//! A flush after a write into blocks that were written before is half as long as one into blocks that
//! were only allocated: the file system has no metadata to commit with it. So a new file is filled
//! with zeros first, in modest writes beside the groups, and no file is given back.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::Open;

use super::file::{FileUse, Header, JournalFile, list};
use crate::error::StorageError;
use crate::settings::Settings;

/// Bytes of one write of zeros: a group that is written meanwhile waits for no more than this.
const ZEROS_SIZE_BYTES: usize = 128 << 10;
/// Each new file is this much larger than the one in use, up to the limit.
const GROWTH: u64 = 4;
/// A new file takes no more than this part of what is free: the last of it is the segments'.
const FREE_PART: u64 = 16;

/// The files of one core's journal that hold nothing.
pub(super) struct Spares {
    directory: PathBuf,
    core: u32,
    file_size_bytes_first: u64,
    file_size_bytes_max: u64,
    void: Vec<JournalFile>,
    /// Of the files that this run has used.
    largest_size_bytes: u64,
    next_number: u64,
    /// Of the latest use of any file.
    file_epoch: u64,
}

/// A file whose use has begun and that holds nothing yet.
pub(super) struct Ready {
    pub(super) file: JournalFile,
    pub(super) file_use: FileUse,
}

impl Spares {
    /// Finds the files that the run before left; what was not finished or is damaged is removed.
    /// Errors: `Malformed` where one still holds records: replay comes first.
    pub(super) async fn open(
        directory: &Path,
        core: u32,
        settings: &Settings,
    ) -> Result<Spares, StorageError> {
        let first = settings.journal_file_size_bytes_first;
        let max = settings.journal_file_size_bytes_max;
        assert!(first <= max, "a first journal file of {first} bytes, {max} at most");
        assert!(
            first.is_multiple_of(ALIGNMENT as u64) && max.is_multiple_of(ALIGNMENT as u64),
            "journal files of {first} to {max} bytes are not whole blocks"
        );
        let mut spares = Spares {
            directory: directory.to_owned(),
            core,
            file_size_bytes_first: first,
            file_size_bytes_max: max,
            void: Vec::new(),
            largest_size_bytes: 0,
            next_number: 0,
            file_epoch: 0,
        };
        for (_, number) in list(directory).await?.into_iter().filter(|(of, _)| *of == core) {
            spares.next_number = number + 1;
            let file = JournalFile::open(directory, core, number, Open::Existing).await?;
            let (header, _) = file.read_header().await?;
            match header {
                Header::Void { file_epoch } => {
                    spares.file_epoch = spares.file_epoch.max(file_epoch);
                    spares.void.push(file);
                }
                Header::Unfinished | Header::Damaged => file.remove().await?,
                Header::Live { .. } => {
                    return Err(StorageError::Malformed {
                        path: file.path,
                        what: "spare journal file",
                        reason: "it holds records that were not replayed",
                    });
                }
            }
        }
        Ok(spares)
    }

    /// Whether a void file of `size_bytes` is worth keeping: the first, small ones of a journal that
    /// has grown are not.
    pub(super) fn wants(&self, size_bytes: u64) -> bool {
        size_bytes * GROWTH >= self.largest_size_bytes
    }

    /// Keeps a void file for a later use.
    pub(super) fn give(&mut self, file: JournalFile) {
        self.void.push(file);
    }

    /// Where the next file comes from: the largest void one, or a new one, larger than all so far. It
    /// comes under the next file epoch.
    pub(super) fn take(&mut self) -> Source {
        self.file_epoch += 1;
        let file_use = FileUse { file_epoch: self.file_epoch, use_id: reactor::random::u64() };
        let largest = (0..self.void.len())
            .max_by_key(|&index| self.void.get(index).map(|file| file.file.size()));
        if let Some(index) = largest {
            let file = self.void.swap_remove(index);
            self.largest_size_bytes = self.largest_size_bytes.max(file.file.size());
            return Source::Void { file, file_use };
        }
        let number = self.next_number;
        self.next_number += 1;
        let size_bytes = (self.largest_size_bytes * GROWTH)
            .clamp(self.file_size_bytes_first, self.file_size_bytes_max);
        self.largest_size_bytes = size_bytes;
        let directory = self.directory.clone();
        Source::New { directory, core: self.core, number, size_bytes, file_use }
    }
}

/// Where the next file comes from.
pub(super) enum Source {
    Void { file: JournalFile, file_use: FileUse },
    New { directory: PathBuf, core: u32, number: u64, size_bytes: u64, file_use: FileUse },
}

impl Source {
    pub(super) fn file_use(&self) -> FileUse {
        match self {
            Source::Void { file_use, .. } | Source::New { file_use, .. } => *file_use,
        }
    }

    /// Makes the file ready: all blocks written once, its name and its live header durable. By that
    /// header no record below `oldest_sequence` counts.
    /// Errors: `StorageFull` where the disk has no room for another file; nothing is left behind.
    pub(super) async fn prepare(self, oldest_sequence: u64) -> Result<Ready, StorageError> {
        let (file, file_use) = match self {
            Source::Void { file, file_use } => (file, file_use),
            Source::New { directory, core, number, size_bytes, file_use } => {
                let file = zeroed(&directory, core, number, size_bytes).await?;
                (file, file_use)
            }
        };
        file.begin_use(file_use, oldest_sequence).await?;
        Ok(Ready { file, file_use })
    }
}

/// A new file of zeros that are on the disk; its name is durable.
async fn zeroed(
    directory: &Path,
    core: u32,
    number: u64,
    size_bytes: u64,
) -> Result<JournalFile, StorageError> {
    let free = reactor::directory::space(directory)
        .await
        .map_err(StorageError::io("measure", directory))?
        .free_bytes;
    let size_bytes = size_bytes.min(free / FREE_PART / ALIGNMENT as u64 * ALIGNMENT as u64);
    let file = JournalFile::open(directory, core, number, Open::New).await?;
    match fill(&file, size_bytes).await {
        Ok(()) => {}
        Err(error) => {
            // Best effort: what stays is unfinished by its header, and removed at the next start.
            let _ = file.remove().await;
            return Err(error);
        }
    }
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))?;
    Ok(file)
}

async fn fill(file: &JournalFile, size_bytes: u64) -> Result<(), StorageError> {
    let allocated = match size_bytes {
        0 => Err(std::io::ErrorKind::StorageFull.into()),
        _ => file.file.allocate(0..size_bytes).await,
    };
    allocated.map_err(StorageError::io("allocate", &file.path))?;
    let zeros = AlignedBuffer::zeroed(ZEROS_SIZE_BYTES).into_bytes();
    let mut position = 0;
    while position < size_bytes {
        let left = usize::try_from(size_bytes - position).unwrap_or(usize::MAX);
        let part: Bytes = zeros.slice(..left.min(ZEROS_SIZE_BYTES));
        let size = part.len() as u64;
        file.write(part, position).await?;
        position += size;
    }
    file.flush().await
}
