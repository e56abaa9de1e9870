//! Timers: deadlines in order, the next of them with the ring.
//!
//! glommio's own timers are looked at only when a time slice ends; what the ring completes is seen
//! between any two tasks. Source: docs/adr/0030-sockets-and-timers-on-our-own-ring.md.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::clock;
use super::operation::Operation;
use super::ring::{InFlight, Ring};
use crate::time::Instant;

pub(crate) struct Timers {
    ring: Rc<Ring>,
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_id: Cell<u64>,
    /// What the ring was asked for, the earliest last. The first sleeper is never before it.
    armed: RefCell<Vec<(Instant, InFlight)>>,
    /// The ring has completed some of `armed`.
    due: Rc<Cell<bool>>,
}

impl Timers {
    pub(crate) fn new(ring: Rc<Ring>) -> Self {
        Timers {
            ring,
            sleepers: RefCell::default(),
            next_id: Cell::new(0),
            armed: RefCell::default(),
            due: Rc::default(),
        }
    }

    /// Resolves at `deadline`.
    pub(crate) fn sleep_until(self: &Rc<Self>, deadline: Instant) -> Sleep {
        Sleep { timers: self.clone(), deadline, id: None }
    }

    /// Wakes those whose time has come. Call after each drain of the ring.
    pub(crate) fn expire(&self) {
        if !self.due.take() {
            return;
        }
        let now = Instant(clock::monotonic_ns());
        let expired = {
            let mut sleepers = self.sleepers.borrow_mut();
            // `(now, MAX)` itself is no sleeper: ids do not get there.
            let later = sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut *sleepers, later)
        };
        let passed: Vec<_> = {
            let mut armed = self.armed.borrow_mut();
            let first_passed = armed.partition_point(|(deadline, _)| *deadline > now);
            armed.drain(first_passed..).collect()
        };
        drop(passed);
        let next = self.sleepers.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        if let Some(next) = next {
            self.arm(next);
        }
        for waker in expired.into_values() {
            waker.wake();
        }
    }

    /// Has the ring complete something at `deadline`, or earlier.
    fn arm(&self, deadline: Instant) {
        let mut armed = self.armed.borrow_mut();
        if armed.last().is_none_or(|(earliest, _)| deadline < *earliest) {
            let timeout = self.ring.start(Operation::timeout(deadline, self.due.clone()));
            armed.push((deadline, timeout));
        }
    }
}

pub(crate) struct Sleep {
    timers: Rc<Timers>,
    deadline: Instant,
    /// Its place among the sleepers.
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if clock::monotonic_ns() >= self.deadline.0 {
            return Poll::Ready(());
        }
        let id = match self.id {
            Some(id) => id,
            None => {
                let id = self.timers.next_id.get();
                self.timers.next_id.set(id + 1);
                self.timers.arm(self.deadline);
                self.id = Some(id);
                id
            }
        };
        let waker = context.waker().clone();
        let former = self.timers.sleepers.borrow_mut().insert((self.deadline, id), waker);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = self.timers.sleepers.borrow_mut().remove(&(self.deadline, id));
            drop(waker);
        }
    }
}
