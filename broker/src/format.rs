//! The files of a formatted log directory, as `kafka-storage format` leaves them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use controller::decide::bootstrap_feature_records;
use controller::raft::{KraftVersion, VoterSet, VoterSetError};
use controller::{Snapshot, SnapshotId};
use protocol::model::{DirectoryId, LeaderEpoch, Offset, TimestampMs};
use storage::MetaProperties;

use crate::config::BrokerConfig;
use crate::controller_core::{METADATA_DIRECTORY, own_voter};

pub const META_PROPERTIES: &str = "meta.properties";
const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// What a directory is formatted for.
#[derive(Clone, Debug)]
pub struct Formatting {
    pub cluster_id: String,
    pub directory_id: DirectoryId,
    /// The node becomes the only voter of a dynamic quorum. Source: KIP-853.
    pub standalone: bool,
    /// When, for the timestamps of the snapshots' records.
    pub now: TimestampMs,
}

/// The files that format `directory`, each with the path it goes to, whose parent may be missing.
/// They are to be made durable in this order: the last, `meta.properties`, says that the others are
/// there.
pub fn files(
    config: &BrokerConfig,
    directory: &Path,
    formatting: &Formatting,
) -> Result<Vec<(PathBuf, Bytes)>, VoterSetError> {
    let snapshot = |voters, records| {
        Snapshot { last_contained_log_timestamp: TimestampMs(0), voters, records }
            .encode(LeaderEpoch(0), formatting.now)
    };
    let bootstrap = snapshot(None, bootstrap_feature_records());
    let mut files = vec![(directory.join(BOOTSTRAP_CHECKPOINT), bootstrap)];
    if formatting.standalone && directory == config.metadata_log_dir {
        let voter = own_voter(config, Some(formatting.directory_id));
        let voters = (KraftVersion::Dynamic, VoterSet::new([voter])?);
        let id = SnapshotId { end_offset: Offset::ZERO, leader_epoch: LeaderEpoch(0) };
        let path = directory.join(METADATA_DIRECTORY).join(id.file_name());
        files.push((path, snapshot(Some(voters), Vec::new())));
    }
    let meta = MetaProperties {
        cluster_id: formatting.cluster_id.clone(),
        node_id: config.node_id,
        directory_id: Some(formatting.directory_id),
    };
    files.push((directory.join(META_PROPERTIES), Bytes::from(meta.encode())));
    Ok(files)
}
