//! For how long a core has worked for a request: the turns of its task, not what it waited between.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use reactor::Instant;

use super::QuotaClient;

#[derive(Debug, Default)]
pub struct WorkTime {
    turns: Cell<Duration>,
    /// Of the turn that goes on.
    began: Cell<Option<Instant>>,
}

impl WorkTime {
    pub fn so_far(&self) -> Duration {
        let turn = self.began.get().map_or(Duration::ZERO, |began| reactor::now() - began);
        self.turns.get() + turn
    }

    fn begin(&self) {
        self.began.set(Some(reactor::now()));
    }

    fn end(&self) {
        self.turns.set(self.so_far());
        self.began.set(None);
    }
}

/// `future`, whose turns are counted as work for `client`.
pub struct Working<F> {
    client: Rc<QuotaClient>,
    future: Pin<Box<F>>,
}

impl<F: Future> Working<F> {
    pub fn new(client: Rc<QuotaClient>, future: F) -> Self {
        Working { client, future: Box::pin(future) }
    }
}

impl<F: Future> Future for Working<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.client.work.begin();
        let poll = self.future.as_mut().poll(cx);
        self.client.work.end();
        poll
    }
}
