//! A log's entry in its core's checkpoint.

use std::rc::Rc;

use protocol::model::Offset;
use reactor::file::{File, Open};

use super::state::{Inner, Phase, State};
use crate::checkpoint::{LogCheckpoint, PartitionCheckpoint, SegmentCheckpoint};
use crate::error::StorageError;
use crate::index::{IndexWrite, WrittenIndexes, transaction_index};
use crate::segment::{FileKind, Indexes, path_of};

/// What an entry says of a log that has changed only where the log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpointed {
    log_end_offset: Offset,
    log_start_offset: Offset,
    high_watermark: Offset,
    first_dirty_offset: Offset,
    /// The active segment, of which the entry speaks.
    segment: Offset,
}

impl Inner {
    /// The log as it is now, true on disk on return; `None` where the last entry still holds, and for
    /// a log without a topic id.
    pub(crate) async fn checkpoint_entry(
        self: &Rc<Self>,
    ) -> Result<Option<PartitionCheckpoint>, StorageError> {
        let is_known = {
            let state = self.state.borrow();
            state.checkpointed == Some(state.checkpointed_now())
        };
        if is_known { Ok(None) } else { self.new_checkpoint_entry().await }
    }

    /// The same, be there an entry already or not: one that is being written may be of no use yet.
    pub(super) async fn new_checkpoint_entry(
        self: &Rc<Self>,
    ) -> Result<Option<PartitionCheckpoint>, StorageError> {
        self.grow_index_files().await?;
        let (entry, now, active, truncations) = {
            let mut state = self.state.borrow_mut();
            let now = state.checkpointed_now();
            if state.is_being_cut {
                return Ok(None);
            }
            state.checkpoint_generation += 1;
            let entry = self.entry(&state, now.log_end_offset, Some(state.log_checkpoint()));
            (entry, now, state.active().base_offset, state.truncations)
        };
        let Some(entry) = entry else {
            return Ok(None);
        };
        {
            let mut state = self.state.borrow_mut();
            // The log may have grown since its flush was asked for.
            state.progress.ask_flush(now.log_end_offset);
            // After a crash the file may lack epochs of batches that are flushed. A log that is closed has
            // written it.
            state.epochs_due = state.epochs_changed && matches!(state.phase, Phase::Open);
        }
        self.wake_writer();
        self.wait_on_disk(now.log_end_offset, active, truncations).await?;
        let mut state = self.state.borrow_mut();
        if state.truncations != truncations {
            return Ok(None);
        }
        state.checkpointed = Some(now);
        Ok(Some(entry))
    }

    /// Takes back what the checkpoint claims of this log above `end`, durably: its files are about to be
    /// cut there.
    pub(super) async fn withdraw_checkpoint(&self, end: Offset) -> Result<(), StorageError> {
        let Some(checkpoint) = self.volume.checkpoint() else {
            return Ok(());
        };
        let entry = {
            let mut state = self.state.borrow_mut();
            state.is_being_cut = true;
            if state.checkpoint_generation == 0 {
                return Ok(());
            }
            state.checkpointed = None;
            // Newer than what may be on its way: that one loses.
            state.checkpoint_generation += 1;
            self.entry(&state, end, None)
        };
        if reactor::planted!(checkpoint_kept_at_truncation) {
            return Ok(());
        }
        let entries: Vec<_> = entry.into_iter().collect();
        checkpoint.write(&entries).await
    }

    fn entry(
        &self,
        state: &State,
        flushed_end: Offset,
        log: Option<LogCheckpoint>,
    ) -> Option<PartitionCheckpoint> {
        let name = self.name.as_ref()?;
        Some(PartitionCheckpoint {
            topic: name.topic.clone(),
            partition: name.partition.0,
            topic_id: self.topic_id?.0,
            generation: state.checkpoint_generation,
            log_start_offset: state.log_start_offset.0,
            first_dirty_offset: state.first_dirty_offset.0,
            flushed_end: flushed_end.0,
            log,
        })
    }

    /// Waits until all below `until`, for which a flush was asked, is flushed in segments, its leader
    /// epochs are in their file, and the segments before `active`, the active one of then, are complete.
    /// That one may have rolled since: it is complete when the rest of it is written, perhaps long after.
    async fn wait_on_disk(
        &self,
        until: Offset,
        active: Offset,
        truncations: u64,
    ) -> Result<(), StorageError> {
        loop {
            let changed = {
                let state = self.state.borrow();
                let is_complete = !state.awaits_epochs()
                    && state.first_unsealed().is_none_or(|unsealed| unsealed >= active);
                let is_there = (is_complete && state.progress.flushed().offset >= until)
                    || reactor::planted!(recovery_point_from_journal);
                if is_there && state.recovery_point() < until {
                    reactor::mark!(roll_under_a_checkpoint);
                }
                if state.truncations != truncations || is_there {
                    return Ok(());
                }
                self.check_open(&state)?;
                self.progressed.notified()
            };
            changed.await;
        }
    }

    /// Brings the active segment's index files up to date, where much of them is missing. They are
    /// not flushed: a checkpoint names their CRC, and where a power loss took them they are rebuilt.
    async fn grow_index_files(&self) -> Result<(), StorageError> {
        // A checkpoint of the core and one for a compaction may come together.
        let _alone = self.index_files.take(1).await;
        let (base_offset, truncations) = {
            let state = self.state.borrow();
            let active = state.active();
            let Indexes::Growing(indexes) = &active.indexes else {
                return Ok(());
            };
            // Those of a closed log are whole.
            if !matches!(state.phase, Phase::Open) {
                return Ok(());
            }
            let unwritten = indexes.unwritten_size_bytes(active.written_indexes);
            if unwritten <= self.volume.settings().index_rest_size_bytes_max {
                return Ok(());
            }
            (active.base_offset, state.truncations)
        };
        let mut files = Vec::new();
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            let path = path_of(&self.directory, kind, base_offset);
            let file =
                File::open(&path, Open::OrCreate).await.map_err(StorageError::io("open", &path))?;
            files.push((file, path));
        }
        // A roll replaces the files by whole ones. While the segment has not rolled, the files opened
        // are those that it will replace; so no write below can reach a whole one.
        let (offsets, times) = {
            let state = self.state.borrow();
            let is_active = matches!(state.phase, Phase::Open)
                && state.truncations == truncations
                && state.active().base_offset == base_offset;
            let Indexes::Growing(indexes) = &state.active().indexes else {
                return Ok(());
            };
            if !is_active {
                return Ok(());
            }
            indexes.writes(state.active().written_indexes)
        };
        let written = WrittenIndexes { offsets: offsets.written, times: times.written };
        for ((file, path), write) in files.into_iter().zip([offsets, times]) {
            let IndexWrite { position, blocks, .. } = write;
            file.write_at(blocks.into_bytes(), position)
                .await
                .map_err(StorageError::io("write", &path))?;
        }
        let mut state = self.state.borrow_mut();
        if state.truncations == truncations
            && let Some(segment) = state.segments.get_mut(&base_offset)
        {
            segment.written_indexes = written;
        }
        Ok(())
    }
}

impl State {
    fn checkpointed_now(&self) -> Checkpointed {
        Checkpointed {
            log_end_offset: self.log_end_offset(),
            log_start_offset: self.log_start_offset,
            high_watermark: self.high_watermark,
            first_dirty_offset: self.first_dirty_offset,
            segment: self.active().base_offset,
        }
    }

    /// The log at its end.
    fn log_checkpoint(&self) -> LogCheckpoint {
        let active = self.active();
        let Indexes::Growing(indexes) = &active.indexes else {
            panic!("the active segment {} of a log is rolled", active.base_offset);
        };
        let (offset_index, time_index) = indexes.extents(active.written_indexes);
        LogCheckpoint {
            high_watermark: self.high_watermark.0,
            recovery_point: active.next_offset.0,
            segment: SegmentCheckpoint {
                base_offset: active.base_offset.0,
                size_bytes: active.size_bytes,
                first_timestamp: active.first_timestamp.map(|timestamp| timestamp.0),
                max_timestamp: indexes.max_timestamp().map(|(time, offset)| (time.0, offset.0)),
                bytes_since_entry: indexes.bytes_since_entry(),
                offset_index,
                time_index,
                aborted: transaction_index::encode(active.aborted.as_deref().unwrap_or_default()),
                last_batch: active.last_batch,
            },
            leader_epochs: self.epochs.iter().map(|(epoch, start)| (epoch.0, start.0)).collect(),
            producers: self.producers.encode_snapshot(),
        }
    }
}
