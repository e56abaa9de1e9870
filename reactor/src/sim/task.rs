use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) struct SimTask<T>(PhantomData<fn() -> T>);

impl<T> SimTask<T> {
    pub(crate) fn detach(self) {
        todo!()
    }
}

impl<T> Future for SimTask<T> {
    type Output = T;
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<T> {
        todo!()
    }
}
