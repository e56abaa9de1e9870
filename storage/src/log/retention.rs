//! Deleting a log's oldest segments.
//!
//! What goes leaves the state in one turn, and with it the log start moves: from then on nobody is
//! given a way to it, and who reads it already has its file open. Only then are its files renamed,
//! the oldest first and durably one after the other: whenever a crash comes, what is left of the log
//! is one run of segments without a gap, and it begins at the first of them. The log start that a
//! crash forgets is at most what deletion had not come to.

use std::io;
use std::rc::Rc;

use protocol::model::{Offset, TimestampMs};

use super::state::{Inner, State, Unsealed};
use crate::error::StorageError;
use crate::retention::{Extent, Limits, Reason, Verdict, decide};
use crate::segment::{DELETED, FileKind, Segment, path_of, suffixed};
use crate::trash::Discarded;

/// The files of a deleted segment, in the order in which they are renamed: without its first a segment
/// is none.
pub(super) const KINDS: [FileKind; 5] = [
    FileKind::Log,
    FileKind::OffsetIndex,
    FileKind::TimeIndex,
    FileKind::TransactionIndex,
    FileKind::ProducerSnapshot,
];

/// What deletion does next.
enum Step {
    AskTimestamp(Offset),
    /// A rolled segment's files are not complete yet.
    AwaitSeal(Offset),
    /// The first segment that is left has no file yet: without one a crash would leave no log.
    MakeFile(Offset),
    /// These are no longer the log's, the oldest first.
    Detached(Vec<(Offset, Reason)>),
    Done,
}

impl Inner {
    /// Returns how many segments are deleted.
    pub(super) async fn delete_old_segments(
        self: &Rc<Self>,
        now: TimestampMs,
    ) -> Result<usize, StorageError> {
        let _files = self.files.take(1).await;
        let mut count = 0;
        loop {
            match self.next_deletion(now)? {
                Step::Done => return Ok(count),
                Step::AskTimestamp(segment) => self.learn_largest_timestamp(segment).await?,
                Step::AwaitSeal(segment) => self.wait_sealed(segment).await?,
                Step::MakeFile(segment) => {
                    if let Err(error) = self.open_segment(segment, false).await {
                        self.volume.log_failed(self, error.clone());
                        return Err(error);
                    }
                }
                Step::Detached(detached) => {
                    count += detached.len();
                    let discarded = self.discard(&detached).await;
                    if let Err(error) = discarded {
                        self.volume.log_failed(self, error.clone());
                        return Err(error);
                    }
                }
            }
        }
    }

    fn next_deletion(self: &Rc<Self>, now: TimestampMs) -> Result<Step, StorageError> {
        let mut state = self.state.borrow_mut();
        self.check_open(&state)?;
        let reasons = match state.decide_deletion(now) {
            Verdict::Delete(reasons) => reasons,
            Verdict::AskTimestamp(index) => {
                let asked = state.segments.keys().nth(index).copied();
                return Ok(asked.map_or(Step::Done, Step::AskTimestamp));
            }
        };
        if reasons.is_empty() {
            return Ok(Step::Done);
        }
        if reasons.len() == state.segments.len() {
            // A log has an active segment: a new one begins where this one ends.
            reactor::mark!(retention_rolls);
            state.roll(now);
            drop(state);
            return self.next_deletion(now);
        }
        let sealed =
            state.segments.keys().take_while(|base| !state.unsealed.contains_key(base)).count();
        let count = reasons.len().min(sealed);
        match state.segments.values().nth(count) {
            Some(first) if count == 0 => Ok(Step::AwaitSeal(first.base_offset)),
            Some(first) if !first.on_disk && !reactor::planted!(retention_before_the_next_file) => {
                Ok(Step::MakeFile(first.base_offset))
            }
            Some(_) | None => Ok(Step::Detached(state.detach(&reasons[..count]))),
        }
    }

    /// Reads the largest timestamp of a rolled segment from its indexes.
    pub(super) async fn learn_largest_timestamp(
        &self,
        segment: Offset,
    ) -> Result<(), StorageError> {
        self.load_indexes(segment).await?;
        if let Some(segment) = self.state.borrow_mut().segments.get_mut(&segment) {
            segment.largest_timestamp = segment.largest_timestamp();
        }
        Ok(())
    }

    async fn wait_sealed(self: &Rc<Self>, segment: Offset) -> Result<(), StorageError> {
        {
            // What is in the journal alone must be in the segment, or it is not complete.
            let mut state = self.state.borrow_mut();
            if let Some(end) = state.segments.get(&segment).map(|segment| segment.next_offset) {
                state.progress.ask_flush(end);
            }
        }
        self.wake_writer();
        loop {
            let changed = {
                let state = self.state.borrow();
                self.check_open(&state)?;
                if !state.unsealed.contains_key(&segment) {
                    return Ok(());
                }
                self.progressed.notified()
            };
            changed.await;
        }
    }

    /// Renames the files of `detached`, durably and the oldest segment first, and has them removed
    /// later.
    async fn discard(&self, detached: &[(Offset, Reason)]) -> Result<(), StorageError> {
        let mut discarded = Vec::new();
        for &(base_offset, reason) in detached {
            let segment = path_of(&self.directory, FileKind::Log, base_offset);
            tracing::info!(segment = %segment.display(), ?reason, "deleting a segment");
            for kind in KINDS {
                let path = path_of(&self.directory, kind, base_offset);
                let renamed = suffixed(&path, DELETED);
                match reactor::directory::rename(&path, &renamed).await {
                    Ok(()) => discarded.push(Discarded::File(renamed)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(StorageError::io("rename", &path)(error)),
                }
            }
            reactor::directory::sync(&self.directory)
                .await
                .map_err(StorageError::io("flush", &self.directory))?;
        }
        let delay_ms = self.state.borrow().config.file_delete_delay_ms;
        self.volume.trash().discard(discarded, delay_ms);
        Ok(())
    }
}

impl State {
    fn decide_deletion(&self, now: TimestampMs) -> Verdict {
        let extents: Vec<Extent> = self
            .segments
            .values()
            .map(|segment| Extent {
                next_offset: segment.next_offset,
                size_bytes: segment.size_bytes,
                largest_timestamp: segment.largest_timestamp(),
            })
            .collect();
        let limits = Limits {
            config: &self.config,
            log_start_offset: self.log_start_offset,
            high_watermark: self.high_watermark,
            now,
        };
        decide(limits, &extents)
    }

    /// Takes as many of the oldest segments out of the log as there are `reasons`; the active one is
    /// never among them.
    fn detach(&mut self, reasons: &[Reason]) -> Vec<(Offset, Reason)> {
        let detached: Vec<_> = self.segments.keys().copied().zip(reasons.iter().copied()).collect();
        let Some(&(last, _)) = detached.last() else {
            return detached;
        };
        let kept = self.segments.split_off(&last.next());
        let start = *kept.keys().next().expect("the active segment stays");
        self.segments = kept;
        self.read_ends.retain(|end| end.segment >= start);
        self.distrusted_indexes.retain(|segment| *segment >= start);
        self.raise_log_start(start).expect("what is deleted lies below the high watermark");
        detached
    }

    /// Begins the next segment at the end of the log. Its file is made by the segments' writer.
    pub(super) fn roll(&mut self, now: TimestampMs) {
        self.producers.expire(now, self.config.producer_id_expiration_ms);
        let rolled = self.active().base_offset;
        let base_offset = self.log_end_offset();
        let snapshot = self.producers.encode_snapshot();
        self.unsealed.insert(rolled, Unsealed { snapshot, sealing: false });
        let mut segment = Segment::new(base_offset, now);
        segment.draw_roll_jitter(&self.config);
        segment.grant = self.next_grant.take();
        self.segments.insert(base_offset, segment);
    }
}
