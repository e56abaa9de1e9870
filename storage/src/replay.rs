//! What a crash left in a log directory's journals is appended to the segments: before any core opens
//! its logs, or by `millrace storage recover`.
//!
//! A record is of a topic id and a partition, and goes to the log whose `partition.metadata` says so,
//! wherever it lies now. It is appended where it continues the log, and nowhere else. Interrupted at any
//! point, a replay is repeated from its start: what it has appended is then skipped, and the journals
//! become void only when everything is in flushed segments.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use protocol::model::{Offset, PartitionId, TopicId};
use protocol::record_batch::Batches;
use reactor::sync::Budget;
use reactor::task::Group;

use crate::config::LogConfig;
use crate::error::StorageError;
use crate::journal::{Damage, Replay, ReplayRecord, Verdict, guard};
use crate::log::{Opening, PartitionLog};
use crate::log_directory::{LogDirectory, TopicPartition};
use crate::recovery::holds_records;
use crate::small_file;
use crate::state::partition_metadata;
use crate::volume::Volume;

/// In a partition's directory: why it is offline. While it is there, the log is not opened.
pub(crate) const OFFLINE: &str = "millrace-offline";

/// Partitions whose logs are replayed at the same time: what a partition costs is the flush of its
/// segment, and many flushes at once share the file system's commits.
const CONCURRENT_PARTITION_COUNT_MAX: usize = 64;

/// What a replay did.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Where the logs end that were opened: everything below is flushed in their segments.
    pub ends: BTreeMap<TopicPartition, Offset>,
    /// Bytes of batches appended.
    pub appended_bytes: u64,
    /// Partitions that lack what was durable, and why. They stay offline.
    pub offline: Vec<(TopicPartition, String)>,
    /// What the journals lack, whoever it belonged to.
    pub damages: Vec<Damage>,
    /// Where the journal's files are now, where a partition is offline: nothing in them was thrown away.
    pub set_aside: Vec<PathBuf>,
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// What became of one partition's records.
enum Outcome {
    InSegments { end: Offset, appended_bytes: u64 },
    Offline { reason: String },
}

/// Replays the journals of `directory`, which is locked and has no open log. On return they are void,
/// or set aside where a partition is offline. `volume` has no journal. Errors leave the journals as they
/// were: the next start replays them again.
pub(crate) async fn replay(
    directory: &LogDirectory,
    volume: &Rc<Volume>,
    config_of: &dyn Fn(&TopicPartition) -> LogConfig,
    on_progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Replayed, StorageError> {
    let journals = Replay::read(directory.path()).await?;
    let mut replayed = Replayed { damages: journals.damages().to_vec(), ..Replayed::default() };
    if guard::exists(directory.path()).await? {
        replayed.offline = known_offline(directory).await?;
    }
    let keys: Vec<_> = journals.partitions().collect();
    let (names, unnamed) =
        if keys.is_empty() { Default::default() } else { names(directory).await? };
    let mut maybe_theirs = BTreeSet::new();
    let mut is_everything_in_segments = replayed.damages.is_empty();
    let mut progress = ReplayProgress { done_bytes: 0, total_bytes: journals.size_bytes() };
    let journals = Rc::new(journals);
    let (tasks, turns) = (Group::new(), Budget::new(CONCURRENT_PARTITION_COUNT_MAX));
    let done = Rc::new(RefCell::new(Vec::new()));
    for (topic_id, partition) in keys {
        let mut of_id = names.get(&(topic_id, partition));
        if reactor::planted!(replay_by_name) {
            let mut by_name = names.values().filter(|name| name.partition == partition);
            of_id = of_id.or_else(|| by_name.next());
        }
        let Some(name) = of_id else {
            // Its deletion, or another topic of its name, came after; unless a partition cannot say
            // whose it is.
            reactor::mark!(replay_partition_gone);
            let alike = unnamed.iter().filter(|name| name.partition == partition);
            maybe_theirs.extend(alike.cloned());
            progress.done_bytes += size_bytes(journals.records(topic_id, partition));
            continue;
        };
        let log = LogReplay {
            key: (topic_id, partition),
            directory: directory.partition_path(name),
            opening: directory.opening(name),
            config: config_of(name),
            volume: volume.clone(),
            journals: journals.clone(),
        };
        let (turn, name, done) = (turns.take(1).await, name.clone(), done.clone());
        tasks.spawn(async move {
            let _turn = turn;
            let outcome = log.run().await;
            done.borrow_mut().push((name, outcome));
        });
        progress.done_bytes += size_bytes(journals.records(topic_id, partition));
        on_progress(progress);
    }
    tasks.ended().await;
    let mut outcomes = done.take();
    outcomes.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, outcome) in outcomes {
        match outcome? {
            Outcome::InSegments { end, appended_bytes } => {
                replayed.appended_bytes += appended_bytes;
                replayed.ends.insert(name, end);
            }
            Outcome::Offline { reason } => {
                take_offline(&directory.partition_path(&name), &reason).await?;
                is_everything_in_segments = false;
                replayed.offline.retain(|(known, _)| *known != name);
                replayed.offline.push((name, reason));
            }
        }
    }
    volume.close().await?;
    let Some(journals) = Rc::into_inner(journals) else {
        unreachable!("the tasks that shared the journals have ended");
    };
    for name in maybe_theirs {
        let reason = "its partition.metadata is missing or invalid, and the journal has records that \
                      may be its";
        take_offline(&directory.partition_path(&name), reason).await?;
        is_everything_in_segments = false;
        replayed.offline.retain(|(known, _)| *known != name);
        replayed.offline.push((name, reason.to_owned()));
    }
    if is_everything_in_segments {
        journals.void().await?;
    } else {
        replayed.set_aside = journals.set_aside().await?;
    }
    Ok(replayed)
}

type Names = BTreeMap<(TopicId, PartitionId), TopicPartition>;

/// Whose partition directories are whose, by `partition.metadata`; and those that cannot tell.
async fn names(directory: &LogDirectory) -> Result<(Names, Vec<TopicPartition>), StorageError> {
    let (mut names, mut unnamed) = (Names::new(), Vec::new());
    for name in directory.partitions() {
        let path = directory.partition_path(name);
        match partition_metadata::read(&path).await {
            Ok(Some(topic_id)) => {
                names.insert((topic_id, name.partition), name.clone());
            }
            // One without records is a creation that a crash has cut short.
            Ok(None) if !holds_records(&path).await? => {}
            Ok(None) | Err(StorageError::Malformed { .. }) => unnamed.push(name.clone()),
            Err(error) => return Err(error),
        }
    }
    Ok((names, unnamed))
}

/// Partitions that an earlier replay took offline.
async fn known_offline(
    directory: &LogDirectory,
) -> Result<Vec<(TopicPartition, String)>, StorageError> {
    let mut offline = Vec::new();
    for name in directory.partitions() {
        if let Some(reason) = reason_offline(&directory.partition_path(name)).await? {
            offline.push((name.clone(), reason));
        }
    }
    Ok(offline)
}

/// One partition's part of a replay.
struct LogReplay {
    key: (TopicId, PartitionId),
    directory: PathBuf,
    opening: Opening,
    config: LogConfig,
    volume: Rc<Volume>,
    journals: Rc<Replay>,
}

impl LogReplay {
    async fn run(self) -> Result<Outcome, StorageError> {
        let opening = self.opening.clone();
        let opened =
            PartitionLog::open(&self.volume, &self.directory, self.config.clone(), opening);
        let log = match opened.await {
            Ok(log) => log,
            Err(
                error @ (StorageError::CorruptBatch { .. }
                | StorageError::LostRecords { .. }
                | StorageError::Malformed { .. }),
            ) => {
                return Ok(Outcome::Offline { reason: error.to_string() });
            }
            Err(StorageError::PartitionOffline { reason, .. }) => {
                return Ok(Outcome::Offline { reason });
            }
            Err(error) => return Err(error),
        };
        let mut appended_bytes = 0;
        let mut outcome = None;
        for record in self.journals.records(self.key.0, self.key.1) {
            match record.verdict(log.log_end_offset()) {
                Verdict::Skip => reactor::mark!(replay_record_skipped),
                Verdict::Drop => reactor::mark!(replay_record_dropped),
                Verdict::Append { from } => match self.append(&log, record, from).await? {
                    Some(size_bytes) => appended_bytes += size_bytes,
                    None => outcome = Some(corrupt(&log, record)),
                },
                Verdict::Corrupt => outcome = Some(corrupt(&log, record)),
            }
            if outcome.is_some() {
                break;
            }
        }
        log.settle().await?;
        if appended_bytes > 0 {
            let log = self.directory.display();
            tracing::debug!(%log, appended_bytes, "replayed from the journal");
        }
        let end = log.log_end_offset();
        Ok(outcome.unwrap_or(Outcome::InSegments { end, appended_bytes }))
    }

    /// Appends the batches of `record` from the log's end `from` on. `None` where they do not continue
    /// the log.
    async fn append(
        &self,
        log: &PartitionLog,
        record: &ReplayRecord,
        from: Offset,
    ) -> Result<Option<u64>, StorageError> {
        let body = match self.journals.body(record).await {
            Ok(body) => body,
            Err(StorageError::Malformed { .. }) => return Ok(None),
            // It may be there: nothing is decided of a partition while its records cannot be read.
            Err(error) => return Err(error),
        };
        reactor::mark!(replay_record_appended);
        let mut appended_bytes = 0;
        for batch in Batches::new(body) {
            let Ok(batch) = batch else {
                return Ok(None);
            };
            if batch.header().base_offset < from {
                // The segment had part of the record already.
                reactor::mark!(replay_record_in_part);
                continue;
            }
            if batch.header().base_offset != log.log_end_offset() || batch.verify_crc().is_err() {
                return Ok(None);
            }
            log.ready_for_replay().await?;
            log.append_replayed(&batch)?;
            appended_bytes += batch.size_bytes() as u64;
        }
        Ok((log.log_end_offset() == record.share.next_offset).then_some(appended_bytes))
    }
}

/// What was durable is missing. The log stays as it is, but for what continued it.
fn corrupt(log: &PartitionLog, record: &ReplayRecord) -> Outcome {
    reactor::mark!(replay_found_a_gap);
    let share = &record.share;
    Outcome::Offline {
        reason: format!(
            "the journal has records {}..{} of it, and says that all below {} was durable, but its \
             segments end at {}",
            share.base_offset,
            share.next_offset,
            share.durable_end_offset,
            log.log_end_offset()
        ),
    }
}

fn size_bytes(records: &[ReplayRecord]) -> u64 {
    records.iter().map(ReplayRecord::size_bytes).sum()
}

/// Leaves word in a partition's directory that it is not to be opened, durably. Who tries to is told why.
async fn take_offline(path: &Path, reason: &str) -> Result<(), StorageError> {
    let path = path.join(OFFLINE);
    reactor::directory::write_atomic(&path, reason.as_bytes())
        .await
        .map_err(StorageError::io("write", &path))
}

/// Why an earlier replay took the partition in `path` offline, if one did.
pub(crate) async fn reason_offline(path: &Path) -> Result<Option<String>, StorageError> {
    small_file::read_text(&path.join(OFFLINE), "reason").await
}
