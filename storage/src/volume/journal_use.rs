//! What a volume's journal has taken, counted since the start.

use std::cell::Cell;
use std::time::Duration;

use reactor::latencies::{Latencies, LatencyCounts};

/// What one core has written to its journal in one log directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalUse {
    pub group_count: u64,
    /// Of all groups, padding included.
    pub written_bytes: u64,
    /// What a replay would read now.
    pub size_bytes: u64,
    /// How long the writing of a group took, with its flush where somebody waited for that.
    pub commits: LatencyCounts,
}

/// Counts while the journal is written.
#[derive(Default)]
pub(super) struct JournalCounts {
    group_count: Cell<u64>,
    written_bytes: Cell<u64>,
    commits: Latencies,
}

impl JournalCounts {
    /// A group of `size_bytes` was written, and flushed where that is awaited.
    pub(super) fn committed(&self, size_bytes: u64, took: Duration) {
        self.group_count.set(self.group_count.get() + 1);
        self.written_bytes.set(self.written_bytes.get() + size_bytes);
        self.commits.record(took);
    }

    pub(super) fn so_far(&self, size_bytes: u64) -> JournalUse {
        JournalUse {
            group_count: self.group_count.get(),
            written_bytes: self.written_bytes.get(),
            size_bytes,
            commits: self.commits.counts(),
        }
    }
}
