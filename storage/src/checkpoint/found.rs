//! What the checkpoint files of a log directory say together, at start.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use protocol::model::PartitionId;
use reactor::file::{File, Open};

use super::entry::PartitionCheckpoint;
use super::file::{self, Frame, Key};
use crate::error::StorageError;
use crate::log_directory::TopicPartition;

const PREFIX: &str = "millrace-checkpoint-";

/// Entries that are no partition's any more above which the files are written anew, next to a
/// quarter of all: leftovers cost a start little.
const STALE_COUNT_MAX: usize = 64;

/// The newest entries of all partitions.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By name: of several incarnations of a topic, each has its own.
    entries: BTreeMap<TopicPartition, Vec<Arc<PartitionCheckpoint>>>,
}

impl Found {
    fn new(entries: Vec<PartitionCheckpoint>) -> Found {
        let mut found = Found::default();
        for entry in entries {
            found.entries.entry(name_of(&entry)).or_default().push(Arc::new(entry));
        }
        found
    }

    pub(crate) fn of(&self, partition: &TopicPartition) -> Vec<Arc<PartitionCheckpoint>> {
        self.entries.get(partition).cloned().unwrap_or_default()
    }
}

fn name_of(entry: &PartitionCheckpoint) -> TopicPartition {
    TopicPartition { topic: entry.topic.clone(), partition: PartitionId(entry.partition) }
}

/// The names of the files of one core: its base and its changes.
pub(super) fn names(core: u32) -> (String, String) {
    (format!("{PREFIX}{core}"), format!("{PREFIX}{core}-changes"))
}

pub(crate) fn is_checkpoint(name: &str) -> bool {
    name.starts_with(PREFIX) && !name.ends_with(".tmp")
}

/// Reads the checkpoint files among `names`, those in `directory`. `exists` says which partitions
/// are there. Where too much of what the files hold is stale, they are replaced by one.
///
/// A damaged file counts up to its damage, and may have held newer entries, as those of truncations
/// that take claims back: so all files together make no claims then. They are replaced by one that
/// makes none either, or the next to write a file would hide the damage from the start after this.
pub(crate) async fn read(
    directory: &Path,
    names: &[String],
    exists: impl Fn(&TopicPartition) -> bool,
) -> Result<Found, StorageError> {
    let names: Vec<&String> = names.iter().filter(|name| is_checkpoint(name)).collect();
    let Newest { mut entries, frame_count, is_damaged } = newest(directory, &names).await?;
    entries.retain(|entry| exists(&name_of(entry)));
    let stale_count = frame_count - entries.len();
    if is_damaged || stale_count > (entries.len() / 4).max(STALE_COUNT_MAX) {
        replace(directory, &names, &entries).await?;
    }
    Ok(Found::new(entries))
}

/// As [`read`], and changes nothing.
pub(crate) async fn peek(directory: &Path, names: &[String]) -> Result<Found, StorageError> {
    let names: Vec<&String> = names.iter().filter(|name| is_checkpoint(name)).collect();
    newest(directory, &names).await.map(|newest| Found::new(newest.entries))
}

/// Where a checkpoint file is damaged, and how.
pub(crate) async fn damage(path: &Path) -> Result<Option<(u64, &'static str)>, StorageError> {
    Ok(file::parse(read_bytes(path).await?.unwrap_or_default()).1)
}

/// What some files hold together.
struct Newest {
    /// The newest of each incarnation of a partition; without their claims where something is damaged.
    entries: Vec<PartitionCheckpoint>,
    /// Of all.
    frame_count: usize,
    is_damaged: bool,
}

async fn newest(directory: &Path, names: &[&String]) -> Result<Newest, StorageError> {
    let mut frames = BTreeMap::new();
    let mut newest = Newest { entries: Vec::new(), frame_count: 0, is_damaged: false };
    for name in names {
        let (found, is_damaged) = read_file(&directory.join(name)).await?;
        newest.frame_count += found.len();
        newest.is_damaged |= is_damaged;
        found.into_iter().for_each(|frame| keep_newest(&mut frames, frame));
        reactor::task::yield_now().await;
    }
    for frame in frames.values() {
        match frame.decode() {
            Ok(entry) => newest.entries.push(entry),
            Err(reason) => {
                tracing::warn!(directory = %directory.display(), reason, "skipping an entry");
                newest.is_damaged = true;
            }
        }
    }
    if newest.is_damaged {
        newest.entries.iter_mut().for_each(PartitionCheckpoint::withdraw_claims);
    }
    Ok(newest)
}

/// One file instead of all: it is durable before the others go.
async fn replace(
    directory: &Path,
    old: &[&String],
    live: &[PartitionCheckpoint],
) -> Result<(), StorageError> {
    let (base, _) = names(0);
    let frames: Vec<Frame> = live.iter().map(Frame::encode).collect();
    write_file(&directory.join(&base), frames.iter()).await?;
    let others: Vec<String> =
        old.iter().filter(|name| ***name != base).map(|name| (*name).clone()).collect();
    discard(directory, &others).await
}

/// Removes the checkpoint files among `names`, durably.
pub(crate) async fn discard(directory: &Path, names: &[String]) -> Result<(), StorageError> {
    let mut removed = false;
    for name in names.iter().filter(|name| is_checkpoint(name)) {
        let path = directory.join(name);
        reactor::directory::remove_file(&path).await.map_err(StorageError::io("remove", &path))?;
        removed = true;
    }
    if removed {
        reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))?;
    }
    Ok(())
}

pub(super) fn keep_newest(frames: &mut BTreeMap<Key, Frame>, frame: Frame) {
    let is_newer = frames.get(&frame.key).is_none_or(|known| known.generation < frame.generation);
    if is_newer {
        frames.insert(frame.key, frame);
    }
}

/// The frames of a file, up to its first damage, and whether it has one; none where there is no file.
pub(super) async fn read_file(path: &Path) -> Result<(Vec<Frame>, bool), StorageError> {
    let Some(bytes) = read_bytes(path).await? else {
        return Ok((Vec::new(), false));
    };
    let (frames, damage) = file::parse(bytes);
    if let Some((position, reason)) = damage {
        tracing::warn!(
            path = %path.display(), position, reason,
            "the core checkpoint is damaged: what it does not tell is read from the logs"
        );
    }
    Ok((frames, damage.is_some()))
}

async fn read_bytes(path: &Path) -> Result<Option<Bytes>, StorageError> {
    let file = match File::open(path, Open::Existing).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("open", path)(error)),
    };
    file.read_range(0..file.size()).await.map(Some).map_err(StorageError::io("read", path))
}

/// Replaces a file, durably.
pub(super) async fn write_file<'a>(
    path: &Path,
    frames: impl ExactSizeIterator<Item = &'a Frame> + Clone,
) -> Result<(), StorageError> {
    let bytes = file::encode(frames);
    reactor::directory::write_atomic(path, &bytes).await.map_err(StorageError::io("write", path))
}
