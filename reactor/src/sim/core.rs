//! One core of a simulated node: what `Environment::Sim` holds.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::node::{Life, Node};
use super::task::SimTask;
use super::world::{Alarm, TimerKey, World};
use crate::core::CoreIndex;
use crate::environment::{self, Environment};
use crate::time::Instant;

pub(crate) struct SimCore {
    pub(super) world: Rc<World>,
    pub(super) node: Rc<Node>,
    pub(super) life: Rc<Life>,
    pub(super) index: CoreIndex,
    /// No task of this core runs before.
    pub(super) stalled_until: Cell<Instant>,
}

impl SimCore {
    pub(crate) fn now(&self) -> Instant {
        self.world.now()
    }

    pub(crate) fn wall_clock(&self) -> i64 {
        self.world.wall_clock(&self.node)
    }

    pub(crate) fn sleep_until(
        self: &Rc<Self>,
        deadline: Instant,
    ) -> impl Future<Output = ()> + use<> {
        Sleep { core: self.clone(), deadline, timer: None }
    }

    pub(crate) fn random_fill(&self, bytes: &mut [u8]) {
        self.world.ids().fill(bytes);
    }

    pub(crate) fn spawn<T: 'static>(
        self: &Rc<Self>,
        future: impl Future<Output = T> + 'static,
    ) -> SimTask<T> {
        self.world.tasks.spawn(self, future)
    }

    /// Runs `action` as a part of this core: what it calls of the reactor happens here.
    pub(super) fn enter<R>(self: &Rc<Self>, action: impl FnOnce() -> R) -> R {
        let _entered = Entered(environment::enter(Some(Environment::Sim(self.clone()))));
        action()
    }
}

/// Restores what was there before, also when the task panics.
struct Entered(Option<Environment>);

impl Drop for Entered {
    fn drop(&mut self) {
        environment::enter(self.0.take());
    }
}

struct Sleep {
    core: Rc<SimCore>,
    deadline: Instant,
    timer: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let world = &this.core.world;
        if world.now() >= this.deadline {
            return Poll::Ready(());
        }
        let alarm = Alarm::Wake(cx.waker().clone());
        match this.timer {
            Some(timer) => world.timers.replace(timer, alarm),
            None => {
                let late = std::time::Duration::ZERO..world.knobs().timer_lateness_max;
                let lateness = world.schedule().span(&late);
                this.timer = Some(world.timers.insert(this.deadline + lateness, alarm));
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.core.world.timers.cancel(timer);
        }
    }
}
