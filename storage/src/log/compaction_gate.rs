//! One compaction of a log at a time, and none while its files are cut, closed or deleted.

use std::cell::Cell;
use std::future::Future;

use futures_lite::future::or;
use reactor::sync::{Budget, Notify, Share};

/// See the module.
pub(crate) struct CompactionGate {
    /// Of one share: who has it compacts, or keeps others from it.
    share: Budget,
    /// How many want it closed.
    closers: Cell<usize>,
    closing: Notify,
}

/// While it lives no compaction runs.
pub(crate) struct Closed<'a> {
    _closer: Closer<'a>,
    _share: Share,
}

impl CompactionGate {
    pub(crate) fn new() -> Self {
        CompactionGate { share: Budget::new(1), closers: Cell::new(0), closing: Notify::new() }
    }

    /// To be held by who compacts; `None` while somebody else does, or the gate is closed.
    pub(crate) fn enter(&self) -> Option<Share> {
        if self.is_closing() { None } else { self.share.try_take(1) }
    }

    /// Whether who compacts is to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.closers.get() > 0
    }

    /// Ends a compaction that runs, and awaits its end.
    pub(crate) async fn close(&self) -> Closed<'_> {
        let closer = Closer::new(self);
        let share = self.share.take(1).await;
        Closed { _closer: closer, _share: share }
    }

    /// Awaits `work`, but no longer than until the gate is to be closed.
    pub(crate) async fn unless_closing(&self, work: impl Future<Output = ()>) {
        let closing = self.closing.notified();
        if !self.is_closing() {
            or(work, closing).await;
        }
    }
}

/// Counts one who wants the gate closed, until dropped.
struct Closer<'a>(&'a CompactionGate);

impl<'a> Closer<'a> {
    fn new(gate: &'a CompactionGate) -> Self {
        gate.closers.set(gate.closers.get() + 1);
        gate.closing.notify_all();
        Closer(gate)
    }
}

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.0.closers.set(self.0.closers.get() - 1);
    }
}
