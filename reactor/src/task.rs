//! Tasks: they never leave their core, and each has an owner that awaits its end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::environment::{Environment, current};
use crate::{real, sim};

/// A running task of this core. Awaiting it gives its result; dropping it cancels the task at its
/// current await.
#[must_use = "dropping a task cancels it"]
pub struct Task<T>(Inner<T>);

enum Inner<T> {
    Real(real::task::RealTask<T>),
    Sim(sim::task::SimTask<T>),
}

impl<T> Future for Task<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Inner::Real(task) => Pin::new(task).poll(cx),
            Inner::Sim(task) => Pin::new(task).poll(cx),
        }
    }
}

/// Starts a task on this core.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    Task(match current() {
        Environment::Real(core) => Inner::Real(core.spawn(future)),
        Environment::Sim(core) => Inner::Sim(core.spawn(future)),
    })
}

/// Lets other ready tasks of this core run, and drains what files and the mesh have completed.
pub async fn yield_now() {
    poll();
    futures_lite::future::yield_now().await;
}

/// Drains completions of files and the mesh without a system call. Cheap: call it in long loops.
pub fn poll() {
    match current() {
        Environment::Real(core) => core.drain(),
        Environment::Sim(_) => {}
    }
}

/// Tasks that end together: what owns connections, purgatories, writers. Clones are one group.
#[derive(Clone, Default)]
pub struct Group {
    running: Rc<RefCell<Running>>,
}

#[derive(Default)]
struct Running {
    count: usize,
    ended: crate::sync::Notify,
}

impl Group {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that this group owns.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.running.borrow_mut().count += 1;
        let member = Member(self.running.clone());
        let task = spawn(async move {
            let _member = member;
            future.await;
        });
        match task.0 {
            Inner::Real(task) => task.detach(),
            Inner::Sim(task) => task.detach(),
        }
    }

    /// How many tasks have not ended.
    pub fn len(&self) -> usize {
        self.running.borrow().count
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until every task of the group has ended. It does not end them: tell them first.
    pub async fn ended(&self) {
        loop {
            let ended = {
                let running = self.running.borrow();
                if running.count == 0 {
                    return;
                }
                running.ended.notified()
            };
            ended.await;
        }
    }
}

/// Counts its task out of the group, also when the task is cancelled or panics.
struct Member(Rc<RefCell<Running>>);

impl Drop for Member {
    fn drop(&mut self) {
        let mut running = self.0.borrow_mut();
        running.count -= 1;
        running.ended.notify_all();
    }
}
