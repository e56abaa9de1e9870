//! Looking after what commits leave behind: dirty bytes are written to the segments, segments are
//! flushed and checkpointed, the journal is used again, idle logs come to rest.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use reactor::sync::Budget;
use reactor::task::Group;

use super::Volume;
use super::busy::Busy;
use crate::error::StorageError;
use crate::journal::Journal;
use crate::log::Inner;

/// Segments that are written and flushed at the same time. A disk reaches its full speed with fewer;
/// commits must not queue behind more.
const CONCURRENT_LOG_COUNT_MAX: usize = 16;

impl Volume {
    /// Runs until all logs are at rest.
    pub(super) async fn look_after(self: Rc<Self>, busy: Rc<Busy>) {
        let interval = Duration::from_millis(self.settings.checkpoint_interval_ms);
        let mut next_look = reactor::now() + interval;
        while !busy.is_ending() {
            let wanted = busy.upkeep.notified();
            let left = next_look - reactor::now();
            let is_time = match reactor::timeout(left, wanted).await {
                Ok(()) => false,
                Err(_elapsed) => true,
            };
            if busy.is_ending() {
                break;
            }
            if self.is_crowded() {
                self.write_behind(&busy).await;
            }
            if (is_time || self.is_checkpoint_due())
                && let Err(error) = self.make_checkpoint(&busy).await
            {
                if error.is_full() {
                    // The journal stays as it is, and what it holds is safe there.
                    self.space.make_room().await;
                    continue;
                }
                return self.fail(error);
            }
            if is_time {
                busy.rest_idle();
                next_look = reactor::now() + interval;
                if busy.is_idle() {
                    busy.end();
                }
            }
        }
    }

    /// What came since the last checkpoint, into the journal or past it, is as much as a start is to
    /// go through.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        let since_last = self.journaled_bytes.get().max(self.dirty.appended_bytes());
        since_last >= self.settings.journal_size_bytes_max / 2
    }

    /// Writes logs out until a quarter of what may be dirty is.
    async fn write_behind(&self, busy: &Busy) {
        reactor::mark!(write_behind_for_room);
        let excess = match self.dirty.is_half_full() {
            true => self.dirty.size_bytes() - self.dirty.size_bytes_max() / 4,
            // Many logs with little each fill the pool with chunks that are hardly used.
            false => u64::MAX,
        };
        let mut logs = busy.awake();
        logs.sort_by_key(|log| std::cmp::Reverse(log.dirty_size_bytes()));
        let mut chosen = 0;
        logs.retain(|log| {
            let is_chosen = chosen < excess && log.dirty_size_bytes() > 0;
            chosen += log.dirty_size_bytes();
            is_chosen
        });
        // A failure takes the volume offline by itself.
        let _ = each(logs, |log| async move { log.write_segments().await }).await;
    }

    /// Brings all that the journal holds to the segments, flushed, and the core checkpoint up to that;
    /// only then is the journal used again, up to where it was at the start. Errors: the first of a log
    /// that still takes appends, or of the disk; the journal stays as it is.
    async fn make_checkpoint(&self, busy: &Busy) -> Result<(), StorageError> {
        // In one turn: a log that has something in the journal before the mark is awake, and is flushed
        // below up to its end of then, or further.
        let journal = self.journal.borrow().clone();
        let mark = journal.as_ref().map(Journal::mark);
        self.journaled_bytes.set(0);
        self.dirty.restart_count();
        if reactor::planted!(recycle_before_segment_flush)
            && let (Some(journal), Some(mark)) = (&journal, mark)
        {
            journal.recycle_before(mark).await?;
        }
        let entries = Rc::new(RefCell::new(Vec::new()));
        each(busy.awake(), |log| {
            let entries = entries.clone();
            async move {
                let entry = log.checkpoint().await?;
                entries.borrow_mut().extend(entry);
                Ok(())
            }
        })
        .await?;
        if let Some(error) = self.failure() {
            return Err(error);
        }
        if let Some(checkpoint) = self.checkpoint() {
            let entries = entries.take();
            checkpoint.write(&entries).await?;
        }
        if reactor::planted!(recovery_point_from_journal) {
            return Ok(());
        }
        if let (Some(journal), Some(mark)) = (journal, mark) {
            journal.recycle_before(mark).await?;
        }
        Ok(())
    }
}

/// Does `work` for all `logs`, some at a time; the first error is returned after all have ended.
async fn each<F>(logs: Vec<Rc<Inner>>, work: impl Fn(Rc<Inner>) -> F) -> Result<(), StorageError>
where
    F: Future<Output = Result<(), StorageError>> + 'static,
{
    let (group, turns) = (Group::new(), Budget::new(CONCURRENT_LOG_COUNT_MAX));
    let failed = Rc::new(RefCell::new(None));
    for log in logs {
        let turn = turns.take(1).await;
        let (work, failed) = (work(log), failed.clone());
        group.spawn(async move {
            let _turn = turn;
            if let Err(error) = work.await {
                failed.borrow_mut().get_or_insert(error);
            }
        });
    }
    group.ended().await;
    let failed = failed.borrow_mut().take();
    failed.map_or(Ok(()), Err)
}
