//! What wakes the tasks of one core for what other cores did: it hears the doorbell.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use futures_lite::future::yield_now;

use super::answers::Answers;
use super::bell::Bell;
use super::doorbell::Signals;
use super::fabric::Ends;
use super::inbox::Arrivals;
use super::outbox::Outbox;

/// Turns of the core in which the driver finds nothing before it parks. While it is not parked, a
/// signal costs its sender no system call, and a core at work hears it at its next turn.
const QUIET_TURNS_MAX: u32 = 8;

/// Holds nothing alive: it serves whoever of the others is still there.
pub(super) struct Driver<M, R> {
    here: usize,
    ends: Arc<Ends>,
    arrivals: Rc<Arrivals>,
    outbox: Weak<Outbox<M>>,
    answers: Weak<Answers<R>>,
}

impl<M, R> Driver<M, R> {
    pub(super) fn new(
        here: usize,
        ends: Arc<Ends>,
        arrivals: Rc<Arrivals>,
        outbox: &Rc<Outbox<M>>,
        answers: &Rc<Answers<R>>,
    ) -> Self {
        let (outbox, answers) = (Rc::downgrade(outbox), Rc::downgrade(answers));
        Driver { here, ends, arrivals, outbox, answers }
    }

    /// Takes what was signalled and sees to it. Without a system call; one load where nothing was.
    /// Returns whether something was.
    pub(super) fn look(&self) -> bool {
        if !self.ends.doorbell(self.here).is_signalled() {
            return false;
        }
        let signals = self.ends.doorbell(self.here).take();
        self.arrivals.note(signals);
        if let Some(answers) = self.answers.upgrade() {
            if signals.contains(Signals::REPLIES) {
                answers.collect();
            }
            if signals.contains(Signals::CREDITS)
                && let Some(outbox) = self.outbox.upgrade()
            {
                outbox.refill_all(&answers);
            }
        }
        !signals.is_empty()
    }

    /// The driver's task. It has no end of its own: its owner drops it.
    pub(super) async fn run(self: Rc<Self>, bell: Bell) {
        let mut quiet_turns = 0;
        loop {
            quiet_turns = if self.look() { 0 } else { quiet_turns + 1 };
            if quiet_turns < QUIET_TURNS_MAX {
                yield_now().await;
            } else if self.ends.doorbell(self.here).park() {
                bell.wait().await;
                // Whatever rang has also signalled, unless a task of this core took it first.
                quiet_turns = 0;
            }
        }
    }
}
