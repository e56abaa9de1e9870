//! What a new directory holds before its first start: the snapshots that `storage format` writes.

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, TimestampMs};
use protocol::records::metadata::MetadataRecord;

use crate::decide::bootstrap_feature_records;
use crate::raft::{KraftVersion, VoterSet};
use crate::snapshot::{Snapshot, SnapshotId};

/// The folder of the metadata log within the metadata log directory.
pub const METADATA_LOG_FOLDER: &str = "__cluster_metadata-0";

/// A file to write, durably; its folder may have to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormattedFile {
    /// Relative to the log directory.
    pub path: String,
    pub bytes: Bytes,
}

/// The files of one log directory, besides `meta.properties`. `voters` are those of a dynamic quorum
/// and belong in the metadata log directory only; a static quorum has none.
///
/// As `kafka-storage format [--standalone]` of 4.3 writes them.
pub fn format_files(now: TimestampMs, voters: Option<&VoterSet>) -> Vec<FormattedFile> {
    let first = SnapshotId { end_offset: Offset::ZERO, leader_epoch: LeaderEpoch(0) };
    let mut files = vec![FormattedFile {
        path: "bootstrap.checkpoint".to_owned(),
        bytes: bootstrap_checkpoint(&bootstrap_feature_records(), now),
    }];
    if let Some(voters) = voters {
        let snapshot = Snapshot {
            last_contained_log_timestamp: now,
            voters: Some((KraftVersion::Dynamic, voters.clone())),
            records: Vec::new(),
        };
        files.push(FormattedFile {
            path: format!("{METADATA_LOG_FOLDER}/{}", first.file_name()),
            bytes: snapshot.encode(first.leader_epoch, now),
        });
    }
    files
}

/// `bootstrap.checkpoint` with `records`.
pub fn bootstrap_checkpoint(records: &[MetadataRecord], now: TimestampMs) -> Bytes {
    let snapshot = Snapshot { records: records.to_vec(), ..Snapshot::default() };
    snapshot.encode(LeaderEpoch(0), now)
}
