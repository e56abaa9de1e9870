//! Asking the core that owns something: a plain call on this core, a message to another one.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use reactor::CoreIndex;
use reactor::mesh::{Pending, Reply};
use reactor::sync::{OneshotReceiver, OneshotSender, oneshot};

use super::core::Core;
use super::message::{CoreReply, CoreRequest};

/// A question that one core asks the owner of what it is about.
pub trait Ask: Sized + 'static {
    type Answer: 'static;

    /// Serves the question on its owner's core, now or later through `reply`. It never waits for
    /// another core: DESIGN.md section 3.
    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>);

    /// The question as a message.
    fn into_request(self) -> CoreRequest;

    /// The answer as a message, and back; `None` for the answer to something else, which is a bug.
    fn into_reply(answer: Self::Answer) -> CoreReply;
    fn from_reply(reply: CoreReply) -> Option<Self::Answer>;
}

/// Where an answer goes. Dropping it tells the asker that none will come.
pub enum ReplyTo<A> {
    Here(OneshotSender<A>),
    There { reply: Reply<CoreReply>, into_reply: fn(A) -> CoreReply },
}

impl<A> ReplyTo<A> {
    pub fn send(self, answer: A) {
        match self {
            // An asker that is gone wants no answer.
            ReplyTo::Here(sender) => drop(sender.send(answer)),
            ReplyTo::There { reply, into_reply } => reply.send(into_reply(answer)),
        }
    }
}

/// An answer that is to come.
pub enum Awaiting<A> {
    Here(OneshotReceiver<A>),
    There { pending: Pending<CoreReply>, from_reply: fn(CoreReply) -> Option<A> },
}

/// The owner dropped the question: it is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the owning core is stopping")]
pub struct Unanswered;

impl<A> Future for Awaiting<A> {
    type Output = Result<A, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Awaiting::Here(receiver) => {
                Pin::new(receiver).poll(cx).map(|answer| answer.map_err(|_| Unanswered))
            }
            Awaiting::There { pending, from_reply } => {
                let from_reply = *from_reply;
                Pin::new(pending).poll(cx).map(|reply| {
                    let reply = reply.map_err(|_| Unanswered)?;
                    Ok(from_reply(reply).expect("a reply answers its own question"))
                })
            }
        }
    }
}

impl Core {
    /// Asks `to`. On return the question is enqueued, in the order of the calls; the answer is
    /// awaited apart.
    pub async fn ask<Q: Ask>(self: &Rc<Self>, to: CoreIndex, question: Q) -> Awaiting<Q::Answer> {
        if to == self.index {
            let (sender, receiver) = oneshot();
            question.serve(self, ReplyTo::Here(sender));
            return Awaiting::Here(receiver);
        }
        let pending = self.mesh.request(to, question.into_request()).await;
        Awaiting::There { pending, from_reply: Q::from_reply }
    }
}

/// Serves a question that came as a message.
pub fn serve_remote<Q: Ask>(core: &Rc<Core>, question: Q, reply: Reply<CoreReply>) {
    question.serve(core, ReplyTo::There { reply, into_reply: Q::into_reply });
}
