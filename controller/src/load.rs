//! From the bytes on disk to a controller that is ready to start.

use bytes::Bytes;
use protocol::model::{BrokerId, DirectoryId, LeaderEpoch, Offset, ReplicaKey, Uuid};
use protocol::record_batch::RecordBatch;
use protocol::records::metadata::MetadataRecord;

use crate::controller::Controller;
use crate::decide::Settings;
use crate::metadata::{
    BatchContent, Fold, Listener, MetadataBatchError, MetadataImage, ReplayError, decode_batch,
};
use crate::raft::{
    ControlRecord, KraftVersion, LogEnd, Node, NodeConfig, QuorumState, QuorumStateError,
    UnsupportedQuorum, VoterSet, VoterSetError,
};
use crate::snapshot::{Snapshot, SnapshotError, SnapshotId};

/// What a controller is, apart from what its log says.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerConfig {
    pub node_id: BrokerId,
    /// Of the metadata log directory.
    pub directory_id: DirectoryId,
    /// Another one for each process; drawn at its start.
    pub incarnation_id: Uuid,
    /// Where this controller listens.
    pub listeners: Vec<Listener>,
    /// `controller.quorum.voters`; `None` when the quorum is dynamic.
    pub static_voters: Option<VoterSet>,
    /// The records of `bootstrap.checkpoint`, for a cluster whose log is empty.
    pub bootstrap: Vec<MetadataRecord>,
    pub settings: Settings,
}

/// Why there is no controller.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    QuorumState(#[from] QuorumStateError),
    #[error("snapshot {} cannot be read", id.file_name())]
    Snapshot { id: SnapshotId, source: SnapshotError },
    #[error(transparent)]
    Batch(#[from] MetadataBatchError),
    #[error("the metadata log continues at offset {base_offset}, expected {expected}")]
    Gap { expected: Offset, base_offset: Offset },
    #[error(
        "the batch at offset {base_offset} is of leader epoch {leader_epoch}, after one of {previous}"
    )]
    EpochWentBack { base_offset: Offset, leader_epoch: LeaderEpoch, previous: LeaderEpoch },
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("the voters at offset {offset} are none")]
    Voters { offset: Offset, source: VoterSetError },
    #[error("kraft.version is {level} (offset {offset}), which this release does not support")]
    KraftVersion { offset: Offset, level: i16 },
    #[error(transparent)]
    Quorum(#[from] UnsupportedQuorum),
}

/// Folds a snapshot and a log. A follower folds with it too, batch by committed batch.
///
/// An error leaves the loader unusable: what it holds is half of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loader {
    fold: Fold,
    kraft_version: Option<KraftVersion>,
    voters: Option<VoterSet>,
    voters_in_log: bool,
    leader_epoch: Option<LeaderEpoch>,
    next_offset: Offset,
}

impl Loader {
    pub fn new() -> Self {
        Loader::default()
    }

    /// Begins with a snapshot; nothing may have been read before. Batches below its end are skipped.
    pub fn snapshot(&mut self, id: SnapshotId, bytes: Bytes) -> Result<(), LoadError> {
        assert!(*self == Loader::default(), "a snapshot comes first");
        let snapshot =
            Snapshot::decode(bytes).map_err(|source| LoadError::Snapshot { id, source })?;
        let last_offset = Offset((id.end_offset.0 - 1).max(0));
        for record in &snapshot.records {
            self.fold.replay(last_offset, record)?;
        }
        if let Some((kraft_version, voters)) = snapshot.voters {
            self.kraft_version = Some(kraft_version);
            self.voters = Some(voters);
            // The snapshot of a formatted directory stands for no log.
            self.voters_in_log = id.end_offset > Offset::ZERO;
        }
        self.leader_epoch = (id.end_offset > Offset::ZERO).then_some(id.leader_epoch);
        self.next_offset = id.end_offset;
        self.fold.advance_to(id.end_offset);
        Ok(())
    }

    /// Folds in the next batch of the log.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), LoadError> {
        let batch = decode_batch(batch)?;
        if batch.next_offset <= self.next_offset {
            return Ok(());
        }
        if batch.base_offset > self.next_offset {
            let (expected, base_offset) = (self.next_offset, batch.base_offset);
            return Err(LoadError::Gap { expected, base_offset });
        }
        if let (Some(previous), Some(leader_epoch)) = (self.leader_epoch, batch.leader_epoch)
            && leader_epoch < previous
        {
            let base_offset = batch.base_offset;
            return Err(LoadError::EpochWentBack { base_offset, leader_epoch, previous });
        }
        match &batch.content {
            BatchContent::Control(records) => {
                for (offset, record) in records {
                    self.control(*offset, record)?;
                }
            }
            BatchContent::Metadata(records) => {
                for (offset, record) in records {
                    if *offset >= self.next_offset {
                        self.fold.replay(*offset, record)?;
                    }
                }
            }
        }
        self.leader_epoch = batch.leader_epoch.or(self.leader_epoch);
        self.next_offset = batch.next_offset;
        self.fold.advance_to(batch.next_offset);
        Ok(())
    }

    fn control(&mut self, offset: Offset, record: &ControlRecord) -> Result<(), LoadError> {
        match record {
            ControlRecord::KraftVersion(record) => {
                let level = record.kraft_version;
                let version = KraftVersion::from_level(level)
                    .ok_or(LoadError::KraftVersion { offset, level })?;
                self.kraft_version = Some(version);
            }
            ControlRecord::KraftVoters(record) => {
                let voters = VoterSet::from_record(record)
                    .map_err(|source| LoadError::Voters { offset, source })?;
                self.voters = Some(voters);
                self.voters_in_log = true;
            }
            ControlRecord::LeaderChange(_)
            | ControlRecord::SnapshotHeader(_)
            | ControlRecord::SnapshotFooter(_) => {}
        }
        Ok(())
    }

    /// The image of what has been read, without a transaction that is open.
    pub fn image(&self) -> &MetadataImage {
        self.fold.consistent_image()
    }

    /// Where the next batch has to begin.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The controller of this log, not yet started. `quorum_state` is the file's content, if there is
    /// one. All that was read must be durable.
    pub fn finish(
        self,
        config: ControllerConfig,
        quorum_state: Option<&[u8]>,
    ) -> Result<Controller, LoadError> {
        let quorum_state = quorum_state.map(QuorumState::decode).transpose()?;
        let kraft_version = match self.voters {
            Some(_) => self.kraft_version.unwrap_or(KraftVersion::Static),
            None => KraftVersion::Static,
        };
        let directory_id = match kraft_version {
            KraftVersion::Static => None,
            KraftVersion::Dynamic => Some(config.directory_id),
        };
        let node = Node::new(
            NodeConfig {
                replica: ReplicaKey { id: config.node_id, directory_id },
                voters: self.voters.or_else(|| config.static_voters.clone()).unwrap_or_default(),
                kraft_version,
                voters_in_log: self.voters_in_log,
            },
            quorum_state.as_ref(),
            LogEnd { log_end_offset: self.next_offset, leader_epoch: self.leader_epoch },
        )?;
        Ok(Controller::new(config, node, self.fold))
    }
}
