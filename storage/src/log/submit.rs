//! Which way appended bytes go to the disk: with others' in a group of the journal, or past it.

use std::rc::Rc;

use protocol::model::Offset;

use super::state::{Inner, Phase, State};
use crate::checkpoint::PartitionCheckpoint;
use crate::chunk::Cursor;
use crate::config::Durability;
use crate::error::StorageError;
use crate::journal::{Group, Share};

/// A share of a log in a group of the journal.
pub(crate) struct JournalShare {
    log: Rc<Inner>,
    start: Offset,
    end: Offset,
    /// Of the log when the share was made: after another one the share is void.
    truncations: u64,
}

impl Inner {
    /// Sends what was appended on its way: a little of it waits for the journal's next group, much
    /// goes straight to the segments, so that it is written once. Behind what is on its way past the
    /// journal it gathers.
    pub(super) fn submit(self: &Rc<Self>) {
        let size_bytes = {
            let state = self.state.borrow();
            if !matches!(state.phase, Phase::Open) || state.progress.is_bypassing() {
                return;
            }
            state.unsubmitted_bytes()
        };
        if size_bytes == 0 {
            return;
        }
        if self.takes_into_journal(size_bytes) {
            self.volume.offer(self);
        } else {
            self.bypass();
        }
    }

    /// A log whose topic or partition is not known would not be found by a replay.
    fn takes_into_journal(&self, size_bytes: u64) -> bool {
        self.topic_id.is_some() && self.name.is_some() && self.volume.takes_into_journal(size_bytes)
    }

    /// Sends everything that was appended straight to the segments.
    fn bypass(self: &Rc<Self>) {
        {
            let mut state = self.state.borrow_mut();
            let (end, durability) = (state.end(), state.config.durability);
            state.progress.submit_to_segments(end, durability);
        }
        self.volume.keep_busy(self);
        self.wake_writer();
    }

    /// Copies what was appended into `group`. `None` where there is nothing to copy, or it goes, or
    /// is, on its way past the journal.
    pub(crate) fn share(self: &Rc<Self>, group: &mut Group) -> Option<JournalShare> {
        self.is_offered.set(false);
        let size_bytes = {
            let state = self.state.borrow();
            if !matches!(state.phase, Phase::Open) || state.progress.is_bypassing() {
                return None;
            }
            state.unsubmitted_bytes()
        };
        if size_bytes == 0 {
            return None;
        }
        let may_journal = {
            let state = self.state.borrow();
            state.progress.may_journal(state.config.durability)
        };
        if !may_journal || !self.takes_into_journal(size_bytes) {
            self.bypass();
            return None;
        }
        let (topic_id, partition) = (self.topic_id?, self.name.as_ref()?.partition);
        let mut state = self.state.borrow_mut();
        let (start, end) = (state.progress.submitted(), state.end());
        let share = Share {
            topic_id,
            partition,
            base_offset: start.offset,
            next_offset: end.offset,
            leader_epoch: state.epochs.latest()?,
            durable_end_offset: state.progress.durable(),
        };
        group.push(share, &state.tail.batches_from(start));
        state.progress.submit_to_journal(end);
        let truncations = state.truncations;
        drop(state);
        Some(JournalShare { log: self.clone(), start: start.offset, end: end.offset, truncations })
    }

    pub(crate) fn dirty_size_bytes(&self) -> u64 {
        self.state.borrow().dirty.size_bytes()
    }

    /// Where the log ends, if all of it is flushed in its segments, no task of it runs, and it stands in
    /// no line: what it takes from here on puts it there anew.
    pub(crate) fn flushed_end(&self) -> Option<Offset> {
        let state = self.state.borrow();
        let end = state.log_end_offset();
        let is_flushed = state.progress.flushed().offset == end;
        if is_flushed && self.is_offered.get() {
            // The segments' writer was faster than the journal.
            reactor::mark!(flushed_while_in_line);
        }
        (is_flushed && self.tasks.is_empty() && !self.is_offered.get()).then_some(end)
    }

    /// Lets go of what only a busy log needs.
    pub(crate) fn rest(&self) {
        self.state.borrow_mut().rest();
    }

    /// Has the segments hold, flushed, all that was appended before this call. Returns what the core
    /// checkpoint is to say of the log then, unless it says so already.
    pub(crate) async fn checkpoint(
        self: &Rc<Self>,
    ) -> Result<Option<PartitionCheckpoint>, StorageError> {
        let end = self.state.borrow().log_end_offset();
        self.state.borrow_mut().progress.ask_flush(end);
        self.wake_writer();
        if reactor::planted!(recovery_point_from_journal) {
            return self.checkpoint_entry().await;
        }
        let entry = match self.checkpoint_entry().await {
            // A clean stop flushes it, and has an entry written of its own.
            Err(_) if matches!(self.state.borrow().phase, Phase::Closed) => Ok(None),
            entry => entry,
        };
        // Before a cut all was flushed; what is behind it now was appended later.
        let end = end.min(self.state.borrow().log_end_offset());
        let outcome = match entry {
            Ok(entry) => self.flush_segments(end).await.map(|()| entry),
            Err(error) => Err(error),
        };
        match outcome {
            // All of it was flushed before the cut.
            Err(StorageError::Truncated { .. }) => Ok(None),
            // Nobody wants it any more; but the journal may lose its records only when they are void.
            Err(_) if matches!(self.state.borrow().phase, Phase::Deleted) => {
                self.wait_given_up().await;
                Ok(None)
            }
            outcome => outcome,
        }
    }

    async fn wait_given_up(&self) {
        loop {
            let progressed = self.progressed.notified();
            if self.state.borrow().is_given_up {
                return;
            }
            progressed.await;
        }
    }

    /// Has the segments hold what is in the journal, to be flushed another time.
    pub(crate) async fn write_segments(self: &Rc<Self>) -> Result<(), StorageError> {
        let until = self.state.borrow().progress.submitted().offset;
        self.state.borrow_mut().progress.ask_write(until);
        self.wake_writer();
        self.wait_for(until, |progress| progress.written().offset).await
    }
}

impl JournalShare {
    /// An acknowledgement of it waits for the journal's flush.
    pub(crate) fn waits_for_flush(&self) -> bool {
        self.log.state.borrow().config.durability == Durability::Flushed
    }

    /// The device has it.
    pub(crate) fn written(&self) {
        self.progress(|state| {
            let durability = state.config.durability;
            state.progress.journal_written(self.start, self.end, durability);
        });
    }

    /// The journal has flushed it.
    pub(crate) fn flushed(&self) {
        self.progress(|state| state.progress.journal_flushed(self.start, self.end));
        let write_behind_size_bytes = self.log.volume.settings().write_behind_size_bytes;
        if self.log.dirty_size_bytes() >= write_behind_size_bytes {
            let mut state = self.log.state.borrow_mut();
            let submitted = state.progress.submitted().offset;
            state.progress.ask_write(submitted);
            drop(state);
            self.log.wake_writer();
        }
    }

    /// The journal did not take it.
    pub(crate) fn refused(self) {
        if self.log.state.borrow().truncations == self.truncations {
            self.log.bypass();
        }
    }

    fn progress(&self, change: impl FnOnce(&mut State)) {
        let is_current = self.log.state.borrow().truncations == self.truncations;
        if is_current {
            self.log.progress(change);
        }
    }
}

impl State {
    /// Where the log ends.
    fn end(&self) -> Cursor {
        let active = self.active();
        Cursor {
            segment: active.base_offset,
            position: active.size_bytes,
            offset: active.next_offset,
        }
    }

    /// Bytes appended that are on no way to the disk yet.
    fn unsubmitted_bytes(&self) -> u64 {
        let submitted = self.progress.submitted();
        // Where all of a segment is submitted, compaction may have replaced it since: by a smaller one.
        let behind = self
            .segments
            .range(submitted.segment..)
            .filter(|(_, segment)| segment.next_offset > submitted.offset)
            .map(|(&base_offset, segment)| {
                let start = if base_offset == submitted.segment { submitted.position } else { 0 };
                u64::from(segment.size_bytes - start)
            });
        behind.sum()
    }
}
