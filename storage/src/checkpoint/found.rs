//! What the checkpoint files of a log directory say together, at start.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
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
    /// Of what a file holds, something cannot be read: it may have been newer than what is found.
    is_damaged: bool,
}

impl Found {
    /// Takes in an entry of a partition that exists; returns whether it is one.
    fn add(
        &mut self,
        directory: &Path,
        frame: &Frame,
        exists: &impl Fn(&TopicPartition) -> bool,
    ) -> bool {
        let entry = match frame.decode() {
            Ok(entry) => entry,
            Err(reason) => {
                tracing::warn!(directory = %directory.display(), reason, "skipping an entry");
                self.is_damaged = true;
                return false;
            }
        };
        let name = TopicPartition { topic: entry.topic.clone(), partition: frame.key.1 };
        let exists = exists(&name);
        if exists {
            self.entries.entry(name).or_default().push(Arc::new(entry));
        }
        exists
    }

    /// Whether there may have been newer entries, as those of truncations that take claims back.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    pub(crate) fn of(&self, partition: &TopicPartition) -> Vec<Arc<PartitionCheckpoint>> {
        self.entries.get(partition).cloned().unwrap_or_default()
    }
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
/// A damaged file counts up to its damage: an older entry, or none, costs a longer scan, and what it
/// says to have been flushed may be cut off since.
pub(crate) async fn read(
    directory: &Path,
    names: &[String],
    exists: impl Fn(&TopicPartition) -> bool,
) -> Result<Found, StorageError> {
    let names: Vec<&String> = names.iter().filter(|name| is_checkpoint(name)).collect();
    let Newest { frames, frame_count, is_damaged } = newest(directory, &names).await?;
    let mut found = Found { is_damaged, ..Found::default() };
    let mut live: Vec<Frame> = Vec::new();
    for frame in frames.into_values() {
        let is_live = found.add(directory, &frame, &exists);
        live.extend(is_live.then_some(frame));
    }
    if frame_count - live.len() > (live.len() / 4).max(STALE_COUNT_MAX) {
        replace(directory, &names, &live).await?;
    }
    Ok(found)
}

/// As [`read`], and changes nothing.
pub(crate) async fn peek(directory: &Path, names: &[String]) -> Result<Found, StorageError> {
    let names: Vec<&String> = names.iter().filter(|name| is_checkpoint(name)).collect();
    let Newest { frames, is_damaged, .. } = newest(directory, &names).await?;
    let mut found = Found { is_damaged, ..Found::default() };
    for frame in frames.into_values() {
        found.add(directory, &frame, &|_| true);
    }
    Ok(found)
}

/// Where a checkpoint file is damaged, and how.
pub(crate) async fn damage(path: &Path) -> Result<Option<(u64, &'static str)>, StorageError> {
    Ok(file::parse(read_bytes(path).await?.unwrap_or_default()).1)
}

/// What some files hold together.
struct Newest {
    /// The newest of each key.
    frames: BTreeMap<Key, Frame>,
    /// Of all.
    frame_count: usize,
    is_damaged: bool,
}

async fn newest(directory: &Path, names: &[&String]) -> Result<Newest, StorageError> {
    let mut newest = Newest { frames: BTreeMap::new(), frame_count: 0, is_damaged: false };
    for name in names {
        let (frames, is_damaged) = read_file(&directory.join(name)).await?;
        newest.frame_count += frames.len();
        newest.is_damaged |= is_damaged;
        frames.into_iter().for_each(|frame| keep_newest(&mut newest.frames, frame));
        reactor::task::yield_now().await;
    }
    Ok(newest)
}

/// One file instead of all: it is durable before the others go.
async fn replace(directory: &Path, old: &[&String], live: &[Frame]) -> Result<(), StorageError> {
    let (base, _) = names(0);
    write_file(&directory.join(&base), live.iter()).await?;
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
