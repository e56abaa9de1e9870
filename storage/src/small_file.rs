//! Kafka's small text files.

use std::io;
use std::path::Path;

use crate::error::StorageError;

/// All of a text file; `None` where there is none.
pub(crate) async fn read_text(
    path: &Path,
    what: &'static str,
) -> Result<Option<String>, StorageError> {
    let Some(bytes) = read(path).await? else {
        return Ok(None);
    };
    let malformed =
        |_| StorageError::Malformed { path: path.to_owned(), what, reason: "it is no UTF-8 text" };
    String::from_utf8(bytes).map(Some).map_err(malformed)
}

/// All of a small file; `None` where there is none.
pub(crate) async fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match reactor::directory::read(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("read", path)(error)),
    }
}
