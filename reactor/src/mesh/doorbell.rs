//! The sleep/wake hand-shake: how a core learns that others left something for it in its lanes.
//!
//! One word per core holds what was signalled and not yet looked at, and whether the core is parked.
//! A sender first puts something into a lane, then signals; only the first signal after the core
//! parked rings its bell, so a batch costs one ring. A receiver takes the signals, looks at the
//! lanes they name, and parks when nothing is left.
//!
//! Why no wake-up is lost: `signal`, `take` and `park` each change the word in one atomic step, so
//! they have one order. A signal before `park` makes `park` refuse; a signal after it finds the core
//! parked and rings. A signal that `take` returned was preceded by its push, which is then visible.
//!
//! This file is checked as it is with loom (`cargo xtask loom`), the lanes included.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

use std::ops::BitOr;

/// What a core can be told to look at, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signals(u32);

impl Signals {
    const NONE: Self = Signals(0);
    /// A control is in a lane to this core.
    pub(super) const CONTROLS: Self = Signals(1);
    /// A request is in a lane to this core.
    pub(super) const REQUESTS: Self = Signals(1 << 1);
    /// A reply is in a lane to this core.
    pub(super) const REPLIES: Self = Signals(1 << 2);
    /// A place came free in a lane from this core that had been full.
    pub(super) const CREDITS: Self = Signals(1 << 3);

    pub(super) fn contains(self, other: Signals) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn is_empty(self) -> bool {
        self == Signals::NONE
    }
}

impl BitOr for Signals {
    type Output = Signals;
    fn bitor(self, other: Signals) -> Signals {
        Signals(self.0 | other.0)
    }
}

/// The core waits for its bell. No signal has this bit.
const PARKED: u32 = 1 << 31;

/// One core's word. It has a cache line of its own: every sender writes to it.
#[repr(align(64))]
pub(super) struct Doorbell {
    word: AtomicU32,
}

impl Doorbell {
    pub(super) fn new() -> Self {
        Doorbell { word: AtomicU32::new(0) }
    }

    /// Tells the core to look at what `signals` names, which must be in its lanes already. True:
    /// the core is parked and no one has rung its bell since, so the caller must.
    #[must_use = "a parked core sleeps until its bell is rung"]
    pub(super) fn signal(&self, signals: Signals) -> bool {
        self.word.fetch_or(signals.0, Ordering::AcqRel) == PARKED
    }

    /// Whether there is something to take. One plain load: for the core itself to ask often.
    pub(super) fn is_signalled(&self) -> bool {
        self.word.load(Ordering::Relaxed) & !PARKED != 0
    }

    /// Takes what was signalled; the core counts as awake. Only the core itself may call this, and
    /// it must look at everything that the signals name.
    pub(super) fn take(&self) -> Signals {
        Signals(self.word.swap(0, Ordering::AcqRel) & !PARKED)
    }

    /// Announces that the core is about to wait for its bell. False: something was signalled since
    /// the last `take`, the core is not parked and must look first.
    #[must_use = "only a parked core may wait for its bell"]
    pub(super) fn park(&self) -> bool {
        if cfg!(planted_lost_wakeup) {
            // What the loom check must catch: announcing without looking whether the word still
            // was empty, so that a signal from just before is overwritten.
            self.word.store(PARKED, Ordering::Release);
            return true;
        }
        match self.word.compare_exchange(0, PARKED, Ordering::AcqRel, Ordering::Acquire) {
            // A bell that rang for nothing has left the core parked.
            Ok(_) | Err(PARKED) => true,
            Err(_signalled) => false,
        }
    }
}
