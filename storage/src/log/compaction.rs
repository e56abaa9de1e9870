//! Compacting a log: its keys are gathered from what is dirty, then its segments are written anew, one
//! group after the other, from the oldest on.
//!
//! Beside appends and reads, in small turns: other tasks of the core get theirs after each batch. Until
//! a group's new segment is whole and durable the log has the old ones, so that whatever goes wrong
//! costs the round alone; [`super::replace`] then puts it in their place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use protocol::model::{Offset, ProducerId, TimestampMs};
use protocol::record_batch::{BatchHeader, HEADER_SIZE_BYTES, RecordBatch, RecordError};
use reactor::Instant;
use reactor::file::{File, Open};

use super::flush::write_atomic;
use super::replace::Replacement;
use super::state::{Inner, State};
use crate::compaction::{
    Cleaned, Cleaner, CompactionMemory, Dirty, Extent, KeyMap, LastOfProducer, Lent, MapFull,
    Output, Pace, Round, TransactionsSeen, bound, dirty, groups, marker_of,
};
use crate::error::StorageError;
use crate::index::transaction_index;
use crate::recovery::remove;
use crate::segment::{
    CLEANED, FileKind, ScanEnd, Scanned, Scanner, SegmentFile, path_of, suffixed,
};

/// What a compaction may take.
pub struct Compaction<'a> {
    /// Memory for the keys of one round. What has no room is the next round's.
    pub map_size_bytes_max: usize,
    /// What the round holds is taken from it.
    pub memory: &'a CompactionMemory,
    pub pace: &'a Pace,
}

/// What a round of compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Below it the log is compacted now.
    pub first_dirty_offset: Offset,
    /// Keys of the dirty part.
    pub keys: usize,
    /// Bytes of the segments before and after.
    pub size_bytes_before: u64,
    pub size_bytes_after: u64,
    pub segments_before: usize,
    pub segments_after: usize,
}

/// Why a round goes no further.
enum Stop {
    /// Somebody else changes the log's files, or it is offline, closed or deleted.
    Ended,
    Failed(StorageError),
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Stop::Failed(error)
    }
}

/// A log's rolled segments, and how far it is clean and may be cleaned.
struct View {
    /// Those that are complete, in their order.
    rolled: Vec<Extent>,
    first_dirty: Offset,
    bound: Offset,
}

/// What the core checkpoint says of a log, durably.
#[derive(Clone, Copy)]
struct Claimed {
    active: Offset,
    log_start_offset: Offset,
}

/// What the first pass has found.
struct Keys<'a> {
    map: KeyMap,
    /// The map knows all keys below.
    mapped_end: Offset,
    memory: Lent<'a>,
}

impl Inner {
    /// How much of the log is dirty, if it is due to be compacted.
    pub(super) async fn compaction_due(
        self: &Rc<Self>,
        now: TimestampMs,
    ) -> Result<Option<f64>, StorageError> {
        if !self.is_cleanable() {
            return Ok(None);
        }
        let view = self.compaction_view(now, None).await?;
        let state = self.state.borrow();
        let Dirty { ratio, is_due } =
            dirty(&view.rolled, view.first_dirty, view.bound, &state.config, now);
        Ok(is_due.then_some(ratio))
    }

    fn is_cleanable(&self) -> bool {
        let state = self.state.borrow();
        state.config.cleanup_compacts && !state.is_uncleanable && self.check_open(&state).is_ok()
    }

    /// One round. `None` where it ended early, since something else was to be done with the log's files,
    /// or for want of space: what was replaced until then stays so.
    pub(super) async fn compact(
        self: &Rc<Self>,
        now: TimestampMs,
        how: &Compaction<'_>,
    ) -> Result<Option<Compacted>, StorageError> {
        if !self.is_cleanable() {
            return Ok(None);
        }
        let Some(_running) = self.compaction.enter() else {
            return Ok(None);
        };
        let error = match self.run_round(now, how).await {
            Ok(compacted) => return Ok(Some(compacted)),
            Err(Stop::Ended) => return Ok(None),
            Err(Stop::Failed(error)) => error,
        };
        if self.check_open(&self.state.borrow()).is_err() {
            return Ok(None);
        }
        if error.is_full() {
            let log = self.directory.display();
            tracing::warn!(%log, %error, "not compacted: there is too little space");
            return Ok(None);
        }
        reactor::mark!(log_uncleanable);
        self.state.borrow_mut().is_uncleanable = true;
        tracing::error!(
            log = %self.directory.display(), %error,
            "cannot be compacted, and is left as it is until the next start"
        );
        Err(error)
    }

    async fn run_round(
        self: &Rc<Self>,
        now: TimestampMs,
        how: &Compaction<'_>,
    ) -> Result<Compacted, Stop> {
        // A start goes on from the segment that the entry speaks of: that one stays as it is, until
        // another entry speaks of a later one.
        let claimed = self.write_own_checkpoint().await?;
        self.remove_cleaned().await?;
        let view = self.compaction_view(now, claimed).await?;
        let View { first_dirty, bound, .. } = view;
        let Keys { map, mapped_end, memory } = self.map_keys(&view, how).await?;
        if mapped_end <= first_dirty {
            let compacted = Compacted { first_dirty_offset: first_dirty, ..Compacted::default() };
            return Ok(compacted);
        }
        let (delete_retention_ms, group_counts, segments) = {
            let state = self.state.borrow();
            let below = view.rolled.iter().filter(|it| it.base_offset < mapped_end);
            let segments: Vec<Extent> = below.copied().collect();
            (state.config.delete_retention_ms, groups(&segments, &state.config), segments)
        };
        let mut compacted = Compacted {
            first_dirty_offset: mapped_end,
            keys: map.len(),
            segments_before: segments.len(),
            segments_after: group_counts.len(),
            ..Compacted::default()
        };
        let limits = memory.limits();
        let round = Round { map, mapped_end, bound, now, delete_retention_ms, limits };
        let mut cleaner = Cleaner {
            round: &round,
            transactions: TransactionsSeen::default(),
            producers: BTreeMap::new(),
        };
        let mut rest = &segments[..];
        for count in group_counts {
            let (group, behind) = rest.split_at(count);
            rest = behind;
            let size_bytes: u64 = group.iter().map(|it| u64::from(it.size_bytes)).sum();
            compacted.size_bytes_before += size_bytes;
            compacted.size_bytes_after += self.compact_group(&mut cleaner, group, how).await?;
        }
        self.state.borrow_mut().first_dirty_offset = mapped_end;
        self.write_own_checkpoint().await?;
        Ok(compacted)
    }

    /// Has the core checkpoint speak of the log as it is, whose segments before the active one are complete
    /// then. `None` for a log that no checkpoint speaks of.
    async fn write_own_checkpoint(self: &Rc<Self>) -> Result<Option<Claimed>, StorageError> {
        let Some(entry) = self.new_checkpoint_entry().await? else {
            return Ok(None);
        };
        let claimed = entry.log.as_ref().map(|log| Claimed {
            active: Offset(log.segment.base_offset),
            log_start_offset: Offset(entry.log_start_offset),
        });
        let Some(checkpoint) = self.volume.checkpoint() else {
            return Ok(claimed);
        };
        let written = checkpoint.write(&[entry]).await;
        if written.is_err() {
            // What the entry claims is not on disk: the next one is to be written.
            self.state.borrow_mut().checkpointed = None;
        }
        written.map(|()| claimed)
    }

    /// The log as compaction sees it, within what is `claimed` of it: what it must know of timestamps has
    /// been read.
    async fn compaction_view(
        self: &Rc<Self>,
        now: TimestampMs,
        claimed: Option<Claimed>,
    ) -> Result<View, StorageError> {
        let before = claimed.map(|claimed| claimed.active);
        let (segments, first_dirty, config) = {
            let state = self.state.borrow();
            self.check_open(&state)?;
            (state.rolled_extents(before), state.first_dirty(claimed), state.config.clone())
        };
        for segment in segments.iter().filter(|it| it.next_offset > first_dirty) {
            if config.min_compaction_lag_ms > 0 && segment.largest_timestamp.is_none() {
                self.learn_largest_timestamp(segment.base_offset).await?;
            }
            let looks_at_first = config.max_compaction_lag_ms < i64::MAX as u64;
            if looks_at_first && segment.first_timestamp.is_none() {
                self.learn_first_timestamp(segment.base_offset).await?;
            }
        }
        let state = self.state.borrow();
        self.check_open(&state)?;
        let (rolled, first_dirty) = (state.rolled_extents(before), state.first_dirty(claimed));
        let limit = rolled.last().map_or(state.log_start_offset, |last| last.next_offset);
        let limit = limit.min(state.last_stable_offset());
        let dirty = rolled.iter().filter(|it| it.next_offset > first_dirty);
        let dirty: Vec<Extent> = dirty.copied().collect();
        let bound = bound(limit, &dirty, &config, now).max(first_dirty);
        Ok(View { rolled, first_dirty, bound })
    }

    /// Reads the largest timestamp of a rolled segment's first batch.
    async fn learn_first_timestamp(&self, segment: Offset) -> Result<(), StorageError> {
        let Some((file, path)) = self.open_source(segment).await? else {
            return Ok(());
        };
        let bytes = file.read_range(0..HEADER_SIZE_BYTES as u64).await;
        let bytes = bytes.map_err(StorageError::io("read", &path))?;
        let first = BatchHeader::parse(&bytes).map(|header| header.max_timestamp);
        if let Some(segment) = self.state.borrow_mut().segments.get_mut(&segment) {
            // What is no batch has no time; who reads it says so.
            segment.first_timestamp = Some(first.unwrap_or(TimestampMs(-1)));
        }
        Ok(())
    }

    /// The file of a rolled segment; `None` where it is none of the log's any more.
    async fn open_source(&self, segment: Offset) -> Result<Option<(File, PathBuf)>, StorageError> {
        self.wait_replaced(segment).await;
        let path = path_of(&self.directory, FileKind::Log, segment);
        let opened = File::open(&path, Open::Existing).await;
        if !self.state.borrow().segments.contains_key(&segment) {
            return Ok(None);
        }
        let file = opened.map_err(StorageError::io("open", &path))?;
        Ok(Some((file, path)))
    }

    /// The first pass: the latest offset of each key from the first dirty offset on.
    async fn map_keys<'a>(&self, view: &View, how: &Compaction<'a>) -> Result<Keys<'a>, Stop> {
        let View { first_dirty, bound, .. } = *view;
        let mut secret = [0; 16];
        reactor::random::fill(&mut secret);
        // No log has more keys than offsets.
        let key_count = (bound.0 - first_dirty.0).max(0) as u64;
        let map_size_bytes_max = how.map_size_bytes_max.min(how.memory.keys_size_bytes_max());
        let map = KeyMap::new(key_count, map_size_bytes_max, secret);
        let memory = how.memory.lend(map.size_bytes());
        let mut keys = Keys { map, mapped_end: first_dirty, memory };
        let mut transactions = TransactionsSeen::default();
        let within = |it: &&Extent| it.next_offset > first_dirty && it.base_offset < bound;
        for segment in view.rolled.iter().filter(within) {
            let (from, to) = (segment.base_offset, segment.next_offset);
            transactions.expect(&self.aborted_transactions(from, to).await?);
            let mut source = self.read_source(segment).await?;
            while let Some(scanned) = self.next(&mut source, how).await? {
                let began = reactor::now();
                let header = scanned.batch.header();
                if header.next_offset() > bound {
                    // Of an open transaction perhaps, or not whole on all replicas: nobody knows yet
                    // whether it counts. Perhaps it is the first.
                    return Ok(keys);
                }
                let is_full = map_batch(&mut keys, &mut transactions, &scanned.batch, first_dirty)
                    .map_err(|error| self.unreadable(&scanned, segment, error))?;
                if is_full {
                    reactor::mark!(key_map_full);
                    if keys.mapped_end <= first_dirty {
                        let (path, what) = (self.directory.clone(), "log to compact");
                        let reason =
                            "one batch has more keys than log.cleaner.dedupe.buffer.size takes";
                        return Err(StorageError::Malformed { path, what, reason }.into());
                    }
                    return Ok(keys);
                }
                keys.mapped_end = keys.mapped_end.max(header.next_offset());
                self.give_way(began, how).await?;
            }
            keys.mapped_end = keys.mapped_end.max(to.min(bound));
        }
        Ok(keys)
    }

    async fn read_source(&self, segment: &Extent) -> Result<Scanner, Stop> {
        self.goes_on()?;
        let Some((file, path)) = self.open_source(segment.base_offset).await? else {
            return Err(Stop::Ended);
        };
        Ok(Scanner::new(file, path, 0, segment.size_bytes, segment.base_offset))
    }

    async fn next(
        &self,
        source: &mut Scanner,
        how: &Compaction<'_>,
    ) -> Result<Option<Scanned>, Stop> {
        match source.next().await? {
            Ok(scanned) => {
                self.spend(scanned.batch.size_bytes() as u64, how).await?;
                Ok(Some(scanned))
            }
            Err(ScanEnd::Whole) => Ok(None),
            Err(ScanEnd::Bad(error)) => {
                let position = u64::from(source.position());
                let path = source.path().to_owned();
                Err(StorageError::CorruptBatch { path, position, source: error }.into())
            }
        }
    }

    /// Others get their turn after what was done since `began`.
    async fn give_way(&self, began: Instant, how: &Compaction<'_>) -> Result<(), Stop> {
        let worked = reactor::now() - began;
        self.compaction.unless_closing(how.pace.give_way(worked)).await;
        self.goes_on()
    }

    async fn spend(&self, size_bytes: u64, how: &Compaction<'_>) -> Result<(), Stop> {
        self.compaction.unless_closing(how.pace.spend(size_bytes)).await;
        self.goes_on()
    }

    fn goes_on(&self) -> Result<(), Stop> {
        let is_open = self.check_open(&self.state.borrow()).is_ok();
        if is_open && !self.compaction.is_closing() { Ok(()) } else { Err(Stop::Ended) }
    }

    fn unreadable(&self, scanned: &Scanned, segment: &Extent, error: RecordError) -> Stop {
        let path = path_of(&self.directory, FileKind::Log, segment.base_offset);
        let position = u64::from(scanned.position);
        Stop::Failed(match error {
            RecordError::Batch(source) => StorageError::CorruptBatch { path, position, source },
            error => {
                tracing::error!(segment = %path.display(), position, %error, "a batch is unreadable");
                let (what, reason) = ("segment", "the records of a batch cannot be read");
                StorageError::Malformed { path, what, reason }
            }
        })
    }

    /// Writes one segment for those of `group`, and puts it in their place. Returns its size in bytes.
    async fn compact_group(
        self: &Rc<Self>,
        cleaner: &mut Cleaner<'_>,
        group: &[Extent],
        how: &Compaction<'_>,
    ) -> Result<u64, Stop> {
        let [first, ..] = group else {
            return Ok(0);
        };
        let size_bytes: u64 = group.iter().map(|it| u64::from(it.size_bytes)).sum();
        if !self.volume.space().has_room(size_bytes).await {
            return Err(StorageError::Full { directory: self.directory.clone() }.into());
        }
        let written = self.write_group(cleaner, group, first.base_offset, how).await;
        let stop = match written {
            Ok(replacement) => {
                let size_bytes = u64::from(replacement.size_bytes);
                // Where it fails its files stay as they are: they tell a start how far it has come.
                if self.replace(replacement).await? {
                    return Ok(size_bytes);
                }
                Stop::Ended
            }
            Err(stop) => stop,
        };
        self.remove_cleaned().await?;
        Err(stop)
    }

    /// The second pass over `group`: what is left of its batches, durable under another name.
    async fn write_group(
        &self,
        cleaner: &mut Cleaner<'_>,
        group: &[Extent],
        base_offset: Offset,
        how: &Compaction<'_>,
    ) -> Result<Replacement, Stop> {
        let interval_bytes = {
            let state = self.state.borrow();
            cleaner.producers = state.last_of_producers();
            state.config.index_interval_bytes
        };
        let path = |kind| suffixed(&path_of(&self.directory, kind, base_offset), CLEANED);
        let mut output = Output::create(path(FileKind::Log), base_offset, interval_bytes).await?;
        let last = group.iter().rposition(|it| it.size_bytes > 0);
        for (index, segment) in group.iter().enumerate() {
            let (from, to) = (segment.base_offset, segment.next_offset);
            let aborted = self.aborted_transactions(from, to).await?;
            cleaner.transactions.expect(&aborted);
            let mut source = self.read_source(segment).await?;
            while let Some(scanned) = self.next(&mut source, how).await? {
                let began = reactor::now();
                let ends = last == Some(index) && source.position() == segment.size_bytes;
                let cleaned = cleaner
                    .clean(&scanned.batch, ends)
                    .map_err(|error| self.unreadable(&scanned, segment, error))?;
                self.give_way(began, how).await?;
                let written_bytes = match &cleaned {
                    Cleaned::Gone => 0,
                    Cleaned::AsItWas => output.push(scanned.batch.bytes()).await?,
                    Cleaned::Rewritten(batch) => output.push(batch).await?,
                };
                self.spend(written_bytes, how).await?;
            }
        }
        let (file, size_bytes, indexes) = output.finish().await?;
        let aborted = cleaner.transactions.take_indexed();
        for (kind, bytes) in [
            (FileKind::OffsetIndex, indexes.offsets.encode()),
            (FileKind::TimeIndex, indexes.times.encode()),
            (FileKind::TransactionIndex, transaction_index::encode(&aborted)),
        ] {
            // There is no transaction index without a transaction.
            if kind != FileKind::TransactionIndex || !bytes.is_empty() {
                write_atomic(&path(kind), &bytes).await?;
            }
        }
        Ok(Replacement { segments: group.to_vec(), file, size_bytes, indexes, aborted })
    }

    /// Removes what does not come to replace anything: a start would take it for a sign that what
    /// comes after it is not complete, and take that back.
    async fn remove_cleaned(&self) -> Result<(), StorageError> {
        let entries = reactor::directory::list(&self.directory).await;
        for entry in entries.map_err(StorageError::io("list", &self.directory))? {
            if matches!(SegmentFile::parse(&entry.name), SegmentFile::Cleaned(_)) {
                remove(&self.directory.join(&entry.name)).await?;
            }
        }
        Ok(())
    }
}

impl State {
    /// Where the log's dirty part begins. Source: Kafka's `LogCleanerManager.cleanableOffsets`.
    /// A log start that a crash may forget does not count: what it would bring back has to be looked at.
    fn first_dirty(&self, claimed: Option<Claimed>) -> Offset {
        let start = claimed.map_or(self.log_start_offset, |claimed| claimed.log_start_offset);
        self.first_dirty_offset.max(start)
    }

    /// The segments before the active one, before the first that is not complete yet, and before `before`.
    fn rolled_extents(&self, before: Option<Offset>) -> Vec<Extent> {
        let end = self.unsealed.keys().next().copied().unwrap_or(self.active().base_offset);
        let end = before.map_or(end, |before| before.min(end));
        let rolled = self.segments.range(..end).map(|(&base_offset, segment)| Extent {
            base_offset,
            next_offset: segment.next_offset,
            size_bytes: segment.size_bytes,
            largest_timestamp: segment.largest_timestamp(),
            first_timestamp: segment.first_timestamp,
        });
        rolled.collect()
    }

    fn last_of_producers(&self) -> BTreeMap<ProducerId, LastOfProducer> {
        let last_of = |producer: &crate::state::Producer| LastOfProducer {
            last_data_offset: producer.batches.last().map(|batch| batch.last_offset),
            producer_epoch: producer.producer_epoch,
        };
        self.producers.iter().map(|(&id, producer)| (id, last_of(producer))).collect()
    }
}

/// Takes the keys of a batch from `first_dirty` on into `keys`. Returns whether the map has no room for one.
fn map_batch(
    keys: &mut Keys<'_>,
    transactions: &mut TransactionsSeen,
    batch: &RecordBatch,
    first_dirty: Offset,
) -> Result<bool, RecordError> {
    let header = batch.header();
    let mut records = batch.stream(keys.memory.limits())?;
    if header.is_control() {
        let first = records.next().transpose()?;
        transactions.marker(header, marker_of(first.as_ref()));
        return Ok(false);
    }
    if transactions.batch(header) || header.next_offset() <= first_dirty {
        return Ok(false);
    }
    for record in records {
        let record = record?;
        let Some(key) = record.key.filter(|_| record.offset >= first_dirty) else {
            continue;
        };
        if keys.map.put(&key, record.offset) == Err(MapFull) {
            return Ok(true);
        }
    }
    Ok(false)
}
