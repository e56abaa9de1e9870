//! The leader epochs of a log: from their file, or from its batches.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::model::Offset;
use reactor::file::{File, Open};

use crate::error::StorageError;
use crate::segment::{FileKind, Scanner, Segment, path_of};
use crate::small_file;
use crate::state::LeaderEpochs;

/// `None` where the file is missing or invalid.
pub(super) async fn read_epochs(directory: &Path) -> Result<Option<LeaderEpochs>, StorageError> {
    let path = directory.join("leader-epoch-checkpoint");
    let Some(bytes) = small_file::read(&path).await? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text");
    match text.and_then(|text| LeaderEpochs::decode(&text)) {
        Ok(epochs) => Ok(Some(epochs)),
        Err(reason) => {
            tracing::warn!(path = %path.display(), reason, "not using the leader epochs in a file");
            Ok(None)
        }
    }
}

/// Reads all batches of a log for their epochs.
pub(super) async fn rebuild_epochs(
    directory: &Path,
    segments: &BTreeMap<Offset, Segment>,
) -> Result<LeaderEpochs, StorageError> {
    tracing::warn!(
        log = %directory.display(), segments = segments.len(),
        "reading the whole log for its leader epochs: their file is missing or invalid"
    );
    let mut epochs = LeaderEpochs::default();
    for (&base_offset, segment) in segments {
        let path = path_of(directory, FileKind::Log, base_offset);
        let file =
            File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
        let mut scanner = Scanner::new(file, path, 0, segment.size_bytes, base_offset);
        // What is bad is found out where it is read for its records.
        while let Ok(scanned) = scanner.next().await? {
            let header = scanned.batch.header();
            if let Some(leader_epoch) = header.partition_leader_epoch {
                epochs.maybe_assign(leader_epoch, header.base_offset);
            }
        }
    }
    Ok(epochs)
}
