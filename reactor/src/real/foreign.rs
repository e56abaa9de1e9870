//! Wakes from other threads: what threads that are not cores wake reaches a core by its bell.
//!
//! glommio takes such wakes itself, but on a busy core only when a time slice ends; the bell is heard
//! between any two tasks.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use super::bell::{Bell, BellRinger};

pub(crate) struct Foreign {
    shared: Arc<Shared>,
    /// Who waits, by slot.
    waiting: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// What other threads see.
struct Shared {
    woken: Mutex<Vec<usize>>,
    /// The bell has been rung for what is in `woken`.
    rung: AtomicBool,
    bell: BellRinger,
}

/// The waker that other threads hold.
struct ForeignWaker {
    shared: Arc<Shared>,
    slot: usize,
}

impl Wake for ForeignWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let shared = &self.shared;
        shared.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
        if !shared.rung.swap(true, Ordering::AcqRel) {
            shared.bell.ring();
        }
    }
}

impl Foreign {
    /// `listen` must run on the core for as long as anything waits.
    pub(crate) fn new(bell: &Bell) -> Self {
        let shared =
            Shared { woken: Mutex::default(), rung: AtomicBool::new(false), bell: bell.ringer() };
        Foreign { shared: Arc::new(shared), waiting: RefCell::default() }
    }

    /// Wakes whom other threads have woken. Ends never.
    pub(crate) async fn listen(self: Rc<Self>, bell: Bell) {
        loop {
            bell.wait().await;
            // Before the take: what is pushed after it rings again.
            self.shared.rung.store(false, Ordering::Release);
            let woken = std::mem::take(
                &mut *self.shared.woken.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for slot in woken {
                // A slot that has changed hands is woken for nothing, which every future bears.
                let waker = self.waiting.borrow_mut().wakers[slot].take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }

    /// Awaits `future`, which is woken from other threads.
    pub(crate) async fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        let slot = Slot { foreign: self, number: self.waiting.borrow_mut().take() };
        let waker: Waker =
            Arc::new(ForeignWaker { shared: self.shared.clone(), slot: slot.number }).into();
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let own = Some(context.waker().clone());
            let former = std::mem::replace(&mut self.waiting.borrow_mut().wakers[slot.number], own);
            drop(former);
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }
}

impl Slots {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }
}

/// Gives its slot back.
struct Slot<'a> {
    foreign: &'a Foreign,
    number: usize,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let waker = {
            let mut slots = self.foreign.waiting.borrow_mut();
            slots.free.push(self.number);
            slots.wakers[self.number].take()
        };
        drop(waker);
    }
}
