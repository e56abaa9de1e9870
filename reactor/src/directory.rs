//! Directories and whole small files: everything that names a path.

use std::io;
use std::path::Path;

use crate::environment::{Environment, current};
use crate::{real, sim};

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    pub is_directory: bool,
    pub size_bytes: u64,
}

macro_rules! dispatch {
    ($function:ident ( $($argument:expr),* )) => {
        match current() {
            Environment::Real(core) => real::directory::$function(&core, $($argument),*).await,
            Environment::Sim(core) => sim::directory::$function(&core, $($argument),*).await,
        }
    };
}

/// Makes `path` and its missing parents, each flushed into its parent.
pub async fn create_all(path: &Path) -> io::Result<()> {
    dispatch!(create_all(path))
}

/// The entries of `path`, sorted by name.
pub async fn list(path: &Path) -> io::Result<Vec<Entry>> {
    dispatch!(list(path))
}

/// Renames, replacing a file at `to`. Durable after [`sync`] of both parents.
pub async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    dispatch!(rename(from, to))
}

pub async fn remove_file(path: &Path) -> io::Result<()> {
    dispatch!(remove_file(path))
}

/// Removes a directory and all below it.
pub async fn remove_all(path: &Path) -> io::Result<()> {
    dispatch!(remove_all(path))
}

/// Flushes a directory: creations, renames and removals in it before the call are durable on return.
pub async fn sync(path: &Path) -> io::Result<()> {
    dispatch!(sync(path))
}

/// All of a small file (at most 16 MiB; `InvalidData` above).
pub async fn read(path: &Path) -> io::Result<Vec<u8>> {
    dispatch!(read(path))
}

/// Replaces `path` by a file of `contents`: written beside it, flushed, renamed, directory flushed.
/// On an error the old file is still there.
pub async fn write_atomic(path: &Path, contents: &[u8]) -> io::Result<()> {
    dispatch!(write_atomic(path, contents))
}

/// The size of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    /// What can still be allocated by anyone, which is less than what the superuser may.
    pub free_bytes: u64,
}

/// The file system that `path` lies on.
pub async fn space(path: &Path) -> io::Result<Space> {
    dispatch!(space(path))
}

/// A lock on a directory, by an `F_OFD_SETLK` write lock on its `.lock` file, which Java's
/// `FileChannel.tryLock` respects. Held until dropped.
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] LockInner);

enum LockInner {
    Real(#[expect(dead_code, reason = "held for its drop")] real::directory::Lock),
    Sim(#[expect(dead_code, reason = "held for its drop")] sim::directory::Lock),
}

/// Takes the lock of `path`. Errors: `WouldBlock` while another process holds it.
pub async fn lock(path: &Path) -> io::Result<Lock> {
    Ok(Lock(match current() {
        Environment::Real(core) => LockInner::Real(real::directory::lock(&core, path).await?),
        Environment::Sim(core) => LockInner::Sim(sim::directory::lock(&core, path).await?),
    }))
}
