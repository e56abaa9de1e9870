//! `PartitionLog`: one partition's records on one directory.

mod append;
mod checkpoint;
mod compaction;
mod compaction_gate;
mod flush;
mod lifecycle;
mod progress;
mod read;
mod replace;
mod retention;
mod room;
mod search;
mod start;
mod state;
mod submit;
mod transactions;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, ProducerId, TimestampMs, TopicId};
use protocol::record_batch::RecordBatch;

use crate::checkpoint::PartitionCheckpoint;
use crate::config::LogConfig;
use crate::error::{AppendError, RaiseLogStartError, ReadError, StorageError};
use crate::index::AbortedTransaction;
use crate::log_directory::STRAY_SUFFIX;
use crate::segment::Selection;
use crate::state::ActiveProducer;
use crate::volume::Volume;
pub use compaction::{Compacted, Compaction};
pub(crate) use state::Inner;
pub(crate) use submit::JournalShare;

/// What is known about a log's directory before it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The last stop was clean: the files end where the log ends, and nothing needs a scan.
    pub clean: bool,
    /// From `recovery-point-offset-checkpoint`: everything below is known to be flushed.
    pub recovery_point: Offset,
    /// From `log-start-offset-checkpoint`: `DeleteRecords` may have moved it into a segment.
    pub log_start_offset: Offset,
    /// Where the log ended, flushed, when this start had replayed the journal into it, or where a
    /// truncation has it end; else 0.
    pub replayed_end: Offset,
    /// From `cleaner-offset-checkpoint`: below it the log is compacted. Believed after a clean stop alone.
    pub first_dirty_offset: Offset,
    /// The core checkpoint's entries of the partition by name, one per incarnation of its topic.
    /// Where there are any, Kafka's checkpoints above are the older ones; after a clean stop its recovery
    /// point is as new, and makes up for an entry whose claims were withdrawn.
    pub checkpoints: Vec<Arc<PartitionCheckpoint>>,
}

/// Who made the records of an append, which says how far their producer's state is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer: epoch, sequence and duplicates are checked.
    Client,
    /// A coordinator or the controller of this cluster: epochs only.
    Coordinator,
}

/// How a leader appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendAsLeader {
    pub leader_epoch: LeaderEpoch,
    pub origin: Origin,
    /// Now, by the wall clock: it ages segments and producers, and stamps records where
    /// `log_append_time` is set.
    pub now: TimestampMs,
    /// `message.timestamp.type=LogAppendTime`: all records get `now`.
    pub log_append_time: bool,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The records have `base_offset..next_offset`. Not durable before
    /// [`PartitionLog::wait_durable`]`(next_offset)`.
    New { base_offset: Offset, next_offset: Offset },
    /// An idempotent producer's retry of a batch that has these offsets already.
    Duplicate { base_offset: Offset, next_offset: Offset, timestamp: TimestampMs },
}

/// Batches read, whole and in order.
#[derive(Clone, Debug, Default)]
pub struct ReadResult {
    /// Slices that make up the batches one after the other; each holds whole batches.
    pub slices: Vec<Bytes>,
    pub size_bytes: usize,
    /// Memory that the slices keep from being freed: they may be parts of something larger.
    pub pinned_bytes: usize,
    /// Base offset of the first batch, which may lie below the offset asked for.
    pub base_offset: Option<Offset>,
    /// The offset after the last batch; the offset asked for where nothing was read.
    pub next_offset: Offset,
}

impl ReadResult {
    /// The batches as one run of bytes: copied where they come from several slices.
    pub fn contiguous(&self) -> Bytes {
        read::contiguous(&self.slices, self.size_bytes)
    }
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Where an epoch ends in this log. Source: KIP-101, KIP-279.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch of this log that is not above the one asked for.
    pub leader_epoch: LeaderEpoch,
    pub end_offset: Offset,
}

/// One partition's log. Clones are one log; it belongs to the core that opened it.
///
/// `append` puts records into memory and returns at once; a task of the log writes and flushes them
/// behind, all that gathered meanwhile as one group. Only then does `durable_end_offset` move.
/// A failed write or flush takes the log offline: nothing is retried or acknowledged any more.
#[derive(Clone)]
pub struct PartitionLog(Rc<Inner>);

impl PartitionLog {
    /// Makes `directory`, which lies in `volume`, with an empty log whose first offset is 0. On return the directory and its
    /// `partition.metadata` are durable. A directory that holds records is refused and left as it is.
    pub async fn create(
        volume: &Rc<Volume>,
        directory: &Path,
        config: LogConfig,
        topic_id: TopicId,
    ) -> Result<PartitionLog, StorageError> {
        lifecycle::create(volume, directory, config, topic_id).await.map(PartitionLog)
    }

    /// Makes an empty log in `directory` that begins at `start`, in place of what lies there: a snapshot
    /// has all of it. On return it is durable; a crash before leaves a log that ends below `start`, or
    /// none. Never for a log of which a journal may hold records.
    pub async fn restart_at(
        volume: &Rc<Volume>,
        directory: &Path,
        config: LogConfig,
        topic_id: TopicId,
        start: Offset,
    ) -> Result<PartitionLog, StorageError> {
        lifecycle::restart_at(volume, directory, config, topic_id, start).await.map(PartitionLog)
    }

    /// Opens what is in `directory`. After an unclean stop it scans from the recovery point, cuts off
    /// the first batch that is not whole and all behind it, and rebuilds indexes and states.
    pub async fn open(
        volume: &Rc<Volume>,
        directory: &Path,
        config: LogConfig,
        opening: Opening,
    ) -> Result<PartitionLog, StorageError> {
        lifecycle::open(volume, directory, config, opening).await.map(PartitionLog)
    }

    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// From `partition.metadata`; absent where that file is.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.0.topic_id
    }

    pub fn set_config(&self, config: LogConfig) {
        self.0.state.borrow_mut().config = config;
    }

    /// Appends `batches`, which the caller has validated; they get the offsets from
    /// `log_end_offset` on and `leader_epoch`, set in the copy. Returns without waiting: the records
    /// are in memory and readable, not durable. Await [`PartitionLog::ready_for_append`] first, which
    /// bounds that memory.
    ///
    /// Errors change nothing. An idempotent producer's duplicate is no error (see [`Appended`]).
    pub fn append_as_leader(
        &self,
        batches: &[RecordBatch],
        how: AppendAsLeader,
    ) -> Result<Appended, AppendError> {
        self.0.append_as_leader(batches, how)
    }

    /// Appends a batch that the journal has kept, with its offset and leader epoch. It begins at the log
    /// end (asserted).
    pub(crate) fn append_replayed(&self, batch: &RecordBatch) -> Result<(), StorageError> {
        self.0.append_replayed(batch)
    }

    /// Waits while too much is in memory that is not on disk yet. What is replayed is never refused:
    /// it was accepted before.
    pub(crate) async fn ready_for_replay(&self) -> Result<(), StorageError> {
        self.0.ready_for_replay().await
    }

    /// Waits while too much is in memory that is not on disk yet, and until batches of `size_bytes`
    /// have room on disk. What is appended in the same turn has that room.
    ///
    /// Errors: `Full` while the disk is; the same call succeeds once space is freed.
    pub async fn ready_for_append(&self, size_bytes: usize) -> Result<(), StorageError> {
        self.0.ready_for_append(size_bytes).await
    }

    /// Waits until all below `until` is as durable as [`LogConfig::durability`] asks. Errors: `Offline`; `Truncated` where a truncation
    /// after this call cut below `until`; `Closed`.
    pub async fn wait_durable(&self, until: Offset) -> Result<(), StorageError> {
        self.0.wait_durable(until).await
    }

    /// `listener` is called with each new end of what may be acknowledged (see
    /// [`PartitionLog::acknowledgeable_end_offset`]), in the turn that moves it, and once more when the log goes offline. One listener; a second call replaces the first.
    pub fn on_durable(&self, listener: impl Fn(Result<Offset, StorageError>) + 'static) {
        *self.0.listener.borrow_mut() = Some(Rc::new(listener));
    }

    /// Resolves at the first append after this call.
    pub fn appended(&self) -> impl Future<Output = ()> + 'static + use<> {
        self.0.appended.notified()
    }

    /// Whole batches from the one that holds `from` on, up to `max_bytes` together and none that
    /// reaches beyond `upper_bound`. With `min_one_batch` the first is returned whatever its size.
    /// One call reads at most 1 MiB from disk beyond that first batch. Batches in memory are shared,
    /// not copied; batches from disk have had their CRC checked.
    ///
    /// Errors: `OffsetOutOfRange` unless `log_start_offset <= from <= log_end_offset`.
    pub async fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        upper_bound: Offset,
    ) -> Result<ReadResult, ReadError> {
        self.read_within(from, max_bytes, min_one_batch, upper_bound, usize::MAX).await
    }

    /// As [`PartitionLog::read`], with at most `buffer_size_bytes_max` for what comes from disk.
    ///
    /// Errors: `BufferTooSmall` where the first batch takes more; nothing was read.
    pub async fn read_within(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        upper_bound: Offset,
        buffer_size_bytes_max: usize,
    ) -> Result<ReadResult, ReadError> {
        let wanted = Selection { from, size_bytes_max: max_bytes, min_one_batch, upper_bound };
        self.0.read(wanted, buffer_size_bytes_max).await
    }

    /// As [`PartitionLog::read`], at once; `None` where it takes a disk to know.
    pub fn read_memory(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        upper_bound: Offset,
    ) -> Result<Option<ReadResult>, ReadError> {
        let wanted = Selection { from, size_bytes_max: max_bytes, min_one_batch, upper_bound };
        self.0.read_memory(wanted)
    }

    pub fn log_start_offset(&self) -> Offset {
        self.0.state.borrow().log_start_offset
    }

    /// The first offset that a client may read becomes `offset`; a log that begins there or later
    /// stays as it is. Returns whether it moved. What lies below is deleted later, in whole segments.
    ///
    /// Errors change nothing: `OffsetOutOfRange` above the high watermark (INV-1). Source: Kafka's
    /// `UnifiedLog.maybeIncrementLogStartOffset`.
    pub fn raise_log_start(&self, offset: Offset) -> Result<bool, RaiseLogStartError> {
        self.0.raise_log_start(offset)
    }

    /// As the replica said last with [`PartitionLog::set_high_watermark`]; before that the log start.
    pub fn high_watermark(&self) -> Offset {
        self.0.state.borrow().high_watermark
    }

    /// Below it every transaction is decided: the bound of `read_committed`, at most the high watermark.
    pub fn last_stable_offset(&self) -> Offset {
        self.0.state.borrow().last_stable_offset()
    }

    /// The aborted transactions of which a `read_committed` reader of `from..upper_bound` may meet
    /// records, in the order of their markers.
    pub async fn aborted_transactions(
        &self,
        from: Offset,
        upper_bound: Offset,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        self.0.aborted_transactions(from, upper_bound).await
    }

    /// Takes note of the replica's high watermark, below which alone anything is deleted. It never
    /// goes down (INV-9), but when the log is truncated.
    pub fn set_high_watermark(&self, offset: Offset) {
        self.0.state.borrow_mut().set_high_watermark(offset);
    }

    /// Below it the log is compacted: no key is there twice, but for what was too young then.
    pub fn first_dirty_offset(&self) -> Offset {
        self.0.state.borrow().first_dirty_offset
    }

    pub fn log_end_offset(&self) -> Offset {
        self.0.state.borrow().log_end_offset()
    }

    pub fn durable_end_offset(&self) -> Offset {
        self.0.state.borrow().progress.durable()
    }

    /// All below is as durable as [`LogConfig::durability`] asks: the durable end offset, or more.
    pub fn acknowledgeable_end_offset(&self) -> Offset {
        self.0.state.borrow().progress.acknowledgeable()
    }

    pub fn recovery_point(&self) -> Offset {
        self.0.state.borrow().recovery_point()
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        let state = self.0.state.borrow();
        state.segments.values().map(|segment| u64::from(segment.size_bytes)).sum()
    }

    /// The first record whose timestamp is at least `target`, by Kafka's ListOffsets.
    pub async fn offset_for_timestamp(
        &self,
        target: TimestampMs,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        self.0.offset_for_timestamp(target).await
    }

    /// The record with the largest timestamp, the first of several.
    pub async fn max_timestamp(&self) -> Result<Option<TimestampOffset>, StorageError> {
        self.0.max_timestamp().await
    }

    /// The producers whose sequences this log keeps, by id.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        let state = self.0.state.borrow();
        state.producers.iter().map(|(&id, producer)| producer.describe(id)).collect()
    }

    /// Whether the log has batches of the producer, and so checks the sequence of its next one.
    pub fn checks_sequences_of(&self, producer_id: ProducerId) -> bool {
        let state = self.0.state.borrow();
        state.producers.get(producer_id).is_some_and(|producer| !producer.batches.is_empty())
    }

    /// The epoch of the last batch.
    pub fn latest_leader_epoch(&self) -> Option<LeaderEpoch> {
        self.0.state.borrow().epochs.latest()
    }

    /// The epoch of the record at `offset`.
    pub fn leader_epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.0.state.borrow().epochs.at(offset)
    }

    /// Where `leader_epoch` ends, by Kafka's OffsetForLeaderEpoch; `None` for an epoch newer than the
    /// latest of this log.
    pub fn end_offset_for_epoch(&self, leader_epoch: LeaderEpoch) -> Option<EpochEnd> {
        let state = self.0.state.borrow();
        state.epochs.end_offset_for(leader_epoch, state.log_end_offset())
    }

    /// Cuts the log so that `offset` is the next; a batch that holds it is cut whole. Durable on
    /// return. Nothing may be appended meanwhile.
    pub async fn truncate_to(&self, offset: Offset) -> Result<(), StorageError> {
        self.0.truncate_to(offset).await
    }

    /// Deletes the oldest segments as the configuration says, below the high watermark and below the log
    /// start, and moves the log start behind them. Returns how many. Their files carry another name
    /// durably on return, and are removed after `file_delete_delay_ms`. Where all of the log is to go,
    /// a new segment begins at its end. `now` is the wall clock.
    ///
    /// Errors: a failed rename or flush takes the log offline. Source: Kafka's
    /// `UnifiedLog.deleteOldSegments`.
    pub async fn delete_old_segments(&self, now: TimestampMs) -> Result<usize, StorageError> {
        self.0.delete_old_segments(now).await
    }

    /// How much of the log is dirty, from 0 to 1, if it is due to be compacted; of several logs the
    /// dirtiest goes first. `now` is the wall clock. Source: Kafka's
    /// `LogCleanerManager.grabFilthiestCompactedLog`.
    pub async fn compaction_due(&self, now: TimestampMs) -> Result<Option<f64>, StorageError> {
        self.0.compaction_due(now).await
    }

    /// Compacts the log as far as it may be, or as `how` has memory for. Appends and reads go on
    /// meanwhile. `None` where it ended early, since the log is truncated, closed or deleted, or the disk
    /// has too little room: a later call begins anew. Source: Kafka's `Cleaner`.
    ///
    /// Errors: what cannot be read or written; the log stays whole and online, and is not compacted again
    /// until it is opened anew.
    pub async fn compact(
        &self,
        now: TimestampMs,
        how: &Compaction<'_>,
    ) -> Result<Option<Compacted>, StorageError> {
        self.0.compact(now, how).await
    }

    /// Forgets producers that have been idle for `producer_id_expiration_ms`, as every roll and open
    /// does. To be called from time to time: it bounds what producers cost.
    pub fn expire_producers(&self, now: TimestampMs) {
        self.0.expire_producers(now);
    }

    /// Waits until all that was appended is as durable as [`LogConfig::durability`] asks.
    pub async fn flush(&self) -> Result<(), StorageError> {
        self.0.flush().await
    }

    /// What the core checkpoint is to keep of the log as it is now; `None` where the last entry still
    /// holds. On return the entry is true on disk: all below its recovery point is flushed.
    pub(crate) async fn checkpoint_entry(
        &self,
    ) -> Result<Option<PartitionCheckpoint>, StorageError> {
        self.0.checkpoint_entry().await
    }

    /// Replaces the small file `name` that the log's owner keeps in its directory, durably. Where the disk
    /// is full it waits for room, as for the log's own files. Errors: the file is as it was, or replaced.
    pub async fn write_small_file(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.0.write_essential(&self.0.directory.join(name), bytes).await
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.0.is_deleted()
    }

    /// A clean stop: everything flushed, files cut to their exact size, indexes and the producer
    /// snapshot written. Appends, reads and waits fail with `Closed` from the call on.
    pub async fn close(&self) -> Result<(), StorageError> {
        self.0.close().await
    }

    /// Closes the log with everything flushed in its segments, and leaves the other files as a crash
    /// does: for whoever opens it again at once.
    pub(crate) async fn settle(&self) -> Result<(), StorageError> {
        self.0.settle().await
    }

    /// Deletes the log: the directory is renamed to Kafka's `.<uuid>-delete` name, durably on return,
    /// and removed after `file_delete_delay_ms`. Appends, reads and waits fail with `Closed` from the
    /// call on.
    pub async fn delete(&self) -> Result<(), StorageError> {
        self.0.delete().await
    }

    /// Sets the log aside, as one that the metadata do not know: its directory gets Kafka's
    /// `.<uuid>-stray` name, durably on return, and nothing in it is touched. Else as `delete`.
    pub async fn set_aside(&self) -> Result<PathBuf, StorageError> {
        self.0.leave(STRAY_SUFFIX).await
    }
}
