//! What must happen at a certain time on one core: one ordered map and one task, however many wait.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use reactor::Instant;
use reactor::sync::{Event, Notify};

/// Actions of one core, each due at a time. Nothing here is periodic.
#[derive(Default)]
pub struct Deadlines {
    due: RefCell<BTreeMap<Deadline, Box<dyn FnOnce()>>>,
    next_id: Cell<u64>,
    earlier: Notify,
}

/// Names one action, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
    id: u64,
}

impl Deadlines {
    /// Runs `action` at `at`, unless it is cancelled before.
    pub fn schedule(&self, at: Instant, action: impl FnOnce() + 'static) -> Deadline {
        let deadline = Deadline { at, id: self.next_id.get() };
        self.next_id.set(deadline.id + 1);
        let mut due = self.due.borrow_mut();
        let is_first = due.first_key_value().is_none_or(|(first, _)| deadline < *first);
        due.insert(deadline, Box::new(action));
        drop(due);
        if is_first {
            self.earlier.notify_all();
        }
        deadline
    }

    /// Drops the action of `deadline`, if it has not run.
    pub fn cancel(&self, deadline: Deadline) {
        self.due.borrow_mut().remove(&deadline);
    }

    /// Runs actions as they fall due, until `stop` is set.
    pub async fn run(&self, stop: &Event) {
        while !stop.is_set() {
            let earlier = self.earlier.notified();
            let now = reactor::now();
            while let Some(action) = self.pop_due(now) {
                action();
            }
            let first = self.due.borrow().first_key_value().map(|(first, _)| first.at);
            let sleep = async {
                match first {
                    Some(at) => reactor::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            futures_lite::future::or(futures_lite::future::or(earlier, sleep), stop.wait()).await;
        }
    }

    fn pop_due(&self, now: Instant) -> Option<Box<dyn FnOnce()>> {
        let mut due = self.due.borrow_mut();
        let first = due.first_entry().filter(|first| first.key().at <= now)?;
        Some(first.remove())
    }
}
