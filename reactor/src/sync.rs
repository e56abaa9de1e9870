//! Waiting within one core: notifications, one-shots, bounded queues. Nothing here crosses cores, and
//! nothing depends on which world it runs in.

use std::future::Future;

/// Wakes whoever waits at the time of the call.
#[derive(Default)]
pub struct Notify {
    _todo: (),
}

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notify_all(&self) {
        todo!()
    }

    /// Resolves at the first `notify_all` after this call (not after the first poll). The future
    /// borrows nothing.
    pub fn notified(&self) -> impl Future<Output = ()> + 'static + use<> {
        async { todo!() }
    }
}

/// A flag that is set once and stays. Clones are one flag.
#[derive(Clone, Default)]
pub struct Event {
    _todo: (),
}

impl Event {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn set(&self) {
        todo!()
    }

    pub fn is_set(&self) -> bool {
        todo!()
    }

    /// Resolves once the flag is set, at once where it is.
    pub fn wait(&self) -> impl Future<Output = ()> + 'static + use<> {
        async { todo!() }
    }
}

/// The other end was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other end was dropped")]
pub struct Dropped;

pub struct OneshotSender<T> {
    _todo: std::marker::PhantomData<T>,
}
pub struct OneshotReceiver<T> {
    _todo: std::marker::PhantomData<T>,
}

pub fn oneshot<T>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    todo!()
}

impl<T> OneshotSender<T> {
    /// Delivers; gives the value back where nobody waits any more.
    pub fn send(self, value: T) -> Result<(), T> {
        let _ = value;
        todo!()
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, Dropped>;
    fn poll(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        todo!()
    }
}

/// A bounded queue between tasks of one core. Clones are one queue.
pub struct Queue<T> {
    _todo: std::marker::PhantomData<T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        todo!()
    }
}

impl<T> Queue<T> {
    pub fn new(capacity: usize) -> Self {
        let _ = capacity;
        todo!()
    }

    /// Appends, waiting while the queue is full. Gives the value back once the queue is closed.
    pub async fn push(&self, value: T) -> Result<(), T> {
        let _ = value;
        todo!()
    }

    /// Appends if there is room; gives the value back otherwise.
    pub fn try_push(&self, value: T) -> Result<(), T> {
        let _ = value;
        todo!()
    }

    /// The oldest value, waiting for one; `None` once the queue is closed and empty.
    pub async fn pop(&self) -> Option<T> {
        todo!()
    }

    pub fn try_pop(&self) -> Option<T> {
        todo!()
    }

    pub fn len(&self) -> usize {
        todo!()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing more may be pushed; what is there may still be popped.
    pub fn close(&self) {
        todo!()
    }
}

/// A counted budget, handed out first come, first served. Clones are one budget.
#[derive(Clone)]
pub struct Budget {
    _todo: (),
}

/// A part of a [`Budget`]; it returns when dropped.
pub struct Share {
    _todo: (),
}

impl Budget {
    pub fn new(size: usize) -> Self {
        let _ = size;
        todo!()
    }

    /// Waits for `size` units (at most the whole budget, asserted).
    pub async fn take(&self, size: usize) -> Share {
        let _ = size;
        todo!()
    }

    pub fn try_take(&self, size: usize) -> Option<Share> {
        let _ = size;
        todo!()
    }

    pub fn available(&self) -> usize {
        todo!()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        todo!()
    }
}
