//! The sending side on one core: lanes to all cores, and what waits for a place in them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::answers::{Abandoned, Answer, Answers, Pending};
use super::doorbell::Signals;
use super::fabric::{Ends, Fabric, Grid, Request};
use super::inbox::Arrivals;
use super::lane::Refused;

/// A request that may be waiting for a place in its lane. Resolves once it has one. Dropped before
/// that, it takes the request back: the owner will never see it.
#[must_use = "a request is taken back where nobody waits for its place in the lane"]
pub struct Enqueue<M, R> {
    outbox: Rc<Outbox<M>>,
    to: usize,
    /// `None` where the request found its place at once.
    ticket: Option<Ticket>,
    /// `None` once given out.
    pending: Option<Pending<R>>,
}

impl<M, R> Unpin for Enqueue<M, R> {}

impl<M, R> Future for Enqueue<M, R> {
    type Output = Pending<R>;

    /// Ready once. Panics where it is polled again after that.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Pending<R>> {
        if let Some(ticket) = self.ticket {
            let replaced = self.outbox.backlogs[self.to].borrow_mut().wait(ticket, cx);
            if replaced.is_ok() {
                return Poll::Pending;
            }
            self.ticket = None;
        }
        Poll::Ready(self.pending.take().expect("awaited once"))
    }
}

impl<M, R> Drop for Enqueue<M, R> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let taken_back = self.outbox.backlogs[self.to].borrow_mut().remove(ticket);
            drop(taken_back); // Once the backlog is free again: it may be anything.
        }
    }
}

/// One core's lanes to all cores.
pub(super) struct Outbox<M> {
    here: usize,
    ends: Arc<Ends>,
    requests: Arc<Grid<Request<M>>>,
    controls: Arc<Grid<M>>,
    backlogs: Box<[RefCell<Backlog<M>>]>,
    /// How this core's own inbox hears of what its own tasks send.
    arrivals: Rc<Arrivals>,
}

impl<M> Outbox<M> {
    pub(super) fn new<R>(here: usize, fabric: &Fabric<M, R>, arrivals: Rc<Arrivals>) -> Self {
        let core_count = fabric.ends.core_count();
        Outbox {
            here,
            ends: fabric.ends.clone(),
            requests: fabric.requests.clone(),
            controls: fabric.controls.clone(),
            backlogs: (0..core_count).map(|_| RefCell::new(Backlog::default())).collect(),
            arrivals,
        }
    }

    pub(super) fn here(&self) -> usize {
        self.here
    }

    pub(super) fn core_count(&self) -> usize {
        self.backlogs.len()
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.backlogs.iter().map(|backlog| backlog.borrow().queue.len()).sum()
    }

    pub(super) fn request<R>(
        self: &Rc<Self>,
        answers: &Rc<Answers<R>>,
        to: usize,
        message: M,
    ) -> Enqueue<M, R> {
        let pending = answers.reserve();
        let request = Request { slot: pending.slot(), message };
        let ticket = self.enqueue(answers, to, request);
        Enqueue { outbox: self.clone(), to, ticket, pending: Some(pending) }
    }

    /// Puts the request into its lane, or behind those that already wait for a place there.
    fn enqueue<R>(&self, answers: &Answers<R>, to: usize, request: Request<M>) -> Option<Ticket> {
        let refused = {
            let mut backlog = self.backlogs[to].borrow_mut();
            if !backlog.is_empty() {
                return Some(backlog.append(request));
            }
            match self.requests.lane(self.here, to).push(request) {
                Ok(()) => None,
                Err(Refused::Full(request)) => return Some(backlog.append(request)),
                Err(Refused::Closed(request)) => Some(request),
            }
        };
        match refused {
            None => self.tell(to, Signals::REQUESTS),
            Some(request) => abandon(answers, request),
        }
        None
    }

    pub(super) fn control(&self, to: usize, message: M) {
        match self.controls.lane(self.here, to).push(message) {
            Ok(()) => self.tell(to, Signals::CONTROLS),
            // A core that has ended has nothing left to be told of.
            Err(Refused::Closed(message)) => drop(message),
            Err(Refused::Full(_)) => unreachable!("a lane of controls has no bound"),
        }
    }

    /// Fills every lane that has places again with what waits for them.
    pub(super) fn refill_all<R>(&self, answers: &Answers<R>) {
        for to in 0..self.backlogs.len() {
            self.refill(answers, to);
        }
    }

    /// Fills the lane to core `to` with what waits for places in it.
    pub(super) fn refill<R>(&self, answers: &Answers<R>, to: usize) {
        let mut moved = false;
        loop {
            // What wakes or drops runs with the backlog free again.
            let (waker, refused) = {
                let mut backlog = self.backlogs[to].borrow_mut();
                let Some(mut waiting) = backlog.queue.pop_front() else { break };
                match self.requests.lane(self.here, to).push(waiting.request) {
                    Ok(()) => (waiting.waker, None),
                    Err(Refused::Full(request)) => {
                        waiting.request = request;
                        backlog.queue.push_front(waiting);
                        break;
                    }
                    Err(Refused::Closed(request)) => (waiting.waker, Some(request)),
                }
            };
            match refused {
                None => moved = true,
                Some(request) => abandon(answers, request),
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        if moved {
            self.tell(to, Signals::REQUESTS);
        }
    }

    fn tell(&self, to: usize, signals: Signals) {
        if to == self.here {
            self.arrivals.note(signals);
        } else {
            self.ends.signal(to, signals);
        }
    }
}

/// The core it was for has ended.
fn abandon<M, R>(answers: &Answers<R>, request: Request<M>) {
    answers.deliver(Answer { slot: request.slot, result: Err(Abandoned) });
}

/// A place in the line before a full lane. Later calls have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket(u64);

/// Requests of this core that wait for a place in one lane, in the order of their calls. Its length
/// is the number of tasks that wait: each holds back at most what it asked for.
struct Backlog<M> {
    queue: VecDeque<Waiting<M>>,
    next_ticket: Ticket,
}

struct Waiting<M> {
    ticket: Ticket,
    request: Request<M>,
    waker: Option<Waker>,
}

impl<M> Default for Backlog<M> {
    fn default() -> Self {
        Backlog { queue: VecDeque::new(), next_ticket: Ticket(0) }
    }
}

impl<M> Backlog<M> {
    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn append(&mut self, request: Request<M>) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket = Ticket(ticket.0 + 1);
        self.queue.push_back(Waiting { ticket, request, waker: None });
        ticket
    }

    /// Has `cx` woken when `ticket` gets its place, and returns the waker that it replaced. Error:
    /// the ticket has got it.
    fn wait(&mut self, ticket: Ticket, cx: &Context<'_>) -> Result<Option<Waker>, Served> {
        let index = self.find(ticket).ok_or(Served)?;
        Ok(self.queue[index].waker.replace(cx.waker().clone()))
    }

    /// Takes the request of `ticket` back; `None` where it has got its place.
    fn remove(&mut self, ticket: Ticket) -> Option<Waiting<M>> {
        let index = self.find(ticket)?;
        self.queue.remove(index)
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.queue.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

/// The request is in its lane.
struct Served;
