//! Tasks: glommio's, each counted by its core, so that a core that ends takes its tasks with it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use super::core::RealCore;
use crate::core::CoreIndex;

pub(crate) struct RealTask<T>(glommio::Task<T>);

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

/// The tasks of a core that have not ended.
#[derive(Default)]
pub(crate) struct Tasks {
    /// By slot: the task's own waker, once it has been polled.
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
    count: Cell<usize>,
    ending: Cell<bool>,
}

impl Tasks {
    /// From now on a task that is polled drops its future and ends.
    pub(super) fn begin_end(&self) {
        self.ending.set(true);
    }

    /// Resolves once all have ended. An executor of glommio's that is dropped forgets tasks that wait,
    /// with all that they own; so each is polled once more.
    pub(super) async fn end(&self) {
        while self.count.get() > 0 {
            let wakers: Vec<Waker> =
                self.wakers.borrow_mut().iter_mut().filter_map(Option::take).collect();
            for waker in wakers {
                waker.wake();
            }
            futures_lite::future::yield_now().await;
        }
    }
}

/// Starts a task on `core`, which takes in completions before each poll.
pub(super) fn spawn<T: 'static>(
    core: Rc<RealCore>,
    future: impl Future<Output = T> + 'static,
) -> RealTask<T> {
    let queue = core.queue();
    let member = Member::new(core);
    let counted = async move {
        let mut future = pin!(Some(future));
        let mut member = Some(member);
        std::future::poll_fn(move |context| {
            let Some(own) = &member else {
                return Poll::Pending;
            };
            if own.core.tasks().ending.get() {
                future.set(None);
                member = None;
                return Poll::Pending;
            }
            own.register(context.waker());
            own.core.look();
            let Some(future) = future.as_mut().as_pin_mut() else {
                unreachable!("dropped together with its member only");
            };
            // Here rather than at the thread's end: destructors that run on the way see glommio's
            // executor half dismantled, panic as well, and bury the first message.
            let bomb = AbortOnPanic(own.core.index());
            let polled = future.poll(context);
            mem::forget(bomb);
            polled
        })
        .await
    };
    let task = glommio::spawn_local_into(counted, queue);
    RealTask(task.expect("the queue of a core's tasks lives as long as the core"))
}

/// Ends the process when it is dropped by a panic: half a broker is none. The panic's own message has
/// been printed by then.
pub(super) struct AbortOnPanic(pub(super) CoreIndex);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("core {} panicked: the process ends", self.0);
            std::process::abort();
        }
    }
}

/// One task's place among those of its core.
struct Member {
    core: Rc<RealCore>,
    slot: usize,
    registered: Cell<bool>,
}

impl Member {
    fn new(core: Rc<RealCore>) -> Self {
        let tasks = core.tasks();
        tasks.count.update(|count| count + 1);
        let slot = tasks.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut wakers = tasks.wakers.borrow_mut();
            wakers.push(None);
            wakers.len() - 1
        });
        Member { core, slot, registered: Cell::new(false) }
    }

    /// A task's waker never changes, so once is enough.
    fn register(&self, waker: &Waker) {
        if !self.registered.replace(true) {
            self.core.tasks().wakers.borrow_mut()[self.slot] = Some(waker.clone());
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let tasks = self.core.tasks();
        let waker = tasks.wakers.borrow_mut()[self.slot].take();
        tasks.free.borrow_mut().push(self.slot);
        tasks.count.update(|count| count - 1);
        drop(waker);
    }
}
