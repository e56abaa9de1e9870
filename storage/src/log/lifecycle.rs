//! Making, opening, truncating, closing and deleting a log.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use protocol::model::{Offset, TimestampMs, TopicId};
use protocol::record_batch::BatchHeader;
use reactor::file::{File, Open};

use super::Opening;
use super::compaction_gate::CompactionGate;
use super::flush::{cut_to_size, write_atomic, write_leader_epochs};
use super::progress::Progress;
use super::state::{Inner, Phase, State};
use crate::config::LogConfig;
use crate::error::{ReadError, StorageError};
use crate::index::transaction_index;
use crate::journal::FenceKind;
use crate::log_directory::{DELETE_SUFFIX, TopicPartition, renamed};
use crate::recovery::{
    Loaded, create_segment, holds_records, list, load, remove_segment, write_indexes,
};
use crate::segment::{FileKind, Indexes, Selection, path_of};
use crate::state::partition_metadata;
use crate::trash::Discarded;
use crate::volume::Volume;

pub(super) async fn create(
    volume: &Rc<Volume>,
    directory: &Path,
    config: LogConfig,
    topic_id: TopicId,
) -> Result<Rc<Inner>, StorageError> {
    volume.space().on_reserve(async || make(directory, topic_id).await).await?;
    let log = open(volume, directory, config, Opening::default()).await?;
    log.fence(FenceKind::Creation).await?;
    Ok(log)
}

/// Makes the files of an empty log, durably; what is there already of them stays.
async fn make(directory: &Path, topic_id: TopicId) -> Result<(), StorageError> {
    reactor::directory::create_all(directory)
        .await
        .map_err(StorageError::io("create", directory))?;
    if holds_records(directory).await? {
        let source = Arc::new(io::Error::from(io::ErrorKind::AlreadyExists));
        let path = directory.to_owned();
        return Err(StorageError::Io { operation: "create", path, source });
    }
    // Kafka takes a log without this file for a stray one: it is durable before anything else.
    partition_metadata::write(directory, topic_id).await?;
    create_segment(directory, Offset::ZERO).await
}

pub(super) async fn restart_at(
    volume: &Rc<Volume>,
    directory: &Path,
    config: LogConfig,
    topic_id: TopicId,
    start: Offset,
) -> Result<Rc<Inner>, StorageError> {
    let made = async || {
        reactor::directory::create_all(directory)
            .await
            .map_err(StorageError::io("create", directory))?;
        // The newest first: a crash leaves a log that still ends too early.
        for &base_offset in list(directory).await?.segments.keys().rev() {
            remove_segment(directory, base_offset).await?;
        }
        partition_metadata::write(directory, topic_id).await?;
        create_segment(directory, start).await
    };
    volume.space().on_reserve(made).await?;
    open(volume, directory, config, Opening::default()).await
}

pub(super) async fn open(
    volume: &Rc<Volume>,
    directory: &Path,
    config: LogConfig,
    opening: Opening,
) -> Result<Rc<Inner>, StorageError> {
    if let Some(error) = volume.failure() {
        return Err(error);
    }
    let loaded = volume
        .space()
        .on_reserve(async || load_whole(volume, directory, &config, &opening).await)
        .await?;
    let name = directory.file_name().and_then(|name| name.to_str());
    let topic_id = loaded.topic_id;
    let log = Rc::new(Inner {
        id: volume.next_log_id(),
        volume: volume.clone(),
        directory: directory.to_owned(),
        name: name.and_then(TopicPartition::from_directory_name),
        topic_id,
        state: RefCell::new(State::new(volume, loaded, config)),
        listener: RefCell::new(None),
        appended: reactor::sync::Notify::new(),
        progressed: reactor::sync::Notify::new(),
        files: reactor::sync::Budget::new(1),
        index_files: reactor::sync::Budget::new(1),
        compaction: CompactionGate::new(),
        tasks: reactor::task::Group::new(),
        writer_runs: Cell::new(false),
        is_offered: Cell::new(false),
        is_awake: Cell::new(false),
        is_making_room: Cell::new(false),
        room_changed: reactor::sync::Notify::new(),
    });
    volume.add(&log);
    Ok(log)
}

/// Loads a log. On return the file of leader epochs has all that was found: compaction may take the first
/// batch of an epoch, and the batches alone would then have it begin later.
async fn load_whole(
    volume: &Volume,
    directory: &Path,
    config: &LogConfig,
    opening: &Opening,
) -> Result<Loaded, StorageError> {
    let now = TimestampMs(reactor::wall_clock());
    let mut loaded = load(volume, directory, config, opening, now).await?;
    if loaded.epochs_changed {
        write_leader_epochs(directory, &loaded.epochs.encode()).await?;
        loaded.epochs_changed = false;
    }
    Ok(loaded)
}

impl State {
    fn new(volume: &Volume, mut loaded: Loaded, config: LogConfig) -> Self {
        if let Some(active) = loaded.segments.values_mut().next_back() {
            active.draw_roll_jitter(&config);
        }
        State {
            phase: Phase::Open,
            config,
            segments: loaded.segments,
            tail: loaded.tail,
            log_start_offset: loaded.log_start_offset,
            high_watermark: loaded.high_watermark,
            progress: Progress::new(loaded.end),
            first_dirty_offset: loaded.first_dirty_offset,
            is_uncleanable: false,
            replaced: None,
            replacements: 0,
            next_grant: None,
            read_ends: Vec::new(),
            distrusted_indexes: BTreeSet::new(),
            dirty: volume.dirty_bytes(),
            unsealed: BTreeMap::new(),
            epochs: loaded.epochs,
            epochs_changed: loaded.epochs_changed,
            epochs_due: false,
            producers: loaded.producers,
            snapshot_offset: loaded.snapshot_offset,
            touched: loaded.touched,
            checkpointed: None,
            checkpoint_generation: loaded.checkpoint_generation,
            is_being_cut: false,
            is_given_up: false,
            truncations: 0,
        }
    }
}

impl Inner {
    /// Makes void what the journal has of the log so far; durable on return.
    async fn fence(&self, kind: FenceKind) -> Result<(), StorageError> {
        if reactor::planted!(replay_by_name)
            && matches!(kind, FenceKind::Creation | FenceKind::Deletion)
        {
            return Ok(());
        }
        if reactor::planted!(no_fence_at_truncation) && kind == FenceKind::Truncation {
            return Ok(());
        }
        match (self.topic_id, &self.name) {
            (Some(topic_id), Some(name)) => self.volume.fence(topic_id, name.partition, kind).await,
            // The journal has none of it.
            (None, _) | (_, None) => Ok(()),
        }
    }

    pub(super) fn expire_producers(&self, now: TimestampMs) {
        let mut state = self.state.borrow_mut();
        let expiration_ms = state.config.producer_id_expiration_ms;
        state.producers.expire(now, expiration_ms);
    }

    pub(super) async fn flush(&self) -> Result<(), StorageError> {
        let end = self.state.borrow().log_end_offset();
        self.wait_durable(end).await
    }

    async fn flush_all_segments(self: &Rc<Self>) -> Result<(), StorageError> {
        let end = self.state.borrow().log_end_offset();
        self.flush_segments(end).await
    }

    pub(super) async fn settle(self: &Rc<Self>) -> Result<(), StorageError> {
        self.leave_open_phase(Phase::Closed)?;
        let _compaction = self.compaction.close().await;
        self.flush_all_segments().await?;
        self.quiesce().await;
        self.let_go();
        Ok(())
    }

    /// Lets go of memory and files: nothing of the log is on its way any more.
    fn let_go(&self) {
        {
            let mut state = self.state.borrow_mut();
            state.rest();
            state.tail.let_go();
            state.segments.values_mut().for_each(|segment| segment.file = None);
        }
        self.volume.forget(self);
    }

    pub(super) async fn close(self: &Rc<Self>) -> Result<(), StorageError> {
        self.leave_open_phase(Phase::Closed)?;
        let _compaction = self.compaction.close().await;
        self.flush_all_segments().await?;
        let _files = self.files.take(1).await;
        self.quiesce().await;
        let touched = {
            let state = self.state.borrow();
            if let Phase::Offline(_) = state.phase {
                self.check_open(&state)?;
            }
            state.touched
        };
        if touched {
            self.volume.space().on_reserve(async || self.complete_files().await).await?;
        }
        self.state.borrow_mut().touched = false;
        self.let_go();
        Ok(())
    }

    /// Refuses appends and reads from here on.
    fn leave_open_phase(&self, phase: Phase) -> Result<(), StorageError> {
        {
            let mut state = self.state.borrow_mut();
            self.check_open(&state)?;
            state.phase = phase;
        }
        self.appended.notify_all();
        self.progressed.notify_all();
        Ok(())
    }

    /// Leaves the files of a log that is durable as Apache Kafka does at a clean stop.
    async fn complete_files(&self) -> Result<(), StorageError> {
        let directory = &self.directory;
        let (base_offset, how, size_bytes, end, indexes, snapshot, epochs, aborted) = {
            let state = self.state.borrow();
            let active = state.active();
            let Indexes::Growing(indexes) = &active.indexes else {
                panic!("the active segment {} of a log is rolled", active.base_offset);
            };
            let mut indexes = indexes.clone();
            indexes.add_time_entry();
            let end = active.next_offset;
            let is_new = end > state.snapshot_offset.unwrap_or(Offset::ZERO);
            let snapshot = is_new.then(|| state.producers.encode_snapshot());
            let epochs = state.epochs.encode();
            // Rolled by retention, and nothing was appended since.
            let how = if active.on_disk { Open::Existing } else { Open::OrCreate };
            let aborted = active.aborted.clone().unwrap_or_default();
            (active.base_offset, how, active.size_bytes, end, indexes, snapshot, epochs, aborted)
        };
        let path = path_of(directory, FileKind::Log, base_offset);
        let file = File::open(&path, how).await.map_err(StorageError::io("open", &path))?;
        cut_to_size(&file, size_bytes, &path).await?;
        write_indexes(directory, base_offset, &indexes).await?;
        {
            let mut state = self.state.borrow_mut();
            let active = state.active_mut();
            if let Indexes::Growing(indexes) = &active.indexes {
                active.written_indexes = indexes.all_written();
            }
        }
        if !aborted.is_empty() {
            let path = path_of(directory, FileKind::TransactionIndex, base_offset);
            write_atomic(&path, &transaction_index::encode(&aborted)).await?;
        }
        if let Some(snapshot) = snapshot {
            write_atomic(&path_of(directory, FileKind::ProducerSnapshot, end), &snapshot).await?;
        }
        write_leader_epochs(directory, &epochs).await
    }

    pub(super) async fn delete(self: &Rc<Self>) -> Result<(), StorageError> {
        let deleted = self.leave(DELETE_SUFFIX).await?;
        let delay_ms = self.state.borrow().config.file_delete_delay_ms;
        self.volume.trash().discard(vec![Discarded::Directory(deleted)], delay_ms);
        Ok(())
    }

    /// Ends the log for good, and gives its directory a name that ends with `suffix`.
    pub(super) async fn leave(self: &Rc<Self>, suffix: &str) -> Result<PathBuf, StorageError> {
        {
            let mut state = self.state.borrow_mut();
            state.phase = Phase::Deleted;
            state.dirty.clear();
        }
        self.appended.notify_all();
        self.progressed.notify_all();
        let _compaction = self.compaction.close().await;
        let _files = self.files.take(1).await;
        self.quiesce().await;
        {
            let mut state = self.state.borrow_mut();
            state.segments.values_mut().for_each(|segment| segment.file = None);
            state.tail.let_go();
        }
        // What the segments lack is given up with the rest. Were it given up after the rename, a crash
        // between the two could leave some of it: of a log that is to go, and that would seem to have
        // lost something.
        let fenced = self.fence(FenceKind::Deletion).await;
        self.state.borrow_mut().is_given_up = true;
        self.progressed.notify_all();
        self.volume.forget(self);
        fenced?;
        let directory = &self.directory;
        let left = renamed(directory, suffix);
        let parent = directory.parent().unwrap_or(Path::new("."));
        reactor::directory::rename(directory, &left)
            .await
            .map_err(StorageError::io("rename", directory))?;
        if !reactor::planted!(rename_without_directory_flush) {
            reactor::directory::sync(parent).await.map_err(StorageError::io("flush", parent))?;
        }
        Ok(left)
    }

    pub(super) async fn truncate_to(self: &Rc<Self>, offset: Offset) -> Result<(), StorageError> {
        let _compaction = self.compaction.close().await;
        let _files = self.files.take(1).await;
        self.flush_all_segments().await?;
        self.quiesce().await;
        let (cut, later) = {
            let state = self.state.borrow();
            self.check_open(&state)?;
            assert!(
                offset >= state.log_start_offset,
                "INV-1: truncation to {offset} below log_start_offset {}",
                state.log_start_offset
            );
            if offset >= state.log_end_offset() {
                return Ok(());
            }
            let cut = state.segments.range(..=offset).next_back().map(|(&base, _)| base);
            let cut = cut.expect("a segment begins at or before log_start_offset");
            let later = state.segments.range(cut.next()..).map(|(&base, _)| base);
            (cut, later.rev().collect::<Vec<_>>())
        };
        let (end, position) = self.position_of(offset, cut).await?;
        // Everything is in flushed segments, so that the journal's records may become void before the
        // cut. After it would be too late: a crash between the two would leave records that say the
        // cut part was durable.
        self.fence(FenceKind::Truncation).await?;
        {
            let mut state = self.state.borrow_mut();
            state.first_dirty_offset = state.first_dirty_offset.min(offset);
        }
        self.withdraw_checkpoint(end).await?;
        // A checkpoint may have had leader epochs written meanwhile; from here on none does.
        self.quiesce().await;
        let outcome = self.cut((cut, position, end), &later).await;
        match &outcome {
            Err(error @ (StorageError::CorruptBatch { .. } | StorageError::LostRecords { .. })) => {
                // What is left of it has rotted: no other log has to do with that.
                self.poison(error.clone());
            }
            Err(error) if !self.is_deleted() => {
                // Half of it may have happened: what the files hold is not what the state says.
                self.volume.log_failed(self, error.clone());
            }
            Err(_) | Ok(()) => {}
        }
        outcome
    }

    /// Where the log ends without the batch that holds `offset`, and where in `segment`, which holds that
    /// offset, it does. Compaction may have taken the batch, and others before it.
    async fn position_of(
        &self,
        offset: Offset,
        segment: Offset,
    ) -> Result<(Offset, u32), StorageError> {
        let wanted = Selection {
            from: offset,
            size_bytes_max: 0,
            min_one_batch: true,
            upper_bound: self.state.borrow().log_end_offset(),
        };
        let batch = self.read(wanted, usize::MAX).await.map_err(|error| match error {
            ReadError::Storage(error) => error,
            ReadError::OffsetOutOfRange { .. } => StorageError::Truncated { offset },
            ReadError::BufferTooSmall { .. } => unreachable!("a truncation has no bound"),
        })?;
        // The position is the size of all batches before it, which the scan of the cut segment
        // counts: here only where to stop.
        let base_offset = batch.base_offset.unwrap_or(offset);
        self.position_in(segment, base_offset).await
    }

    /// Where in `segment` the first batch begins that has its base offset at or behind `base_offset`, or
    /// where it ends if none has; and the offset behind the batches before.
    async fn position_in(
        &self,
        segment: Offset,
        base_offset: Offset,
    ) -> Result<(Offset, u32), StorageError> {
        self.load_indexes(segment).await?;
        let path = path_of(&self.directory, FileKind::Log, segment);
        let file =
            File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
        let (mut position, size_bytes) = {
            let state = self.state.borrow();
            let known = state.segments.get(&segment);
            let indexes = known.and_then(|known| known.loaded_indexes());
            // To a batch before it, if there is one.
            let before = Offset(base_offset.0 - 1).max(segment);
            let position = indexes.map_or(0, |indexes| indexes.offsets.lookup(before));
            (u64::from(position), known.map_or(0, |known| u64::from(known.size_bytes)))
        };
        let mut next_offset = segment;
        while position < size_bytes {
            let end = position + protocol::record_batch::HEADER_SIZE_BYTES as u64;
            let bytes =
                file.read_range(position..end).await.map_err(StorageError::io("read", &path))?;
            let header = BatchHeader::parse(&bytes).map_err(|source| {
                StorageError::CorruptBatch { path: path.clone(), position, source }
            })?;
            if header.base_offset >= base_offset {
                break;
            }
            position += header.size_bytes() as u64;
            next_offset = header.next_offset();
        }
        Ok((next_offset, position.min(size_bytes) as u32))
    }

    /// Cuts the files, durably and from the end, so that a crash leaves no gap; then takes the state
    /// from them anew. The log is to end at `end`, at `position` of `segment`.
    async fn cut(
        &self,
        (segment, position, end): (Offset, u32, Offset),
        later: &[Offset],
    ) -> Result<(), StorageError> {
        for &base_offset in later {
            remove_segment(&self.directory, base_offset).await?;
        }
        let path = path_of(&self.directory, FileKind::Log, segment);
        let file =
            File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
        file.truncate(u64::from(position)).await.map_err(StorageError::io("truncate", &path))?;
        file.flush().await.map_err(StorageError::io("flush", &path))?;
        drop(file);
        let (config, opening) = {
            let state = self.state.borrow();
            let opening = Opening {
                clean: false,
                recovery_point: segment,
                replayed_end: end,
                log_start_offset: state.log_start_offset,
                first_dirty_offset: state.first_dirty_offset,
                ..Opening::default()
            };
            (state.config.clone(), opening)
        };
        let volume = &self.volume;
        let loaded = volume
            .space()
            .on_reserve(async || load_whole(volume, &self.directory, &config, &opening).await)
            .await?;
        {
            let mut state = self.state.borrow_mut();
            // It may have gone offline with all others meanwhile: so it stays.
            self.check_open(&state)?;
            let (truncations, generation) = (state.truncations + 1, state.checkpoint_generation);
            let first_dirty_offset = state.first_dirty_offset.min(loaded.end.offset);
            let high_watermark = state.high_watermark.min(loaded.end.offset);
            *state = State::new(&self.volume, loaded, config);
            state.truncations = truncations;
            state.checkpoint_generation = generation;
            state.high_watermark = high_watermark;
            state.first_dirty_offset = first_dirty_offset;
        }
        self.progressed.notify_all();
        Ok(())
    }
}
