//! Waiting within one core: notifications, one-shots, bounded queues. Nothing here crosses cores, and
//! nothing depends on which world it runs in.
//!
//! Every future here may be dropped at any time: what was granted to it goes back or to the next in
//! line, so no wake-up is lost. No waker is woken or dropped under a borrow: dropping one may drop
//! the task that it belongs to, whose own futures come back here.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Wakers in the order in which they came, each under a ticket.
#[derive(Default)]
struct Waiters {
    wakers: RefCell<BTreeMap<u64, Waker>>,
    next_ticket: Cell<u64>,
}

impl Waiters {
    /// Stores the waker of `cx` under `ticket`, drawing one at the first call.
    fn register(&self, ticket: &mut Option<u64>, cx: &Context<'_>) {
        let key = *ticket.get_or_insert_with(|| {
            let next = self.next_ticket.get();
            self.next_ticket.set(next + 1);
            next
        });
        let mut wakers = self.wakers.borrow_mut();
        if wakers.get(&key).is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        let replaced = wakers.insert(key, cx.waker().clone());
        drop(wakers);
        drop(replaced);
    }

    /// Forgets `ticket`; false where it has been woken already.
    fn leave(&self, ticket: u64) -> bool {
        let waker = self.wakers.borrow_mut().remove(&ticket);
        waker.is_some()
    }

    fn wake_first(&self) {
        let first = self.wakers.borrow_mut().pop_first();
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }

    fn wake_all(&self) {
        for waker in self.wakers.take().into_values() {
            waker.wake();
        }
    }
}

/// Wakes whoever waits at the time of the call.
#[derive(Default)]
pub struct Notify {
    shared: Rc<Notifications>,
}

#[derive(Default)]
struct Notifications {
    count: Cell<u64>,
    waiters: Waiters,
}

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notify_all(&self) {
        self.shared.count.set(self.shared.count.get() + 1);
        self.shared.waiters.wake_all();
    }

    /// Resolves at the first `notify_all` after this call (not after the first poll). The future
    /// borrows nothing.
    pub fn notified(&self) -> impl Future<Output = ()> + 'static + use<> {
        Notified { seen: self.shared.count.get(), shared: self.shared.clone(), ticket: None }
    }
}

struct Notified {
    shared: Rc<Notifications>,
    /// Notifications before this future was made.
    seen: u64,
    ticket: Option<u64>,
}

impl Future for Notified {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.shared.count.get() != this.seen {
            return Poll::Ready(());
        }
        this.shared.waiters.register(&mut this.ticket, cx);
        Poll::Pending
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.waiters.leave(ticket);
        }
    }
}

/// A flag that is set once and stays. Clones are one flag.
#[derive(Clone, Default)]
pub struct Event {
    shared: Rc<Flag>,
}

#[derive(Default)]
struct Flag {
    is_set: Cell<bool>,
    waiters: Waiters,
}

impl Event {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn set(&self) {
        self.shared.is_set.set(true);
        self.shared.waiters.wake_all();
    }

    pub fn is_set(&self) -> bool {
        self.shared.is_set.get()
    }

    /// Resolves once the flag is set, at once where it is.
    pub fn wait(&self) -> impl Future<Output = ()> + 'static + use<> {
        EventWait { shared: self.shared.clone(), ticket: None }
    }
}

struct EventWait {
    shared: Rc<Flag>,
    ticket: Option<u64>,
}

impl Future for EventWait {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.shared.is_set.get() {
            return Poll::Ready(());
        }
        this.shared.waiters.register(&mut this.ticket, cx);
        Poll::Pending
    }
}

impl Drop for EventWait {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.waiters.leave(ticket);
        }
    }
}

/// The other end was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other end was dropped")]
pub struct Dropped;

pub struct OneshotSender<T> {
    /// Taken by `send`, so that the drop after it does nothing.
    slot: Option<Rc<RefCell<Slot<T>>>>,
}

pub struct OneshotReceiver<T> {
    slot: Rc<RefCell<Slot<T>>>,
}

/// What the two ends of a one-shot share.
enum Slot<T> {
    /// Nothing sent yet; the receiver's waker, once it has been polled.
    Empty(Option<Waker>),
    Full(T),
    /// The value was taken, or one end is gone.
    Closed,
}

pub fn oneshot<T>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    let slot = Rc::new(RefCell::new(Slot::Empty(None)));
    (OneshotSender { slot: Some(slot.clone()) }, OneshotReceiver { slot })
}

impl<T> OneshotSender<T> {
    /// Delivers; gives the value back where nobody waits any more.
    pub fn send(mut self, value: T) -> Result<(), T> {
        let slot = self.slot.take().expect("a sender has its slot until it sends");
        if matches!(*slot.borrow(), Slot::Closed) {
            return Err(value);
        }
        let before = slot.replace(Slot::Full(value));
        if let Slot::Empty(Some(waker)) = before {
            waker.wake();
        }
        Ok(())
    }

    /// True once the receiver is gone: nobody waits for the value.
    pub fn is_abandoned(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| matches!(*slot.borrow(), Slot::Closed))
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take()
            && let Slot::Empty(Some(waker)) = slot.replace(Slot::Closed)
        {
            waker.wake();
        }
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, Dropped>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = self.slot.replace(Slot::Closed);
        match before {
            Slot::Full(value) => Poll::Ready(Ok(value)),
            Slot::Closed => Poll::Ready(Err(Dropped)),
            Slot::Empty(waker) => {
                let waker = match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => waker,
                    _ => cx.waker().clone(),
                };
                self.slot.replace(Slot::Empty(Some(waker)));
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for OneshotReceiver<T> {
    fn drop(&mut self) {
        drop(self.slot.replace(Slot::Closed));
    }
}

/// A bounded queue between tasks of one core. Clones are one queue.
pub struct Queue<T> {
    shared: Rc<QueueShared<T>>,
}

struct QueueShared<T> {
    capacity: usize,
    /// The first `capacity` entries are in the queue, the rest wait for a place, in order of coming.
    entries: RefCell<VecDeque<QueueEntry<T>>>,
    next_ticket: Cell<u64>,
    is_closed: Cell<bool>,
    /// What still waited for a place when the queue was closed, until its `push` takes it back.
    returned: RefCell<BTreeMap<u64, T>>,
    poppers: Waiters,
}

struct QueueEntry<T> {
    ticket: u64,
    value: T,
    /// Of a `push` that waits for a place.
    waker: Option<Waker>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue { shared: self.shared.clone() }
    }
}

impl<T> Queue<T> {
    /// An empty queue of `capacity` places, at least one (asserted).
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue has at least one place");
        Queue {
            shared: Rc::new(QueueShared {
                capacity,
                entries: RefCell::default(),
                next_ticket: Cell::new(0),
                is_closed: Cell::new(false),
                returned: RefCell::default(),
                poppers: Waiters::default(),
            }),
        }
    }

    /// Appends, waiting while the queue is full. Gives the value back once the queue is closed.
    /// Waiting values keep the order of their first polls. Where the future is dropped before it
    /// resolves, the value is taken back with it unless it has been popped by then.
    pub async fn push(&self, value: T) -> Result<(), T> {
        Push { queue: &self.shared, value: Some(value), ticket: None }.await
    }

    /// Appends if there is room; gives the value back otherwise.
    pub fn try_push(&self, value: T) -> Result<(), T> {
        let has_room = self.shared.entries.borrow().len() < self.shared.capacity;
        if self.shared.is_closed.get() || !has_room {
            return Err(value);
        }
        self.shared.enter(value, None);
        Ok(())
    }

    /// The oldest value, waiting for one; `None` once the queue is closed and empty.
    pub async fn pop(&self) -> Option<T> {
        Pop { queue: &self.shared, ticket: None }.await
    }

    pub fn try_pop(&self) -> Option<T> {
        self.shared.take_front()
    }

    /// Values in the queue; those that wait for a place do not count.
    pub fn len(&self) -> usize {
        self.shared.entries.borrow().len().min(self.shared.capacity)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing more may be pushed; what is there may still be popped.
    pub fn close(&self) {
        let shared = &self.shared;
        if shared.is_closed.replace(true) {
            return;
        }
        let waiting = {
            let mut entries = shared.entries.borrow_mut();
            let in_queue = entries.len().min(shared.capacity);
            entries.split_off(in_queue)
        };
        let mut wakers = Vec::with_capacity(waiting.len());
        for entry in waiting {
            shared.returned.borrow_mut().insert(entry.ticket, entry.value);
            wakers.extend(entry.waker);
        }
        wakers.into_iter().for_each(Waker::wake);
        shared.poppers.wake_all();
    }
}

impl<T> QueueShared<T> {
    fn enter(&self, value: T, waker: Option<Waker>) -> u64 {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket + 1);
        self.entries.borrow_mut().push_back(QueueEntry { ticket, value, waker });
        self.poppers.wake_first();
        ticket
    }

    fn take_front(&self) -> Option<T> {
        let front = self.entries.borrow_mut().pop_front()?;
        self.wake_admitted();
        Some(front.value)
    }

    /// Wakes the push whose value has just come to the last place of the queue.
    fn wake_admitted(&self) {
        let waker = {
            let mut entries = self.entries.borrow_mut();
            entries.get_mut(self.capacity - 1).and_then(|entry| entry.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Where the entry of `ticket` lies; `None` once it was popped or returned.
    fn position(&self, ticket: u64) -> Option<usize> {
        self.entries.borrow().binary_search_by_key(&ticket, |entry| entry.ticket).ok()
    }
}

struct Push<'a, T> {
    queue: &'a QueueShared<T>,
    /// Until it enters `entries`.
    value: Option<T>,
    ticket: Option<u64>,
}

impl<T> Unpin for Push<'_, T> {}

impl<T> Future for Push<'_, T> {
    type Output = Result<(), T>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let queue = this.queue;
        if let Some(value) = this.value.take() {
            if queue.is_closed.get() {
                return Poll::Ready(Err(value));
            }
            let has_room = queue.entries.borrow().len() < queue.capacity;
            if has_room {
                queue.enter(value, None);
                return Poll::Ready(Ok(()));
            }
            this.ticket = Some(queue.enter(value, Some(cx.waker().clone())));
            return Poll::Pending;
        }
        let ticket = this.ticket.expect("polled after it resolved");
        if let Some(value) = queue.returned.borrow_mut().remove(&ticket) {
            this.ticket = None;
            return Poll::Ready(Err(value));
        }
        match queue.position(ticket) {
            Some(position) if position >= queue.capacity => {
                let replaced =
                    queue.entries.borrow_mut()[position].waker.replace(cx.waker().clone());
                drop(replaced);
                Poll::Pending
            }
            _ => {
                this.ticket = None;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<T> Drop for Push<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        if let Some(position) = self.queue.position(ticket) {
            let entry = self.queue.entries.borrow_mut().remove(position);
            drop(entry);
            if position < self.queue.capacity {
                self.queue.wake_admitted();
            }
        } else {
            let returned = self.queue.returned.borrow_mut().remove(&ticket);
            drop(returned);
        }
    }
}

struct Pop<'a, T> {
    queue: &'a QueueShared<T>,
    ticket: Option<u64>,
}

impl<T> Future for Pop<'_, T> {
    type Output = Option<T>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let front = this.queue.take_front();
        if front.is_none() && !this.queue.is_closed.get() {
            this.queue.poppers.register(&mut this.ticket, cx);
            return Poll::Pending;
        }
        if let Some(ticket) = this.ticket.take() {
            this.queue.poppers.leave(ticket);
        }
        Poll::Ready(front)
    }
}

impl<T> Drop for Pop<'_, T> {
    fn drop(&mut self) {
        // Woken for a value but dropped before it took it: the next in line must hear of it.
        if let Some(ticket) = self.ticket
            && !self.queue.poppers.leave(ticket)
            && !self.queue.entries.borrow().is_empty()
        {
            self.queue.poppers.wake_first();
        }
    }
}

/// A counted budget, handed out first come, first served. Clones are one budget.
#[derive(Clone)]
pub struct Budget {
    shared: Rc<BudgetShared>,
}

struct BudgetShared {
    size: usize,
    available: Cell<usize>,
    waiting: RefCell<BTreeMap<u64, Claim>>,
    next_ticket: Cell<u64>,
}

/// Someone's place in the line for a [`Budget`].
struct Claim {
    size: usize,
    waker: Waker,
}

/// A part of a [`Budget`]; it returns when dropped.
pub struct Share {
    budget: Rc<BudgetShared>,
    size: usize,
}

impl Budget {
    pub fn new(size: usize) -> Self {
        Budget {
            shared: Rc::new(BudgetShared {
                size,
                available: Cell::new(size),
                waiting: RefCell::default(),
                next_ticket: Cell::new(0),
            }),
        }
    }

    /// Waits for `size` units (at most the whole budget, asserted). A small claim never overtakes a
    /// large one that came before it.
    pub async fn take(&self, size: usize) -> Share {
        let whole = self.shared.size;
        assert!(size <= whole, "{size} units of a budget of {whole}");
        Take { budget: &self.shared, size, ticket: None }.await
    }

    /// `size` units, where they are free and nobody waits.
    pub fn try_take(&self, size: usize) -> Option<Share> {
        if !self.shared.waiting.borrow().is_empty() || self.shared.available.get() < size {
            return None;
        }
        Some(self.shared.grant(size))
    }

    pub fn available(&self) -> usize {
        self.shared.available.get()
    }
}

impl BudgetShared {
    fn grant(self: &Rc<Self>, size: usize) -> Share {
        self.available.set(self.available.get() - size);
        Share { budget: self.clone(), size }
    }

    /// Wakes the first in line if it can be served: it takes its units itself and then calls this for
    /// the one behind it.
    fn wake_first(&self) {
        let waker = {
            let waiting = self.waiting.borrow();
            waiting
                .first_key_value()
                .filter(|(_, claim)| claim.size <= self.available.get())
                .map(|(_, claim)| claim.waker.clone())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Take<'a> {
    budget: &'a Rc<BudgetShared>,
    size: usize,
    ticket: Option<u64>,
}

impl Future for Take<'_> {
    type Output = Share;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Share> {
        let this = self.get_mut();
        let budget = this.budget;
        let first = budget.waiting.borrow().first_key_value().map(|(ticket, _)| *ticket);
        let is_first = first.is_none() || first == this.ticket;
        if is_first && this.size <= budget.available.get() {
            let share = budget.grant(this.size);
            if let Some(ticket) = this.ticket.take() {
                let claim = budget.waiting.borrow_mut().remove(&ticket);
                drop(claim);
                budget.wake_first();
            }
            return Poll::Ready(share);
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            let next = budget.next_ticket.get();
            budget.next_ticket.set(next + 1);
            next
        });
        let claim = Claim { size: this.size, waker: cx.waker().clone() };
        let replaced = budget.waiting.borrow_mut().insert(ticket, claim);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let claim = self.budget.waiting.borrow_mut().remove(&ticket);
            drop(claim);
            self.budget.wake_first();
        }
    }
}

impl Share {
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.available.set(self.budget.available.get() + self.size);
        self.budget.wake_first();
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("size", &self.size).finish()
    }
}

#[cfg(test)]
mod tests;
