//! The receiving side on one core.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::answers::{Answers, Reply};
use super::doorbell::Signals;
use super::driver::Driver;
use super::fabric::Fabric;
use super::outbox::Outbox;
use crate::core::CoreIndex;

/// Messages that [`Inbox::next`] gives out in a row before it lets other tasks of the core run.
const BURST_MAX: usize = 64;

/// The receiving side on one core. Dropping it closes the lanes to this core: every request in them,
/// and every later one, is answered [`Abandoned`](super::Abandoned).
pub struct Inbox<M, R> {
    receiving: Receiving<M, R>,
    arrivals: Rc<Arrivals>,
    outbox: Rc<Outbox<M>>,
    answers: Rc<Answers<R>>,
    driver: Rc<Driver<M, R>>,
    /// Controls that have left their lanes and were not given out yet.
    controls: VecDeque<(CoreIndex, M)>,
    /// What was just taken from a lane of controls; kept for its memory.
    collected: VecDeque<M>,
    /// The core whose lane of requests is looked at first.
    turn: usize,
    /// Messages given out since other tasks could run.
    burst: usize,
}

/// One message, and where its reply goes.
#[derive(Debug)]
pub struct Incoming<M, R> {
    pub from: CoreIndex,
    pub message: M,
    /// `None` for a control.
    pub reply: Option<Reply<R>>,
}

impl<M: Send + 'static, R: Send + 'static> Inbox<M, R> {
    pub(super) fn new(
        receiving: Receiving<M, R>,
        arrivals: Rc<Arrivals>,
        outbox: Rc<Outbox<M>>,
        answers: Rc<Answers<R>>,
        driver: Rc<Driver<M, R>>,
    ) -> Self {
        Inbox {
            receiving,
            arrivals,
            outbox,
            answers,
            driver,
            controls: VecDeque::new(),
            collected: VecDeque::new(),
            turn: 0,
            burst: 0,
        }
    }

    /// The next message: controls first, then requests, the lanes in turn. Lets other tasks of the
    /// core run now and then, also while messages are there. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Incoming<M, R> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Incoming<M, R>> {
        if self.burst == BURST_MAX {
            self.burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.driver.look();
        let next = self.next_control().or_else(|| self.next_request());
        match next {
            Some(incoming) => {
                self.burst += 1;
                Poll::Ready(incoming)
            }
            None => {
                self.burst = 0;
                self.arrivals.wait(cx.waker());
                Poll::Pending
            }
        }
    }

    fn next_control(&mut self) -> Option<Incoming<M, R>> {
        if self.arrivals.controls.take() {
            let Receiving { here, fabric } = &self.receiving;
            for from in 0..fabric.ends.core_count() {
                fabric.controls.lane(from, *here).pop_all(&mut self.collected);
                let controls = self.collected.drain(..).map(|message| (CoreIndex(from), message));
                self.controls.extend(controls);
            }
        }
        let (from, message) = self.controls.pop_front()?;
        Some(Incoming { from, message, reply: None })
    }

    fn next_request(&mut self) -> Option<Incoming<M, R>> {
        if !self.arrivals.requests.get() {
            return None;
        }
        let Receiving { here, fabric } = &self.receiving;
        let core_count = fabric.ends.core_count();
        for from in (self.turn..core_count).chain(0..self.turn) {
            let Some(popped) = fabric.requests.lane(from, *here).pop() else { continue };
            self.turn = (from + 1) % core_count;
            if popped.sender_starves {
                // The place that this request left is the credit that its sender waits for.
                if from == *here {
                    self.outbox.refill(&self.answers, from);
                } else {
                    fabric.ends.signal(from, Signals::CREDITS);
                }
            }
            let reply = Reply::new(self.answers.clone(), CoreIndex(from), popped.item.slot);
            let message = popped.item.message;
            return Some(Incoming { from: CoreIndex(from), message, reply: Some(reply) });
        }
        // All lanes were seen empty; whoever fills one from now on signals it again.
        self.arrivals.requests.set(false);
        None
    }
}

/// The receiving end of all lanes to one core, before and after that core attaches. Dropping it
/// closes them, so that no one waits for a core that is not there.
pub(super) struct Receiving<M, R> {
    pub(super) here: usize,
    pub(super) fabric: Fabric<M, R>,
}

impl<M, R> Drop for Receiving<M, R> {
    fn drop(&mut self) {
        self.fabric.close_incoming(self.here);
    }
}

/// Which incoming lanes may hold something, and who waits for that. Of one core.
#[derive(Default)]
pub(super) struct Arrivals {
    controls: Cell<bool>,
    requests: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Arrivals {
    /// Notes what was signalled, and wakes the inbox for it.
    pub(super) fn note(&self, signals: Signals) {
        let controls = signals.contains(Signals::CONTROLS);
        let requests = signals.contains(Signals::REQUESTS);
        if controls {
            self.controls.set(true);
        }
        if requests {
            self.requests.set(true);
        }
        if controls || requests {
            let waker = self.waker.take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn wait(&self, waker: &Waker) {
        let replaced = self.waker.replace(Some(waker.clone()));
        drop(replaced);
    }
}
