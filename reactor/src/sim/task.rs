//! Tasks of simulated cores, and the scheduler that picks among those that are ready, at random.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::core::SimCore;
use super::node::Life;
use super::world::{Inbox, Message, Trace, World};
use crate::time::Instant;

#[derive(Default)]
pub(super) struct Tasks {
    entries: RefCell<BTreeMap<u64, Entry>>,
    /// Tasks that have been woken and not polled since.
    ready: RefCell<Vec<u64>>,
    next_id: Cell<u64>,
    polls_at_instant: Cell<(Instant, u64)>,
}

type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

struct Entry {
    core: Rc<SimCore>,
    /// Out while it is being polled.
    future: Option<Owned>,
    waker: Arc<TaskWaker>,
    is_cancelled: bool,
    /// The end of this task is the end of its core.
    is_start: bool,
}

/// A task's future, dropped as a part of its core whoever drops it.
struct Owned {
    core: Rc<SimCore>,
    future: Option<TaskFuture>,
}

impl Owned {
    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let future = self.future.as_mut().expect("a future is there until it is dropped");
        self.core.enter(|| future.as_mut().poll(&mut Context::from_waker(waker)))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let future = self.future.take();
        self.core.enter(move || drop(future));
    }
}

struct TaskWaker {
    id: u64,
    inbox: Arc<Inbox>,
    is_queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.inbox.put(Message::Woken { task: self.id });
        }
    }
}

impl Tasks {
    pub(super) fn spawn<T: 'static>(
        &self,
        core: &Rc<SimCore>,
        future: impl Future<Output = T> + 'static,
    ) -> SimTask<T> {
        let join = Rc::new(Join { result: RefCell::new(JoinState::Running(None)) });
        let finished = join.clone();
        let id = self.insert(core, false, async move {
            let result = future.await;
            finished.complete(result);
        });
        SimTask { join, handle: Some(Handle { world: Rc::downgrade(&core.world), id }) }
    }

    /// Spawns the task whose end is the end of its core.
    pub(super) fn spawn_start(
        &self,
        core: &Rc<SimCore>,
        future: impl Future<Output = ()> + 'static,
    ) {
        self.insert(core, true, future);
    }

    fn insert(
        &self,
        core: &Rc<SimCore>,
        is_start: bool,
        future: impl Future<Output = ()> + 'static,
    ) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        // What a dying process still spawns never runs.
        if core.life.is_alive.get() {
            let waker = Arc::new(TaskWaker {
                id,
                inbox: core.world.inbox.clone(),
                is_queued: AtomicBool::new(false),
            });
            waker.wake_by_ref();
            let future: TaskFuture = Box::pin(future);
            let entry = Entry {
                core: core.clone(),
                future: Some(Owned { core: core.clone(), future: Some(future) }),
                waker,
                is_cancelled: false,
                is_start,
            };
            self.entries.borrow_mut().insert(id, entry);
        }
        id
    }

    /// The task's future is dropped at its next turn, as the real executor does it.
    fn cancel(&self, id: u64) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
            entry.is_cancelled = true;
            entry.waker.wake_by_ref();
        }
    }

    pub(super) fn woken(&self, id: u64) {
        self.ready.borrow_mut().push(id);
    }

    /// Polls one ready task, picked at random. False where none is ready.
    pub(super) fn poll_one(&self, world: &Rc<World>) -> bool {
        let Some(id) = self.pick(world) else { return false };
        self.count_poll(world, id);
        let (core, mut future, waker) = {
            let mut entries = self.entries.borrow_mut();
            // The task may have ended since it was woken.
            let Some(entry) = entries.get_mut(&id) else { return true };
            entry.waker.is_queued.store(false, Ordering::Relaxed);
            let Some(future) = entry.future.take() else { return true };
            (entry.core.clone(), future, Waker::from(entry.waker.clone()))
        };
        let is_ready = !self.is_cancelled(id) && future.poll(&waker).is_ready();
        maybe_stall(world, &core);
        // It may have been cancelled, or its node may have crashed, in that very poll.
        let stays = !is_ready && !self.is_cancelled(id);
        if stays {
            if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
                entry.future = Some(future);
            }
            return true;
        }
        let entry = self.entries.borrow_mut().remove(&id);
        drop(future);
        if entry.is_some_and(|entry| entry.is_start) {
            world.core_ended(&core);
        }
        true
    }

    /// True too where the entry is gone.
    fn is_cancelled(&self, id: u64) -> bool {
        self.entries.borrow().get(&id).is_none_or(|entry| entry.is_cancelled)
    }

    /// Takes one of the ready tasks; those of a paused node or a stalled core are put aside.
    fn pick(&self, world: &World) -> Option<u64> {
        loop {
            let id = {
                let mut ready = self.ready.borrow_mut();
                if ready.is_empty() {
                    return None;
                }
                let index = world.schedule().index(ready.len());
                ready.swap_remove(index)
            };
            let entries = self.entries.borrow();
            match entries.get(&id) {
                Some(entry) if entry.core.node.is_paused.get() => {
                    entry.core.node.held_tasks.borrow_mut().push(id);
                }
                Some(entry) if entry.core.stalled_until.get() > world.now() => {
                    let span = entry.core.stalled_until.get() - world.now();
                    world.after(span, move |world| world.tasks.woken(id));
                }
                _ => return Some(id),
            }
        }
    }

    fn count_poll(&self, world: &World, id: u64) {
        world.trace(Trace::Poll, id, world.now().0);
        world.counters.borrow_mut().polls += 1;
        let (instant, polls) = self.polls_at_instant.get();
        let polls = if instant == world.now() { polls + 1 } else { 1 };
        self.polls_at_instant.set((world.now(), polls));
        let polls_max = world.knobs().polls_per_instant_max;
        if polls > polls_max {
            let busy = self.entries.borrow().get(&id).map_or_else(String::new, |entry| {
                format!("; running: a task of {} core {}", entry.core.node.name, entry.core.index)
            });
            panic!("livelock: more than {polls_max} polls without time moving{busy}");
        }
    }

    /// Drops the tasks of all cores that `belongs` names, in a random order.
    pub(super) fn drop_all(&self, world: &World, belongs: impl Fn(&SimCore) -> bool) {
        let mut ended = Vec::new();
        self.entries.borrow_mut().retain(|_, entry| {
            let stays = !belongs(&entry.core);
            if !stays {
                ended.extend(entry.future.take());
            }
            stays
        });
        world.schedule().shuffle(&mut ended);
        drop(ended);
    }

    pub(super) fn drop_life(&self, world: &World, life: &Rc<Life>) {
        self.drop_all(world, |core| Rc::ptr_eq(&core.life, life));
    }
}

/// Draws whether `core` stands still after this turn of one of its tasks.
fn maybe_stall(world: &World, core: &SimCore) {
    let knobs = world.knobs();
    let is_stalled = world.schedule().chance(knobs.core_stalled);
    if is_stalled {
        let span = world.schedule().span(&knobs.core_stall);
        core.stalled_until.set(world.now() + span);
        world.count_fault("core_stalled");
    }
}

/// What a task and its owner share.
struct Join<T> {
    result: RefCell<JoinState<T>>,
}

enum JoinState<T> {
    /// The waker of the owner, once it awaits.
    Running(Option<Waker>),
    Ended(Option<T>),
}

impl<T> Join<T> {
    fn complete(&self, result: T) {
        let before = self.result.replace(JoinState::Ended(Some(result)));
        if let JoinState::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

struct Handle {
    world: Weak<World>,
    id: u64,
}

/// The owner's end of a task. Dropping it cancels the task.
pub(crate) struct SimTask<T> {
    join: Rc<Join<T>>,
    /// `None` once detached.
    handle: Option<Handle>,
}

impl<T> SimTask<T> {
    pub(crate) fn detach(mut self) {
        self.handle = None;
    }

    /// The result, once the task has ended; only once.
    pub(super) fn take_result(&self) -> Option<T> {
        match &mut *self.join.result.borrow_mut() {
            JoinState::Running(_) => None,
            JoinState::Ended(result) => result.take(),
        }
    }
}

impl<T> Future for SimTask<T> {
    type Output = T;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(result) = self.take_result() {
            return Poll::Ready(result);
        }
        let replaced = self.join.result.replace(JoinState::Running(Some(cx.waker().clone())));
        assert!(matches!(replaced, JoinState::Running(_)), "a task is awaited once");
        Poll::Pending
    }
}

impl<T> Drop for SimTask<T> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take()
            && let Some(world) = handle.world.upgrade()
        {
            world.tasks.cancel(handle.id);
        }
    }
}
