//! What all nodes share: the virtual clock, the timers, the random streams, the trace, the counters.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::bell::BellState;
use super::knobs::Knobs;
use super::net::Network;
use super::node::{Node, NodeId};
use super::random::{Random, mix};
use super::task::Tasks;
use crate::time::Instant;

/// Wall clock of a node without an offset when the world begins: 2026-01-01T00:00:00Z.
const WALL_CLOCK_START_MS: i64 = 1_767_225_600_000;

pub(crate) struct World {
    pub(super) seed: u64,
    knobs: RefCell<Rc<Knobs>>,
    now: Cell<Instant>,
    pub(super) timers: Timers,
    pub(super) tasks: Tasks,
    pub(super) inbox: Arc<Inbox>,
    pub(super) nodes: RefCell<Vec<Rc<Node>>>,
    pub(super) network: Network,
    pub(super) bells: RefCell<BTreeMap<u64, Weak<BellState>>>,
    pub(super) next_bell: Cell<u64>,
    schedule: RefCell<Random>,
    network_random: RefCell<Random>,
    disk_random: RefCell<Random>,
    ids: RefCell<Random>,
    trace: Cell<u64>,
    pub(super) counters: RefCell<Counters>,
    pub(super) marks: RefCell<BTreeMap<&'static str, u64>>,
    /// The bug that is planted in this world, if any.
    #[cfg(feature = "planted-bugs")]
    pub(super) planted: Cell<Option<&'static str>>,
}

/// What a run did, for its last line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub polls: u64,
    pub connections: u64,
    pub network_bytes: u64,
    pub disk_operations: u64,
    pub disk_written_bytes: u64,
    pub flushes: u64,
    /// Faults that really happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

/// What types that must be `Send` leave for the scheduler: it reads them between two polls.
#[derive(Default)]
pub(super) struct Inbox {
    messages: Mutex<Vec<Message>>,
}

pub(super) enum Message {
    Woken {
        task: u64,
    },
    Rung {
        bell: u64,
    },
    /// A connection was dropped before any core used it.
    Unused {
        connection: u64,
    },
}

impl Inbox {
    pub(super) fn put(&self, message: Message) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }

    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl World {
    pub(super) fn new(seed: u64, knobs: Knobs) -> Rc<Self> {
        let stream = |concern| RefCell::new(Random::new(seed, concern));
        Rc::new(World {
            seed,
            knobs: RefCell::new(Rc::new(knobs)),
            now: Cell::new(Instant(0)),
            timers: Timers::default(),
            tasks: Tasks::default(),
            inbox: Arc::default(),
            nodes: RefCell::default(),
            network: Network::default(),
            bells: RefCell::default(),
            next_bell: Cell::new(0),
            schedule: stream("schedule"),
            network_random: stream("network"),
            disk_random: stream("disk"),
            ids: stream("ids"),
            trace: Cell::new(seed),
            counters: RefCell::default(),
            marks: RefCell::default(),
            #[cfg(feature = "planted-bugs")]
            planted: Cell::new(None),
        })
    }

    pub(super) fn knobs(&self) -> Rc<Knobs> {
        self.knobs.borrow().clone()
    }

    pub(super) fn set_knobs(&self, knobs: Knobs) {
        self.knobs.replace(Rc::new(knobs));
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn wall_clock(&self, node: &Node) -> i64 {
        let elapsed_ms = (self.now.get().0 / 1_000_000) as i64;
        let drift_ms = elapsed_ms * node.wall_clock_drift_ppm.get() / 1_000_000;
        WALL_CLOCK_START_MS + elapsed_ms + drift_ms + node.wall_clock_offset_ms.get()
    }

    pub(super) fn schedule(&self) -> RefMut<'_, Random> {
        self.schedule.borrow_mut()
    }

    pub(super) fn network_random(&self) -> RefMut<'_, Random> {
        self.network_random.borrow_mut()
    }

    pub(super) fn disk_random(&self) -> RefMut<'_, Random> {
        self.disk_random.borrow_mut()
    }

    pub(super) fn ids(&self) -> RefMut<'_, Random> {
        self.ids.borrow_mut()
    }

    pub(super) fn node(&self, id: NodeId) -> Rc<Node> {
        self.nodes.borrow()[id.0].clone()
    }

    /// Feeds one event into the hash by which two runs are compared.
    pub(super) fn trace(&self, event: Trace, first: u64, second: u64) {
        let folded = mix(self.trace.get() ^ event as u64);
        self.trace.set(mix(mix(folded ^ first).wrapping_add(second)));
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.trace.get()
    }

    pub(super) fn count_fault(&self, kind: &'static str) {
        *self.counters.borrow_mut().faults.entry(kind).or_default() += 1;
        self.trace(Trace::Fault, kind.len() as u64, 0);
    }

    /// Runs `action` once `span` has passed.
    pub(super) fn after(
        &self,
        span: Duration,
        action: impl FnOnce(&Rc<World>) + 'static,
    ) -> TimerKey {
        self.timers.insert(self.now.get() + span, Alarm::Run(Box::new(action)))
    }

    /// Moves the clock to the next timer, if that is due by `limit`, and lets it go off.
    pub(super) fn fire_next(self: &Rc<Self>, limit: Instant) -> bool {
        let Some((due, alarm)) = self.timers.take_due(limit) else { return false };
        self.now.set(self.now.get().max(due));
        match alarm {
            Alarm::Wake(waker) => waker.wake(),
            Alarm::Run(action) => action(self),
        }
        true
    }

    /// Lets time pass up to `instant`, where nothing happens before it.
    pub(super) fn idle_until(&self, instant: Instant) {
        self.now.set(self.now.get().max(instant));
    }
}

/// Kinds of event in the trace.
#[derive(Clone, Copy)]
pub(super) enum Trace {
    Poll = 1,
    Deliver,
    Connect,
    Disk,
    Fault,
    PowerLoss,
}

/// When a timer goes off, and its turn among those of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerKey(Instant, u64);

pub(super) enum Alarm {
    Wake(Waker),
    Run(Box<Action>),
}

type Action = dyn FnOnce(&Rc<World>);

#[derive(Default)]
pub(super) struct Timers {
    alarms: RefCell<BTreeMap<TimerKey, Alarm>>,
    next_turn: Cell<u64>,
}

impl Timers {
    pub(super) fn insert(&self, at: Instant, alarm: Alarm) -> TimerKey {
        let key = TimerKey(at, self.next_turn.get());
        self.next_turn.set(key.1 + 1);
        self.alarms.borrow_mut().insert(key, alarm);
        key
    }

    /// Replaces what happens at `key`, where it has not gone off.
    pub(super) fn replace(&self, key: TimerKey, alarm: Alarm) {
        let replaced =
            self.alarms.borrow_mut().get_mut(&key).map(|slot| std::mem::replace(slot, alarm));
        drop(replaced);
    }

    pub(super) fn cancel(&self, key: TimerKey) {
        let alarm = self.alarms.borrow_mut().remove(&key);
        drop(alarm);
    }

    /// Drops every timer; the world ends.
    pub(super) fn clear(&self) {
        let alarms = self.alarms.take();
        drop(alarms);
    }

    fn take_due(&self, limit: Instant) -> Option<(Instant, Alarm)> {
        let mut alarms = self.alarms.borrow_mut();
        let first = alarms.first_entry()?;
        let due = first.key().0;
        (due <= limit).then(|| (due, first.remove()))
    }
}
