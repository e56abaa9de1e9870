//! How far the bytes of a log have come on their way to the disk. No I/O: this says what is due, and
//! is told what happened.

use protocol::model::Offset;

use crate::chunk::Cursor;
use crate::config::Durability;

/// The offsets of one log between memory and disk. Each only grows:
///
/// ```text
/// flushed <= written              of the segments
/// flushed <= durable <= acknowledgeable <= submitted
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Below, bytes are in a group of the journal or the segments' writer's to bring.
    submitted: Cursor,
    /// `durable_end_offset`: all below is flushed, in the journal or in the segments.
    durable: Offset,
    /// All below is as durable as the log's mode asks for an acknowledgement.
    acknowledgeable: Offset,
    /// All below is in the segments' files, not necessarily flushed.
    written: Cursor,
    /// All below is flushed in the segments.
    flushed: Cursor,
    /// What went past the journal, straight to the segments: acknowledged when it is there.
    bypass_end: Offset,
    write_goal: Offset,
    flush_goal: Offset,
    /// A write was made for a flush, which comes before the next write.
    flush_due: bool,
}

/// What the segments' writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Write,
    Flush,
    /// The segment is complete and flushed; on to the next.
    Advance,
}

impl Progress {
    /// Of a log all of which is flushed up to `end`.
    pub(crate) fn new(end: Cursor) -> Self {
        Progress {
            submitted: end,
            durable: end.offset,
            acknowledgeable: end.offset,
            written: end,
            flushed: end,
            bypass_end: end.offset,
            write_goal: end.offset,
            flush_goal: end.offset,
            flush_due: false,
        }
    }

    pub(crate) fn submitted(&self) -> Cursor {
        self.submitted
    }

    pub(crate) fn durable(&self) -> Offset {
        self.durable
    }

    pub(crate) fn acknowledgeable(&self) -> Offset {
        self.acknowledgeable
    }

    pub(crate) fn written(&self) -> Cursor {
        self.written
    }

    pub(crate) fn flushed(&self) -> Cursor {
        self.flushed
    }

    /// Memory may be let go of below: it is in files, and nobody has still to copy it.
    pub(crate) fn clean_end(&self) -> Cursor {
        if self.written.offset <= self.submitted.offset { self.written } else { self.submitted }
    }

    /// Something that went past the journal is not where an acknowledgement wants it. What comes
    /// after gathers: nothing is acknowledged over a gap, and bulk stays bulk.
    pub(crate) fn is_bypassing(&self) -> bool {
        self.bypass_end > self.acknowledgeable && !reactor::planted!(acknowledge_over_a_gap)
    }

    /// Whether the next share may go into the journal: nothing before it is unflushed, so that its
    /// flush makes it part of the contiguous prefix. In the mode `written` a gap only defers what
    /// counts as durable.
    pub(crate) fn may_journal(&self, durability: Durability) -> bool {
        match durability {
            Durability::Flushed => {
                self.durable >= self.submitted.offset || reactor::planted!(acknowledge_over_a_gap)
            }
            Durability::Written => true,
        }
    }

    /// `submitted..end` goes into a group of the journal.
    pub(crate) fn submit_to_journal(&mut self, end: Cursor) {
        assert!(!self.is_bypassing(), "a share for the journal behind a gap: {self:?}");
        assert!(end.offset > self.submitted.offset, "an empty share up to {end:?}: {self:?}");
        self.submitted = end;
    }

    /// Everything up to `end` goes straight to the segments.
    pub(crate) fn submit_to_segments(&mut self, end: Cursor, durability: Durability) {
        self.submitted = max(self.submitted, end);
        self.bypass_end = self.bypass_end.max(end.offset);
        match durability {
            Durability::Flushed => self.ask_flush(end.offset),
            // The next checkpoint flushes it.
            Durability::Written => self.ask_write(end.offset),
        }
    }

    /// Has the writer bring everything up to `end` to the files, to be flushed another time.
    pub(crate) fn ask_write(&mut self, end: Offset) {
        self.write_goal = self.write_goal.max(end);
    }

    /// Has the writer flush everything up to `end`.
    pub(crate) fn ask_flush(&mut self, end: Offset) {
        self.flush_goal = self.flush_goal.max(end);
    }

    /// The journal has flushed the share `start..end`. In the mode `written` there may be a gap before
    /// it, and it does not count until the segments close it.
    pub(crate) fn journal_flushed(&mut self, start: Offset, end: Offset) {
        if start <= self.durable || reactor::planted!(acknowledge_over_a_gap) {
            self.durable = self.durable.max(end);
            self.acknowledgeable = self.acknowledgeable.max(self.durable);
        } else {
            reactor::mark!(journal_share_behind_a_gap);
        }
    }

    /// The device has the share `start..end` of the journal.
    pub(crate) fn journal_written(&mut self, start: Offset, end: Offset, durability: Durability) {
        if durability == Durability::Written && start <= self.acknowledgeable {
            self.acknowledgeable = self.acknowledgeable.max(end);
        }
    }

    /// What is due in the writer's segment, which ends at `segment_end` and, where `is_rolled`, is
    /// followed by another.
    pub(crate) fn due(&self, segment_end: Offset, is_rolled: bool) -> Option<Due> {
        let wants_flush = self.flush_goal > self.flushed.offset;
        let wants_write = self.write_goal.max(self.flush_goal) > self.written.offset;
        let is_unflushed = self.written != self.flushed;
        if self.flush_due && is_unflushed {
            return Some(Due::Flush);
        }
        if wants_write && segment_end > self.written.offset {
            return Some(Due::Write);
        }
        // The next segment's file is not even made before this one is flushed: a crash never leaves
        // a gap between the two.
        if is_rolled && segment_end == self.written.offset {
            if !is_unflushed {
                return Some(Due::Advance);
            }
            if wants_write {
                return Some(Due::Flush);
            }
        }
        (wants_flush && is_unflushed).then_some(Due::Flush)
    }

    /// How far the next write goes, unless to the end of the writer's segment. What waits for a group
    /// of the journal is left to it where nobody asked for it to be in the segments.
    pub(crate) fn write_end(&self) -> Option<Cursor> {
        let goal = self.write_goal.max(self.flush_goal);
        let is_enough = goal <= self.submitted.offset;
        (is_enough && self.submitted.segment == self.written.segment).then_some(self.submitted)
    }

    /// The files hold everything up to `end`. Returns how many bytes that is more than before.
    pub(crate) fn wrote(&mut self, end: Cursor, durability: Durability) -> u64 {
        assert_eq!(end.segment, self.written.segment, "the writer advances before it writes");
        let added = u64::from(end.position - self.written.position);
        self.written = end;
        if end.offset > self.submitted.offset {
            // It took along what no group of the journal will hold now.
            reactor::mark!(write_overtakes_the_journal);
            self.submit_to_segments(end, durability);
        }
        self.submitted = max(self.submitted, end);
        self.flush_due |= self.flush_goal > self.flushed.offset;
        if reactor::planted!(bypass_counts_when_written) {
            self.durable = self.durable.max(end.offset);
            self.acknowledgeable = self.acknowledgeable.max(end.offset);
        }
        if durability == Durability::Written {
            self.acknowledgeable = self.acknowledgeable.max(end.offset);
        }
        added
    }

    /// Everything that was written up to `end` is flushed.
    pub(crate) fn flushed_to(&mut self, end: Cursor) {
        self.flushed = end;
        self.flush_due = false;
        self.durable = self.durable.max(end.offset);
        self.acknowledgeable = self.acknowledgeable.max(self.durable);
    }

    /// The writer goes on at the start of the segment `next`.
    pub(crate) fn advance(&mut self, next: Offset) {
        assert_eq!(self.written, self.flushed, "a segment is flushed before the next begins");
        assert_eq!(self.written.offset, next, "segments follow each other");
        self.written = Cursor { segment: next, position: 0, offset: next };
        self.flushed = self.written;
        if self.submitted.offset == next {
            self.submitted = self.written;
        }
    }

    /// That the offsets are in order (INV-4 rests on it), for a log that ends at `log_end_offset`.
    pub(crate) fn check_invariants(&self, log_end_offset: Offset) {
        assert!(self.flushed.offset <= self.written.offset, "flushed <= written: {self:?}");
        assert!(self.flushed.offset <= self.durable, "flushed <= durable: {self:?}");
        assert!(self.durable <= self.acknowledgeable, "durable <= acknowledgeable: {self:?}");
        assert!(
            self.acknowledgeable <= self.submitted.offset,
            "INV-4: acknowledgeable <= submitted: {self:?}"
        );
        assert!(
            self.submitted.offset <= log_end_offset,
            "submitted <= log_end_offset {log_end_offset}: {self:?}"
        );
    }
}

/// The one further on. Where both have one offset, the one in the later segment.
fn max(one: Cursor, other: Cursor) -> Cursor {
    if (one.offset, one.segment) >= (other.offset, other.segment) { one } else { other }
}
