//! A lane: the queue of one kind of message from one core to another.
//!
//! One core pushes, one core pops. Both hold the lock for a few instructions only, and what must
//! be decided together with a push or pop (no place, closed, who starves) is decided under it.

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use std::collections::VecDeque;

pub(super) struct Lane<T> {
    state: Mutex<State<T>>,
    capacity: usize,
}

struct State<T> {
    queue: VecDeque<T>,
    /// The sender was refused for want of a place since the last pop.
    starving: bool,
    closed: bool,
}

/// Why a message was not taken; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused<T> {
    /// The lane is full. The pop that makes a place will say that the sender starves.
    Full(T),
    /// No one will pop from this lane any more.
    Closed(T),
}

/// A message, and whether its sender must be told of the place that it left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Popped<T> {
    pub(super) item: T,
    pub(super) sender_starves: bool,
}

impl<T> Lane<T> {
    pub(super) fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a lane without a place passes nothing");
        Lane {
            state: Mutex::new(State { queue: VecDeque::new(), starving: false, closed: false }),
            capacity,
        }
    }

    /// For messages whose number something else bounds.
    pub(super) fn unbounded() -> Self {
        Lane::bounded(usize::MAX)
    }

    pub(super) fn push(&self, item: T) -> Result<(), Refused<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed(item));
        }
        if state.queue.len() >= self.capacity {
            state.starving = true;
            return Err(Refused::Full(item));
        }
        state.queue.push_back(item);
        Ok(())
    }

    pub(super) fn pop(&self) -> Option<Popped<T>> {
        let mut state = self.lock();
        let item = state.queue.pop_front()?;
        let sender_starves = std::mem::take(&mut state.starving);
        Some(Popped { item, sender_starves })
    }

    /// Moves all messages to `taken`, which must be empty and lends the lane its memory in return.
    /// For unbounded lanes: no one is told of the places.
    pub(super) fn pop_all(&self, taken: &mut VecDeque<T>) {
        assert!(taken.is_empty(), "{} messages would get out of order", taken.len());
        debug_assert_eq!(self.capacity, usize::MAX, "a bounded lane is popped one by one");
        std::mem::swap(&mut self.lock().queue, taken);
    }

    /// Refuses every later push and returns what no one will pop, and whether the sender starves.
    pub(super) fn close(&self) -> Popped<VecDeque<T>> {
        let mut state = self.lock();
        state.closed = true;
        let item = std::mem::take(&mut state.queue);
        let sender_starves = std::mem::take(&mut state.starving);
        Popped { item, sender_starves }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no code of another runs under the lock of a lane")
    }
}
