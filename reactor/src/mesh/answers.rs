//! Replies: the slots in which a core waits for them, and the right to give one.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::fabric::{Ends, Grid, send_answer};
use crate::core::CoreIndex;
use crate::task::Task;

/// A reply that is to come. Dropping it abandons the reply, not the request.
#[must_use = "a request whose reply nobody awaits is a control"]
pub struct Pending<R> {
    answers: Rc<Answers<R>>,
    slot: SlotKey,
}

/// The owner dropped the request without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was dropped without a reply")]
pub struct Abandoned;

impl<R> Pending<R> {
    pub(super) fn slot(&self) -> SlotKey {
        self.slot
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<R, Abandoned>;

    /// Ready once. Panics where it is polled again after that.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (polled, replaced) = self.answers.slots.borrow_mut().poll(self.slot, cx);
        drop(replaced); // Once the slots are free again: the last waker of a task drops the task.
        polled
    }
}

impl<R> Drop for Pending<R> {
    fn drop(&mut self) {
        let unread = self.answers.slots.borrow_mut().release(self.slot);
        drop(unread); // Once the slots are free again: it may be anything.
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("slot", &self.slot).finish()
    }
}

/// The right to answer one request once, now or later; it may be kept as data. Dropping it answers
/// [`Abandoned`].
pub struct Reply<R> {
    /// `None` once it has been used.
    answers: Option<Rc<Answers<R>>>,
    asker: CoreIndex,
    slot: SlotKey,
}

impl<R> Reply<R> {
    pub(super) fn new(answers: Rc<Answers<R>>, asker: CoreIndex, slot: SlotKey) -> Self {
        Reply { answers: Some(answers), asker, slot }
    }

    /// Answers. Never waits.
    pub fn send(mut self, reply: R) {
        self.answer(Ok(reply));
    }

    fn answer(&mut self, result: Result<R, Abandoned>) {
        if let Some(answers) = self.answers.take() {
            answers.answer(self.asker.0, Answer { slot: self.slot, result });
        }
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        self.answer(Err(Abandoned));
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("asker", &self.asker).field("slot", &self.slot).finish()
    }
}

/// A reply on its way to the core that asked.
pub(super) struct Answer<R> {
    pub(super) slot: SlotKey,
    pub(super) result: Result<R, Abandoned>,
}

/// One core's share in replies: those it waits for, and those it gives.
pub(super) struct Answers<R> {
    here: usize,
    ends: Arc<Ends>,
    lanes: Arc<Grid<Answer<R>>>,
    slots: RefCell<Slots<R>>,
    /// What `collect` took from a lane; kept for its memory.
    collected: RefCell<VecDeque<Answer<R>>>,
    /// The task that calls `collect`: whoever waits for a reply keeps it alive.
    driver: OnceCell<Task<()>>,
}

impl<R> Answers<R> {
    pub(super) fn new(here: usize, ends: Arc<Ends>, lanes: Arc<Grid<Answer<R>>>) -> Self {
        Answers {
            here,
            ends,
            lanes,
            slots: RefCell::new(Slots::default()),
            collected: RefCell::default(),
            driver: OnceCell::new(),
        }
    }

    pub(super) fn own_driver(&self, driver: Task<()>) {
        let first = self.driver.set(driver).is_ok();
        assert!(first, "core {} has two drivers", self.here);
    }

    /// Reserves the slot of a reply that is to come.
    pub(super) fn reserve(self: &Rc<Self>) -> Pending<R> {
        let slot = self.slots.borrow_mut().reserve();
        Pending { answers: self.clone(), slot }
    }

    /// Gives `answer` to core `asker`.
    fn answer(&self, asker: usize, answer: Answer<R>) {
        if asker == self.here {
            self.deliver(answer);
        } else {
            send_answer(&self.ends, &self.lanes, self.here, asker, answer);
        }
    }

    /// Takes what the lanes to this core hold and wakes who waits for it.
    pub(super) fn collect(&self) {
        for from in 0..self.lanes.core_count() {
            let mut collected = self.collected.take();
            self.lanes.lane(from, self.here).pop_all(&mut collected);
            for answer in collected.drain(..) {
                self.deliver(answer);
            }
            self.collected.replace(collected);
        }
    }

    /// Puts `answer` where its asker, on this core, looks for it.
    pub(super) fn deliver(&self, answer: Answer<R>) {
        let delivered = self.slots.borrow_mut().deliver(answer);
        // With the slots free again: neither a waker nor an unwanted reply is ours to know.
        match delivered {
            Delivered::Wake(waker) => waker.wake(),
            Delivered::Kept => {}
            Delivered::Unwanted(result) => drop(result),
        }
    }
}

impl<R> Drop for Answers<R> {
    fn drop(&mut self) {
        for from in 0..self.lanes.core_count() {
            drop(self.lanes.lane(from, self.here).close());
        }
    }
}

/// Names a slot for one use: a late reply finds another generation and is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotKey {
    index: usize,
    generation: u64,
}

struct Slots<R> {
    slots: Vec<Slot<R>>,
    free: Vec<usize>,
}

struct Slot<R> {
    generation: u64,
    state: SlotState<R>,
}

enum SlotState<R> {
    /// Nobody has polled yet.
    Unpolled,
    Waiting(Waker),
    Answered(Result<R, Abandoned>),
    /// The answer has been read; its reader has still to give the slot back.
    Read,
    Free,
}

type SlotPoll<R> = Poll<Result<R, Abandoned>>;

enum Delivered<R> {
    Wake(Waker),
    /// Nobody has asked for it yet.
    Kept,
    /// Whoever waited for it gave up.
    Unwanted(Result<R, Abandoned>),
}

impl<R> Default for Slots<R> {
    fn default() -> Self {
        Slots { slots: Vec::new(), free: Vec::new() }
    }
}

impl<R> Slots<R> {
    fn reserve(&mut self) -> SlotKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, state: SlotState::Free });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.state = SlotState::Unpolled;
        SlotKey { index, generation: slot.generation }
    }

    /// Also returns the waker that `cx` replaced.
    fn poll(&mut self, key: SlotKey, cx: &Context<'_>) -> (SlotPoll<R>, Option<Waker>) {
        let slot = self.own(key);
        match std::mem::replace(&mut slot.state, SlotState::Read) {
            SlotState::Answered(result) => (Poll::Ready(result), None),
            SlotState::Unpolled => {
                slot.state = SlotState::Waiting(cx.waker().clone());
                (Poll::Pending, None)
            }
            SlotState::Waiting(waker) => {
                slot.state = SlotState::Waiting(cx.waker().clone());
                (Poll::Pending, Some(waker))
            }
            SlotState::Read => panic!("a reply was awaited again after it had come"),
            SlotState::Free => unreachable!("{key:?} is free and owned"),
        }
    }

    fn deliver(&mut self, answer: Answer<R>) -> Delivered<R> {
        let slot = &mut self.slots[answer.slot.index];
        if slot.generation != answer.slot.generation {
            return Delivered::Unwanted(answer.result);
        }
        match std::mem::replace(&mut slot.state, SlotState::Answered(answer.result)) {
            SlotState::Waiting(waker) => Delivered::Wake(waker),
            SlotState::Unpolled => Delivered::Kept,
            SlotState::Answered(_) | SlotState::Read | SlotState::Free => {
                unreachable!("{:?} is answered twice", answer.slot)
            }
        }
    }

    /// Frees the slot; what nobody read comes back.
    fn release(&mut self, key: SlotKey) -> SlotState<R> {
        let slot = self.own(key);
        slot.generation += 1;
        let unread = std::mem::replace(&mut slot.state, SlotState::Free);
        self.free.push(key.index);
        unread
    }

    /// The slot of a key that its owner still holds.
    fn own(&mut self, key: SlotKey) -> &mut Slot<R> {
        let slot = &mut self.slots[key.index];
        assert_eq!(slot.generation, key.generation, "slot {} was given away", key.index);
        slot
    }
}
