//! `millrace-journal-not-empty`: there while a process of ours has the directory, and after it while a
//! journal may hold what segments lack.
//!
//! An empty directory whose name is no partition's, so that Apache Kafka refuses to start on this log
//! directory and names it. The cores of a log directory share it.

use std::io;
use std::path::Path;

use crate::error::StorageError;

pub(crate) const NAME: &str = "millrace-journal-not-empty";

/// Makes the guard, durably; nothing where it is there. Other cores may do the same at the same time.
pub(crate) async fn create(directory: &Path) -> Result<(), StorageError> {
    let path = directory.join(NAME);
    reactor::directory::create_all(&path).await.map_err(StorageError::io("create", &path))?;
    // Where another core has just made it, its name may not be durable yet.
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))
}

/// Whether the guard is there. Where it is not, journals of this directory are void.
pub async fn exists(directory: &Path) -> Result<bool, StorageError> {
    let entries =
        reactor::directory::list(directory).await.map_err(StorageError::io("list", directory))?;
    Ok(entries.iter().any(|entry| entry.name == NAME))
}

/// Takes the guard away, durably; nothing where there is none. Before that the journals of all cores
/// are void on disk.
pub async fn remove(directory: &Path) -> Result<(), StorageError> {
    let path = directory.join(NAME);
    match reactor::directory::remove_all(&path).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::io("remove", &path)(error)),
    }
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))
}
