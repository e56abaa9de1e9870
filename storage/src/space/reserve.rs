//! `millrace-reserve`: blocks of a log directory's file system that are set aside, so that a full disk
//! stops records and nothing else.

use std::io;
use std::path::{Path, PathBuf};

use reactor::buffer::ALIGNMENT;
use reactor::directory::{self, Space};
use reactor::file::{File, Open};

use crate::error::is_out_of_blocks;

const NAME: &str = "millrace-reserve";
const BLOCK: u64 = ALIGNMENT as u64;

/// A disk gives up to this part of it.
const DISK_PARTS: u64 = 64;

/// The reserve is given back in this many pieces, each no larger than what records leave free: so what
/// one piece frees is not enough to let records in again.
const PIECES: u64 = 4;

/// The reserve of one log directory. Every core has a handle of its own: the file says how much there
/// is, and cores that spend or refill it at the same time do each other no harm.
pub(super) struct Reserve {
    path: PathBuf,
    directory: PathBuf,
    size_bytes_max: u64,
}

impl Reserve {
    pub(super) fn new(directory: &Path, size_bytes_max: u64) -> Self {
        Reserve { path: directory.join(NAME), directory: directory.to_owned(), size_bytes_max }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How large the whole reserve is on a file system like `space`.
    fn whole_size(&self, space: Space) -> u64 {
        (space.total_bytes / DISK_PARTS).min(self.size_bytes_max) / (BLOCK * PIECES)
            * BLOCK
            * PIECES
    }

    /// What records leave free.
    pub(super) fn floor(&self, space: Space) -> u64 {
        self.whole_size(space) / PIECES
    }

    /// Sets aside what is missing, as far as that leaves the floor free. Returns whether the reserve
    /// is whole.
    pub(super) async fn refill(&self) -> io::Result<bool> {
        let space = directory::space(&self.directory).await?;
        let whole = self.whole_size(space);
        let file = File::open(&self.path, Open::OrCreate).await?;
        let missing = whole.saturating_sub(file.size());
        if missing == 0 {
            return Ok(true);
        }
        let available = space.free_bytes.saturating_sub(self.floor(space)) / BLOCK * BLOCK;
        let added = missing.min(available);
        if added > 0 {
            match file.allocate(file.size()..file.size() + added).await {
                // A power loss would give it to whoever comes first.
                Ok(()) => file.flush().await?,
                Err(error) if is_out_of_blocks(&error) => return Ok(false),
                // A file system that cannot set blocks aside has no reserve.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(added == missing)
    }

    /// Gives a piece back to the file system. Returns whether there was one.
    pub(super) async fn spend(&self) -> io::Result<bool> {
        let piece = self.floor(directory::space(&self.directory).await?).max(BLOCK);
        self.cut_by(piece).await
    }

    /// Gives all of it back.
    pub(super) async fn spend_all(&self) -> io::Result<bool> {
        self.cut_by(u64::MAX).await
    }

    async fn cut_by(&self, size_bytes: u64) -> io::Result<bool> {
        let file = match File::open(&self.path, Open::Existing).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if file.size() == 0 {
            return Ok(false);
        }
        file.truncate(file.size().saturating_sub(size_bytes)).await?;
        // A journaling file system lends freed blocks only once their release is committed.
        file.flush().await?;
        Ok(true)
    }
}
