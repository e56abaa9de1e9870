//! The mesh: requests and replies between cores, with credits.
//!
//! From each core to each other core there is a bounded lane of requests. A sender that finds it full
//! waits; a place comes free when the owner dequeues, not when it replies. Replies and controls have
//! lanes of their own that requests cannot fill: a reply's slot is reserved with its request.
//! Messages of one lane arrive in order. Source: DESIGN.md section 3.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::core::CoreIndex;

/// One core's end of the mesh before it is attached: may be moved to its thread.
pub struct Port<M, R> {
    _todo: PhantomData<(M, R)>,
}

/// Makes a full mesh between `cores` cores, each request lane with `credits` places.
pub fn connect<M: Send + 'static, R: Send + 'static>(
    cores: usize,
    credits: usize,
) -> Vec<Port<M, R>> {
    let _ = (cores, credits);
    todo!()
}

impl<M: Send + 'static, R: Send + 'static> Port<M, R> {
    /// Binds this end to the calling core, which must be the one it was made for.
    pub fn attach(self) -> (Mesh<M, R>, Inbox<M, R>) {
        todo!()
    }
}

/// The sending side on one core. Clones are one.
pub struct Mesh<M, R> {
    _todo: PhantomData<std::rc::Rc<(M, R)>>,
}

impl<M, R> Clone for Mesh<M, R> {
    fn clone(&self) -> Self {
        Mesh { _todo: PhantomData }
    }
}

impl<M: Send + 'static, R: Send + 'static> Mesh<M, R> {
    pub fn here(&self) -> CoreIndex {
        todo!()
    }

    pub fn core_count(&self) -> usize {
        todo!()
    }

    /// Enqueues a request to `to`, waiting for a credit; then the reply can be awaited apart. Waiting
    /// requests of one core to `to` are enqueued in the order of their calls. `to` may be this core:
    /// the message then takes the same way through the inbox.
    pub async fn request(&self, to: CoreIndex, message: M) -> Pending<R> {
        let _ = (to, message);
        todo!()
    }

    /// Enqueues a message without a reply in the control lane, which requests cannot fill. Never
    /// waits: what is sent here is bounded by what exists (deltas, releases), not by clients.
    pub fn control(&self, to: CoreIndex, message: M) {
        let _ = (to, message);
        todo!()
    }
}

/// A reply that is to come. Dropping it abandons the reply, not the request.
pub struct Pending<R> {
    _todo: PhantomData<R>,
}

/// The owner dropped the request without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was dropped without a reply")]
pub struct Abandoned;

impl<R> Future for Pending<R> {
    type Output = Result<R, Abandoned>;
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// The receiving side on one core.
pub struct Inbox<M, R> {
    _todo: PhantomData<std::rc::Rc<(M, R)>>,
}

/// One message, and where its reply goes.
pub struct Incoming<M, R> {
    pub from: CoreIndex,
    pub message: M,
    /// `None` for a control.
    pub reply: Option<Reply<R>>,
}

impl<M: Send + 'static, R: Send + 'static> Inbox<M, R> {
    /// The next message: controls first, then requests, the lanes in turn.
    pub async fn next(&mut self) -> Incoming<M, R> {
        todo!()
    }
}

/// The right to answer one request once, now or later; it may be kept as data. Dropping it answers
/// [`Abandoned`].
pub struct Reply<R> {
    _todo: PhantomData<std::rc::Rc<R>>,
}

impl<R: Send + 'static> Reply<R> {
    /// Answers. Never waits.
    pub fn send(self, reply: R) {
        let _ = reply;
        todo!()
    }
}
