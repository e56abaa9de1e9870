//! How much of a disk records may take. A full disk is no crash and no trap: records are refused before
//! it is quite full, and what must go on (metadata, rolls, checkpoints, recovery) lives on what they
//! have left, then on the reserve, then waits.
//!
//! ```text
//! free blocks ──▶ records ──▶ down to the floor, a quarter of the reserve; below, they are refused
//!             └─▶ all else ─▶ down to nothing, then a quarter of `millrace-reserve` at a time
//! ```

mod reserve;

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use reactor::Instant;
use reactor::buffer::ALIGNMENT;
use reactor::file::File;

use crate::error::StorageError;
use crate::settings::Settings;
use reserve::Reserve;

/// How soon a full disk is looked at again: records are refused within microseconds meanwhile.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

const BLOCK: u64 = ALIGNMENT as u64;

/// The space of one log directory, as one core uses it.
pub(crate) struct Space {
    directory: PathBuf,
    reserve: Reserve,
    allocation_size_bytes_min: u64,
    allocation_size_bytes_max: u64,
    /// The reserve may lack something: what is free belongs to it first.
    is_spent: Cell<bool>,
    /// Records are refused, and nobody looks before this time.
    full_until: Cell<Option<Instant>>,
    /// Bytes promised to logs that have no file for them yet.
    granted_bytes: Rc<Cell<u64>>,
}

/// Bytes of a directory that are promised and not allocated yet: to records, since a roll begins a
/// segment in memory, or to the files that complete a segment. Given back when dropped.
pub(crate) struct Grant {
    record_bytes: u64,
    completion_bytes: u64,
    granted_bytes: Rc<Cell<u64>>,
}

/// What the indexes and the snapshot of a segment of `size_bytes` take, and what they replace:
/// 20 bytes for 4 KiB of records by Kafka's defaults, and some blocks.
fn completion_bytes(size_bytes: u64) -> u64 {
    size_bytes / 128 + 4 * BLOCK
}

impl Grant {
    pub(crate) fn record_bytes(&self) -> u64 {
        self.record_bytes
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.granted_bytes
            .set(self.granted_bytes.get() - self.record_bytes - self.completion_bytes);
    }
}

/// A part of a file that shall have blocks.
pub(crate) struct Extent<'a> {
    pub(crate) file: &'a File,
    pub(crate) path: &'a Path,
    /// Where blocks may be missing from on.
    pub(crate) start: u64,
    /// Up to here they are needed, up to there they are welcome; `needed <= wanted`.
    pub(crate) needed: u64,
    pub(crate) wanted: u64,
}

impl Space {
    pub(crate) fn new(directory: &Path, settings: &Settings) -> Self {
        Space {
            directory: directory.to_owned(),
            reserve: Reserve::new(directory, settings.reserve_size_bytes_max),
            allocation_size_bytes_min: settings.allocation_size_bytes_min,
            allocation_size_bytes_max: settings.allocation_size_bytes_max,
            is_spent: Cell::new(true),
            full_until: Cell::new(None),
            granted_bytes: Rc::default(),
        }
    }

    /// Before anything else is written at a start: all of the reserve is given back where that is
    /// little more than what there is, and set aside where it is missing. Where even that fails the
    /// start goes on: a disk that is not full needs no reserve.
    pub(crate) async fn prepare_start(&self) {
        let prepared = async {
            let space = reactor::directory::space(&self.directory).await?;
            if space.free_bytes <= self.reserve.floor(space) {
                reactor::mark!(reserve_spent_at_start);
                return self.reserve.spend_all().await;
            }
            self.reserve.refill().await
        };
        if let Err(error) = prepared.await {
            let path = self.reserve.path().display();
            tracing::warn!(reserve = %path, %error, "cannot set blocks aside for a full disk");
        }
    }

    /// Why records are refused, where that is known without a look.
    pub(crate) fn refusal(&self) -> Option<StorageError> {
        let until = self.full_until.get()?;
        (reactor::now() < until).then(|| self.full())
    }

    fn full(&self) -> StorageError {
        StorageError::Full { directory: self.directory.clone() }
    }

    /// How far a segment of `size_bytes` is allocated ahead: as much again, within bounds, so that an
    /// idle partition costs little and a fast one seldom waits.
    pub(crate) fn step(&self, size_bytes: u64) -> u64 {
        size_bytes.clamp(self.allocation_size_bytes_min, self.allocation_size_bytes_max)
    }

    /// Allocates blocks for records. Returns where the allocated part ends, `needed` or beyond.
    /// Errors: `Full` changes nothing.
    pub(crate) async fn allocate_for_records(
        &self,
        extent: Extent<'_>,
    ) -> Result<u64, StorageError> {
        let room = self.room().await?.saturating_sub(completion_bytes(extent.wanted));
        let wanted = extent.wanted.min(room.saturating_add(extent.start) / BLOCK * BLOCK);
        if wanted < extent.needed {
            return Err(self.refuse());
        }
        for end in [wanted, extent.needed] {
            match self.allocate(&extent, end).await {
                Ok(()) => {
                    self.accept();
                    return Ok(end);
                }
                Err(error) if error.is_full() => {}
                Err(error) => return Err(error),
            }
        }
        Err(self.refuse())
    }

    /// Allocates blocks for what must go on. Returns where the allocated part ends. An error that
    /// says so of itself ([`StorageError::is_full`]) can be mended by [`Space::make_room`].
    pub(crate) async fn allocate_for_all_else(
        &self,
        extent: Extent<'_>,
    ) -> Result<u64, StorageError> {
        // Not ahead of need while the reserve lacks something; and what was spent is for this.
        let room = if self.is_spent.get() { 0 } else { self.room().await.unwrap_or(0) };
        let ahead = room.saturating_add(extent.start);
        let end = if extent.wanted <= ahead { extent.wanted } else { extent.needed };
        self.allocate(&extent, end).await.map(|()| end)
    }

    /// Promises up to `wanted` bytes, `needed` at least. Errors: `Full`.
    pub(crate) async fn grant(&self, needed: u64, wanted: u64) -> Result<Grant, StorageError> {
        let completion = completion_bytes(wanted);
        let room = self.room().await?.saturating_sub(completion);
        if room < needed {
            return Err(self.refuse());
        }
        self.accept();
        Ok(self.promise(wanted.min(room), completion))
    }

    /// Whether `size_bytes` more may be taken by what can wait: they leave free what records and all else
    /// are promised. Nobody is refused for it.
    pub(crate) async fn has_room(&self, size_bytes: u64) -> bool {
        if self.refusal().is_some() {
            return false;
        }
        if self.is_spent.get() {
            if !self.reserve.refill().await.unwrap_or(false) {
                return false;
            }
            self.is_spent.set(false);
        }
        let space = reactor::directory::space(&self.directory).await;
        space.is_ok_and(|space| {
            let kept = self.reserve.floor(space) + self.granted_bytes.get();
            space.free_bytes.saturating_sub(kept) > completion_bytes(size_bytes) + size_bytes
        })
    }

    /// What the files need that complete a segment of `size_bytes`. Records leave it free.
    pub(crate) fn grant_completion(&self, size_bytes: u64) -> Grant {
        self.promise(0, completion_bytes(size_bytes))
    }

    fn promise(&self, record_bytes: u64, completion_bytes: u64) -> Grant {
        let granted_bytes = self.granted_bytes.clone();
        granted_bytes.set(granted_bytes.get() + record_bytes + completion_bytes);
        Grant { record_bytes, completion_bytes, granted_bytes }
    }

    /// Has something been freed for what must go on: a piece of the reserve at once, else a wait.
    pub(crate) async fn make_room(&self) {
        if self.spend_reserve().await {
            return;
        }
        reactor::mark!(reserve_used_up);
        if self.full_until.get().is_none() {
            tracing::error!(
                directory = %self.directory.display(),
                "the disk is full, and the reserve is used up: writing waits for space"
            );
        }
        self.full_until.set(Some(reactor::now() + PROBE_INTERVAL));
        reactor::sleep(PROBE_INTERVAL).await;
    }

    /// Gives a piece of the reserve back to the disk. Returns whether there was one.
    async fn spend_reserve(&self) -> bool {
        self.is_spent.set(true);
        let is_spent = self.reserve.spend().await.unwrap_or(false);
        if is_spent {
            reactor::mark!(reserve_spent);
            tracing::warn!(
                directory = %self.directory.display(),
                "the disk is full: a piece of the reserve is spent, so that the node goes on"
            );
        }
        is_spent
    }

    /// Runs `work` again for as long as it fails for want of blocks and there is a reserve: for a
    /// start or a stop, which cannot wait for space.
    pub(crate) async fn on_reserve<T>(
        &self,
        mut work: impl AsyncFnMut() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        loop {
            match work().await {
                Err(error) if error.is_full() && self.spend_reserve().await => {}
                done => return done,
            }
        }
    }

    /// Bytes that records may still take. What the reserve lacks goes first. Errors: `Full`.
    async fn room(&self) -> Result<u64, StorageError> {
        let io = |operation| StorageError::io(operation, self.reserve.path());
        if self.is_spent.get() {
            if !self.reserve.refill().await.map_err(io("refill"))? {
                return Err(self.refuse());
            }
            self.is_spent.set(false);
        }
        let space = reactor::directory::space(&self.directory).await.map_err(io("measure"))?;
        let kept = self.reserve.floor(space) + self.granted_bytes.get();
        Ok(space.free_bytes.saturating_sub(kept))
    }

    async fn allocate(&self, extent: &Extent<'_>, end: u64) -> Result<(), StorageError> {
        let range: Range<u64> = extent.start / BLOCK * BLOCK..end.next_multiple_of(BLOCK);
        match extent.file.allocate(range).await {
            // The write itself will find out.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            done => done.map_err(StorageError::io("allocate", extent.path)),
        }
    }

    fn refuse(&self) -> StorageError {
        reactor::mark!(disk_full_refused);
        if self.full_until.replace(Some(reactor::now() + PROBE_INTERVAL)).is_none() {
            tracing::error!(
                directory = %self.directory.display(),
                "the disk is full: records are refused until space is freed; reads and deletions go on"
            );
        }
        self.full()
    }

    fn accept(&self) {
        if self.full_until.take().is_some() {
            reactor::mark!(disk_full_resumed);
            tracing::info!(directory = %self.directory.display(), "there is space for records again");
        }
    }
}
