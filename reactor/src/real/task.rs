//! Tasks: glommio's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) struct RealTask<T>(pub(super) glommio::Task<T>);

impl<T: 'static> RealTask<T> {
    pub(crate) fn detach(self) {
        drop(self.0.detach());
    }
}

impl<T> Future for RealTask<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context)
    }
}
