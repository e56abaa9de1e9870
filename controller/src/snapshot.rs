//! Snapshots of the metadata log: `%020d-%010d.checkpoint`, and `bootstrap.checkpoint`, which is one
//! too. A header record, the records, a footer record; offsets count from 0 within the file.
//! Source: KIP-630.

use std::sync::Arc;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, TimestampMs};
use protocol::record_batch::{BatchError, Batches};
use protocol::records::metadata::MetadataRecord;

use crate::metadata::{
    BatchContent, MetadataBatchError, MetadataImage, decode_batch, encode_batch,
};
use crate::raft::{ControlRecord, KraftVersion, VoterSet, VoterSetError, encode_control_batch};

/// Records in one batch of a snapshot, well below Kafka's 8 MiB for any record that we write.
const BATCH_RECORDS_MAX: usize = 1_000;

/// Which prefix of the log a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// All records below are in it.
    pub end_offset: Offset,
    /// Leader epoch of the last of them.
    pub leader_epoch: LeaderEpoch,
}

/// What a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub last_contained_log_timestamp: TimestampMs,
    /// `None` in snapshots of a static quorum and in `bootstrap.checkpoint`.
    pub voters: Option<(KraftVersion, VoterSet)>,
    pub records: Vec<MetadataRecord>,
}

/// What a snapshot is to be made of.
#[derive(Clone, Debug)]
pub struct SnapshotContent {
    pub id: SnapshotId,
    /// When the last batch below `id.end_offset` was appended.
    pub last_contained_log_timestamp: TimestampMs,
    /// Of a dynamic quorum.
    pub voters: Option<(KraftVersion, VoterSet)>,
    /// Its records are the snapshot's.
    pub image: Arc<MetadataImage>,
}

impl SnapshotContent {
    /// A writer that has the header, as of `now`.
    pub fn writer(&self, now: TimestampMs) -> SnapshotWriter {
        let timestamp = self.last_contained_log_timestamp;
        SnapshotWriter::new(self.id.leader_epoch, now, timestamp, self.voters.as_ref())
    }
}

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot holds what is no batch")]
    Batch(#[from] BatchError),
    #[error("the snapshot holds a batch that cannot be read")]
    Records(#[from] MetadataBatchError),
    #[error("the snapshot does not begin with its header record")]
    NoHeader,
    #[error("the snapshot is cut off: it has no footer record")]
    NoFooter,
    #[error("the snapshot's voters are none")]
    Voters(#[from] VoterSetError),
    #[error("the snapshot has kraft.version {level}, which this release does not support")]
    KraftVersion { level: i16 },
}

impl SnapshotId {
    /// `00000000000000000123-0000000004.checkpoint`
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.end_offset.0, self.leader_epoch.0)
    }

    /// From a file's name; `None` when it is not the name of a finished snapshot.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (end_offset, leader_epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        let digits = |text: &str, width| {
            text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(end_offset, 20) || !digits(leader_epoch, 10) {
            return None;
        }
        Some(SnapshotId {
            end_offset: Offset(end_offset.parse().ok()?),
            leader_epoch: LeaderEpoch(leader_epoch.parse().ok()?),
        })
    }
}

/// The bytes of a snapshot in the making, a part of its records at a time: there may be very many.
#[derive(Debug)]
pub struct SnapshotWriter {
    bytes: Vec<u8>,
    next_offset: Offset,
    leader_epoch: LeaderEpoch,
    now: TimestampMs,
}

impl SnapshotWriter {
    /// Records that one [`SnapshotWriter::push`] is best given.
    pub const PART_RECORDS_MAX: usize = BATCH_RECORDS_MAX;

    /// Begins with the header. The file is written at `now`; the log below it ends in `leader_epoch`,
    /// with a batch of `last_contained_log_timestamp`. `voters` are those of a dynamic quorum.
    pub fn new(
        leader_epoch: LeaderEpoch,
        now: TimestampMs,
        last_contained_log_timestamp: TimestampMs,
        voters: Option<&(KraftVersion, VoterSet)>,
    ) -> Self {
        let mut header = vec![ControlRecord::snapshot_header(last_contained_log_timestamp)];
        if let Some((kraft_version, voters)) = voters {
            header.push(ControlRecord::kraft_version(*kraft_version));
            header.push(ControlRecord::KraftVoters(voters.to_record()));
        }
        let bytes = Vec::new();
        let mut writer = SnapshotWriter { bytes, next_offset: Offset::ZERO, leader_epoch, now };
        writer.push_control(&header);
        writer
    }

    /// Adds records.
    pub fn push(&mut self, records: &[MetadataRecord]) {
        for records in records.chunks(BATCH_RECORDS_MAX) {
            let batch = encode_batch(self.next_offset, self.leader_epoch, self.now, records);
            self.push_batch(&batch, records.len());
        }
    }

    /// The whole file, with its footer.
    pub fn finish(mut self) -> Bytes {
        self.push_control(&[ControlRecord::snapshot_footer()]);
        self.bytes.into()
    }

    fn push_control(&mut self, records: &[ControlRecord]) {
        let batch = encode_control_batch(self.next_offset, self.leader_epoch, self.now, records);
        self.push_batch(&batch, records.len());
    }

    fn push_batch(&mut self, batch: &[u8], record_count: usize) {
        self.bytes.extend_from_slice(batch);
        self.next_offset.0 += record_count as i64;
    }
}

impl Snapshot {
    /// The file's bytes, written at `now` by the leader epoch that the snapshot ends in.
    pub fn encode(&self, leader_epoch: LeaderEpoch, now: TimestampMs) -> Bytes {
        let timestamp = self.last_contained_log_timestamp;
        let mut writer = SnapshotWriter::new(leader_epoch, now, timestamp, self.voters.as_ref());
        writer.push(&self.records);
        writer.finish()
    }

    /// `last_contained_log_timestamp` of the snapshot that begins with `bytes`, which hold its first batch.
    pub fn decode_timestamp(bytes: Bytes) -> Result<TimestampMs, SnapshotError> {
        let first = Batches::new(bytes).next().ok_or(SnapshotError::NoHeader)?;
        match decode_batch(&first?)?.content {
            BatchContent::Control(records) => match records.first() {
                Some((_, ControlRecord::SnapshotHeader(header))) => {
                    Ok(TimestampMs(header.last_contained_log_timestamp))
                }
                Some(_) | None => Err(SnapshotError::NoHeader),
            },
            BatchContent::Metadata(_) => Err(SnapshotError::NoHeader),
        }
    }

    pub fn decode(bytes: Bytes) -> Result<Self, SnapshotError> {
        let mut snapshot = Snapshot::default();
        let (mut has_header, mut has_footer) = (false, false);
        let mut kraft_version = KraftVersion::Static;
        let mut batches = Batches::new(bytes);
        for batch in &mut batches {
            match decode_batch(&batch?)?.content {
                BatchContent::Metadata(records) => {
                    snapshot.records.extend(records.into_iter().map(|(_, record)| record));
                }
                BatchContent::Control(records) => {
                    for (_, record) in records {
                        match record {
                            ControlRecord::SnapshotHeader(header) => {
                                has_header = true;
                                snapshot.last_contained_log_timestamp =
                                    TimestampMs(header.last_contained_log_timestamp);
                            }
                            ControlRecord::SnapshotFooter(_) => has_footer = true,
                            ControlRecord::KraftVersion(version) => {
                                kraft_version = KraftVersion::from_level(version.kraft_version)
                                    .ok_or(SnapshotError::KraftVersion {
                                        level: version.kraft_version,
                                    })?;
                            }
                            ControlRecord::KraftVoters(voters) => {
                                let voters = VoterSet::from_record(&voters)?;
                                snapshot.voters = Some((kraft_version, voters));
                            }
                            ControlRecord::LeaderChange(_) => {}
                        }
                    }
                }
            }
            if !has_header {
                return Err(SnapshotError::NoHeader);
            }
        }
        if has_footer { Ok(snapshot) } else { Err(SnapshotError::NoFooter) }
    }
}
