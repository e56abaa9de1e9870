//! Group commit: what waits for the journal goes into one group, one write and one flush make it
//! durable, and meanwhile the next gathers. There is no timer: a group begins in the turn in which
//! something waits and none is in flight.

use std::rc::Rc;

use super::Volume;
use super::busy::{Busy, Fence};
use crate::error::StorageError;
use crate::journal::{Group, Journal};
use crate::log::JournalShare;

/// Shares written and not flushed, of logs that do not wait for it, after which a flush comes between
/// groups: it bounds what a loss of power takes from such a log under constant load.
const UNFLUSHED_SHARE_COUNT_MAX: usize = 1024;

/// A group, and what becomes true when it is durable.
struct Gathered {
    group: Group,
    shares: Vec<JournalShare>,
    fences: Vec<Fence>,
}

impl Volume {
    pub(super) async fn commit_groups(self: Rc<Self>, busy: Rc<Busy>) {
        let mut journal = None;
        let mut unflushed = Vec::new();
        while !busy.is_ending() {
            let arrived = busy.arrived.notified();
            busy.is_committing.set(busy.has_line() || !unflushed.is_empty());
            if !busy.has_line() {
                match &journal {
                    // Of logs that are acknowledged when they are written: behind everything else.
                    Some(journal) if !unflushed.is_empty() => {
                        if let Err(error) = self.flush(journal, &mut unflushed).await {
                            return self.fail(error);
                        }
                    }
                    Some(_) | None => arrived.await,
                }
                continue;
            }
            if journal.is_none() {
                // The line grows meanwhile.
                match self.open_journal().await {
                    Ok(opened) => journal = Some(opened),
                    Err(error) if error.is_full() => {
                        self.go_past_the_journal(&busy);
                        continue;
                    }
                    Err(error) => return self.fail(error),
                }
            }
            let (Some(journal), Some(gathered)) = (&journal, self.gather(&busy)) else {
                continue;
            };
            if let Err(error) = self.commit(journal, gathered, &mut unflushed).await {
                return self.fail(error);
            }
            if self.is_checkpoint_due() {
                busy.upkeep.notify_all();
            }
        }
    }

    /// On a full disk, without a journal: there are blocks for all that was appended, in its segments.
    fn go_past_the_journal(&self, busy: &Busy) {
        let Some(Gathered { shares, fences, .. }) = self.gather(busy) else { return };
        shares.into_iter().for_each(JournalShare::refused);
        // There is no record that a fence would have to make void.
        fences.into_iter().for_each(|fence| fence.answer(Ok(())));
    }

    async fn open_journal(&self) -> Result<Journal, StorageError> {
        let known = self.journal.borrow().clone();
        if let Some(journal) = known {
            return Ok(journal);
        }
        let core = self.journal_of.expect("a volume without a journal has no groups");
        let journal = Journal::open(&self.path, core, &self.settings).await?;
        *self.journal.borrow_mut() = Some(journal.clone());
        Ok(journal)
    }

    /// What waits, as far as one group goes; the rest waits for the next.
    fn gather(&self, busy: &Busy) -> Option<Gathered> {
        let size_bytes_max = self.settings.group_size_bytes_max;
        let mut group = Group::with_capacity(self.settings.chunk_size_bytes_min);
        let fences = std::mem::take(&mut *busy.fences.borrow_mut());
        for fence in &fences {
            group.fence(fence.topic_id, fence.partition, fence.kind);
        }
        let mut shares = Vec::new();
        while group.size_bytes() < size_bytes_max {
            let Some(log) = busy.line.borrow_mut().pop_front() else {
                break;
            };
            shares.extend(log.share(&mut group));
        }
        (!group.is_empty()).then_some(Gathered { group, shares, fences })
    }

    /// Writes a group, and flushes it unless nobody waits for that. `unflushed` are the shares of
    /// groups that were written and not flushed.
    async fn commit(
        &self,
        journal: &Journal,
        gathered: Gathered,
        unflushed: &mut Vec<JournalShare>,
    ) -> Result<(), StorageError> {
        let Gathered { group, shares, fences } = gathered;
        let size_bytes = group.size_bytes() as u64;
        let is_awaited = !fences.is_empty() || shares.iter().any(JournalShare::waits_for_flush);
        let is_committed =
            is_awaited && unflushed.is_empty() && !reactor::planted!(acknowledge_before_flush);
        let began = reactor::now();
        let watched = self.stalls.watch("write the journal", &self.path);
        let written = match is_committed {
            true => journal.commit(group).await,
            false => journal.write(group).await,
        };
        drop(watched);
        match written {
            Ok(()) => {}
            Err(error) if error.is_full() => {
                // Nothing was written. The segments have blocks for all that was appended.
                shares.into_iter().for_each(JournalShare::refused);
                fences.into_iter().for_each(|fence| fence.answer(Err(error.clone())));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.journaled_bytes.set(self.journaled_bytes.get() + size_bytes);
        shares.iter().for_each(JournalShare::written);
        unflushed.extend(shares);
        if is_committed {
            unflushed.drain(..).for_each(|share| share.flushed());
        } else if is_awaited || unflushed.len() >= UNFLUSHED_SHARE_COUNT_MAX {
            self.flush(journal, unflushed).await?;
        }
        self.journal_counts.committed(size_bytes, reactor::now() - began);
        fences.into_iter().for_each(|fence| fence.answer(Ok(())));
        Ok(())
    }

    async fn flush(
        &self,
        journal: &Journal,
        unflushed: &mut Vec<JournalShare>,
    ) -> Result<(), StorageError> {
        if !reactor::planted!(acknowledge_before_flush) {
            let _watched = self.stalls.watch("flush the journal", &self.path);
            journal.flush().await?;
        }
        unflushed.drain(..).for_each(|share| share.flushed());
        Ok(())
    }

    /// Whether a share of `size_bytes` goes into the journal, and not past it.
    pub(crate) fn takes_into_journal(&self, size_bytes: u64) -> bool {
        self.journal_of.is_some() && size_bytes < self.settings.bypass_size_bytes && {
            let is_full = self.journal.borrow().as_ref().is_some_and(|journal| {
                journal.size_bytes() >= self.settings.journal_size_bytes_max
            });
            if is_full {
                // Checkpoints do not keep up: the segments take it themselves, at their speed.
                reactor::mark!(journal_full);
            }
            !is_full
        }
    }
}
