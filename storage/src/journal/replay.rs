//! What the journals of a log directory hold that segments may lack: found at a start, given out per
//! partition, and voided when it is in flushed segments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::model::{PartitionId, TopicId};

use super::file::{self, FileUse, Header, JournalFile};
use super::guard;
use super::record::{HEADER_SIZE_BYTES, Kind, Share};
use super::scan::{Found, Scan};
use crate::error::StorageError;

/// A log directory's journals, of all cores that wrote one, read once. Bodies stay on disk.
pub struct Replay {
    directory: PathBuf,
    /// Live files, by core and then by epoch.
    live: Vec<(JournalFile, FileUse)>,
    /// Files found void, which need not be durable: a process that was killed while it voided them has
    /// flushed nothing, and a loss of power would bring them back to life.
    void: Vec<JournalFile>,
    /// Files that were not finished, or whose header is damaged.
    useless: Vec<JournalFile>,
    partitions: BTreeMap<(TopicId, PartitionId), Vec<ReplayRecord>>,
    damages: Vec<Damage>,
    /// By core: no record below counts.
    oldest_sequences: BTreeMap<u32, u64>,
}

/// One record of a partition, not void.
#[derive(Clone, Debug)]
pub struct ReplayRecord {
    pub share: Share,
    /// Its body can be read, and no record is lost that may have made it void. One that is not sound
    /// still says what is missing.
    pub is_sound: bool,
    body_size_bytes: u32,
    body_crc: u32,
    file: usize,
    body_position: u64,
}

/// Something that was durable and cannot be read: a disk has lost or changed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("journal file {path} has a damaged header: what it holds is lost")]
    Header { path: PathBuf },
    #[error(
        "journal file {path} has a header of an earlier use: its records were read all the same"
    )]
    StaleHeader { path: PathBuf },
    #[error("journal file {path} lacks {count} records at position {position}")]
    RecordsMissing { path: PathBuf, position: u64, count: u64 },
    #[error("journal file {path}: the record at position {position} is damaged")]
    BodyDamaged { path: PathBuf, position: u64 },
    #[error("journal file {path}: the record at position {position} belongs elsewhere")]
    Misplaced { path: PathBuf, position: u64 },
}

impl ReplayRecord {
    /// Of its batches.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.body_size_bytes)
    }
}

impl Replay {
    /// Reads the journals of `directory`. Where its guard is missing they are void, whatever they hold:
    /// the last stop was clean, or Apache Kafka has had the directory since.
    pub async fn read(directory: &Path) -> Result<Replay, StorageError> {
        let mut replay = Replay {
            directory: directory.to_owned(),
            live: Vec::new(),
            void: Vec::new(),
            useless: Vec::new(),
            partitions: BTreeMap::new(),
            damages: Vec::new(),
            oldest_sequences: BTreeMap::new(),
        };
        for (core, number) in file::list(directory).await? {
            let how = reactor::file::Open::Existing;
            let file = JournalFile::open(directory, core, number, how).await?;
            replay.find(file).await?;
        }
        replay.live.sort_by_key(|(file, file_use)| (file.core, file_use.file_epoch));
        if guard::exists(directory).await? {
            replay.read_records().await?;
        } else {
            replay.damages.clear();
        }
        Ok(replay)
    }

    /// Sorts `file` in by what its first block says and what stands behind it.
    async fn find(&mut self, file: JournalFile) -> Result<(), StorageError> {
        let (header, first) = file.read_header().await?;
        let path = file.path.clone();
        let file_epoch = match header {
            Header::Void { file_epoch } => file_epoch,
            Header::Live { file_use, .. } => file_use.file_epoch,
            Header::Unfinished if first.is_none() => {
                self.useless.push(file);
                return Ok(());
            }
            Header::Unfinished | Header::Damaged => {
                self.damages.push(Damage::Header { path });
                self.useless.push(file);
                return Ok(());
            }
        };
        // Epochs only grow: a record of a later use tells that the header's write was lost.
        if let Some(file_use) = first.filter(|first| first.file_epoch > file_epoch) {
            self.damages.push(Damage::StaleHeader { path });
            self.live.push((file, file_use));
        } else if let Header::Live { file_use, oldest_sequence } = header {
            let oldest = self.oldest_sequences.entry(file.core).or_default();
            *oldest = oldest_sequence.max(*oldest);
            self.live.push((file, file_use));
        } else {
            self.void.push(file);
        }
        Ok(())
    }

    /// The partitions that have records.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicId, PartitionId)> {
        self.partitions.keys().copied()
    }

    /// The records of a partition since its last fence, in the order in which they were appended.
    pub fn records(&self, topic_id: TopicId, partition: PartitionId) -> &[ReplayRecord] {
        self.partitions.get(&(topic_id, partition)).map_or(&[], Vec::as_slice)
    }

    /// Bytes of batches in all records.
    pub fn size_bytes(&self) -> u64 {
        self.partitions.values().flatten().map(|record| u64::from(record.body_size_bytes)).sum()
    }

    /// What was durable and cannot be read. A partition that has a record behind a damage is told
    /// `Corrupt` by its verdict where it misses what is lost; one whose last records are lost is not.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// The batches of `record`, whole. Errors: `Malformed` where they are damaged.
    pub async fn body(&self, record: &ReplayRecord) -> Result<Bytes, StorageError> {
        let malformed = |path: &Path| StorageError::Malformed {
            path: path.to_owned(),
            what: "journal file",
            reason: "a record in it is damaged",
        };
        let Some((file, _)) = self.live.get(record.file) else {
            return Err(malformed(&self.directory));
        };
        let end = record.body_position + u64::from(record.body_size_bytes);
        let body = file.read(record.body_position..end).await?;
        let is_sound = record.is_sound
            && body.len() == record.body_size_bytes as usize
            && crc32c::crc32c(&body) == record.body_crc;
        if is_sound { Ok(body) } else { Err(malformed(&file.path)) }
    }

    /// Voids all that was read: it is in flushed segments, or was never to be used. On return no
    /// journal of this directory holds anything, durably, and each core may open its own.
    pub async fn void(self) -> Result<(), StorageError> {
        for (file, file_use) in &self.live {
            file.make_void(file_use.file_epoch).await?;
        }
        for file in &self.void {
            file.flush().await?;
        }
        for file in self.useless {
            file.remove().await?;
        }
        reactor::directory::sync(&self.directory)
            .await
            .map_err(StorageError::io("flush", &self.directory))
    }

    /// Renames the files that hold something, for a person to look at: no start takes them for a
    /// journal any more. On return each core may open its own. Returns where they are.
    pub async fn set_aside(self) -> Result<Vec<PathBuf>, StorageError> {
        let entries = reactor::directory::list(&self.directory)
            .await
            .map_err(StorageError::io("list", &self.directory))?;
        let taken: BTreeSet<String> = entries.into_iter().map(|entry| entry.name).collect();
        let mut kept = Vec::new();
        let damaged = self.useless.iter().filter(|file| self.is_damaged(file));
        for file in self.live.iter().map(|(file, _)| file).chain(damaged) {
            let to = self.directory.join(file::kept_name_of(file, &taken));
            reactor::directory::rename(&file.path, &to)
                .await
                .map_err(StorageError::io("rename", &file.path))?;
            // One after the other: what is left of a journal is always its end.
            reactor::directory::sync(&self.directory)
                .await
                .map_err(StorageError::io("flush", &self.directory))?;
            kept.push(to);
        }
        Ok(kept)
    }

    async fn read_records(&mut self) -> Result<(), StorageError> {
        let mut start = 0;
        while let Some((first, _)) = self.live.get(start) {
            let core = first.core;
            let files: Vec<_> = self
                .live
                .iter()
                .skip(start)
                .take_while(|(file, _)| file.core == core)
                .cloned()
                .collect();
            let oldest_sequence = self.oldest_sequences.get(&core).copied().unwrap_or(0);
            let mut scan = Scan::read(&files, oldest_sequence).await?;
            if self.useless.iter().any(|file| file.core == core && self.is_damaged(file)) {
                scan.doubt_all();
            }
            self.damages.extend(scan.damages);
            for (partition, records) in by_partition(scan.records, start) {
                self.add(partition, records);
            }
            start += files.len();
        }
        Ok(())
    }

    fn is_damaged(&self, file: &JournalFile) -> bool {
        self.damages
            .iter()
            .any(|damage| matches!(damage, Damage::Header { path } if *path == file.path))
    }

    /// Takes one core's records of a partition. Where another core has some too, no one can tell which
    /// came first (a run's cores take a partition over with a fence in between): none is used.
    fn add(&mut self, partition: (TopicId, PartitionId), records: Vec<ReplayRecord>) {
        let known = self.partitions.entry(partition).or_default();
        let is_ambiguous = !known.is_empty();
        known.extend(records);
        if is_ambiguous {
            known.iter_mut().for_each(|record| record.is_sound = false);
        }
    }
}

/// The records that are not void, with files counted from `file_start` on.
fn by_partition(
    records: Vec<Found>,
    file_start: usize,
) -> BTreeMap<(TopicId, PartitionId), Vec<ReplayRecord>> {
    let mut fences = BTreeMap::<_, u64>::new();
    for Found { header, .. } in &records {
        let fence = match header.kind {
            Kind::Fence(_) => header.place.sequence,
            Kind::Batches => header.place.fenced_sequence,
        };
        let latest = fences.entry((header.share.topic_id, header.share.partition)).or_default();
        *latest = fence.max(*latest);
    }
    let mut partitions = BTreeMap::<_, Vec<ReplayRecord>>::new();
    for Found { header, file, is_sound, .. } in records {
        let partition = (header.share.topic_id, header.share.partition);
        let is_void = fences.get(&partition).is_some_and(|fence| header.place.sequence < *fence);
        match header.kind {
            Kind::Batches if is_void => reactor::mark!(journal_record_fenced),
            Kind::Batches => partitions.entry(partition).or_default().push(ReplayRecord {
                share: header.share,
                is_sound,
                body_size_bytes: header.body_size_bytes,
                body_crc: header.body_crc,
                file: file_start + file,
                body_position: header.place.position + HEADER_SIZE_BYTES as u64,
            }),
            Kind::Fence(_) => {}
        }
    }
    partitions
}

#[cfg(test)]
impl ReplayRecord {
    /// A record of which only what a verdict asks for is set.
    pub(super) fn for_verdict(base: i64, next: i64, durable: i64, is_sound: bool) -> Self {
        use protocol::model::{LeaderEpoch, Offset};
        let share = Share {
            topic_id: TopicId::ONE,
            partition: PartitionId(0),
            base_offset: Offset(base),
            next_offset: Offset(next),
            leader_epoch: LeaderEpoch(0),
            durable_end_offset: Offset(durable),
        };
        ReplayRecord { share, is_sound, body_size_bytes: 0, body_crc: 0, file: 0, body_position: 0 }
    }
}
