//! What all cores of a mesh share: the lanes between them, and each core's doorbell.

use std::sync::{Arc, OnceLock};

use super::answers::{Abandoned, Answer, SlotKey};
use super::bell::Ringer;
use super::doorbell::{Doorbell, Signals};
use super::lane::{Lane, Refused};

/// A request on its way, and the slot on the asking core that waits for its reply.
pub(super) struct Request<M> {
    pub(super) slot: SlotKey,
    pub(super) message: M,
}

/// Everything shared. Each part has its own count, because some ends need to know only the type of
/// the requests, others only that of the replies.
pub(super) struct Fabric<M, R> {
    pub(super) ends: Arc<Ends>,
    pub(super) requests: Arc<Grid<Request<M>>>,
    pub(super) controls: Arc<Grid<M>>,
    /// From the core that answers to the core that asked.
    pub(super) replies: Arc<Grid<Answer<R>>>,
}

impl<M, R> Fabric<M, R> {
    pub(super) fn new(core_count: usize, credits: usize) -> Self {
        Fabric {
            ends: Arc::new(Ends::new(core_count)),
            requests: Arc::new(Grid::new(core_count, || Lane::bounded(credits))),
            controls: Arc::new(Grid::new(core_count, Lane::unbounded)),
            replies: Arc::new(Grid::new(core_count, Lane::unbounded)),
        }
    }

    /// Closes the lanes of requests and controls to `core`: who asked, or asks later, gets
    /// [`Abandoned`].
    pub(super) fn close_incoming(&self, core: usize) {
        for from in 0..self.ends.core_count() {
            // What is dropped here may be anything; no lock is held any more when it is.
            drop(self.controls.lane(from, core).close());
            let left = self.requests.lane(from, core).close();
            for request in left.item {
                let answer = Answer { slot: request.slot, result: Err(Abandoned) };
                send_answer(&self.ends, &self.replies, core, from, answer);
            }
            if left.sender_starves {
                self.ends.signal(from, Signals::CREDITS);
            }
        }
    }
}

impl<M, R> Clone for Fabric<M, R> {
    fn clone(&self) -> Self {
        Fabric {
            ends: self.ends.clone(),
            requests: self.requests.clone(),
            controls: self.controls.clone(),
            replies: self.replies.clone(),
        }
    }
}

/// Sends `answer` from core `from` to core `to`, which asked.
pub(super) fn send_answer<R>(
    ends: &Ends,
    replies: &Grid<Answer<R>>,
    from: usize,
    to: usize,
    answer: Answer<R>,
) {
    match replies.lane(from, to).push(answer) {
        Ok(()) => ends.signal(to, Signals::REPLIES),
        // The asking core is gone, and with it whoever waited.
        Err(Refused::Closed(answer)) => drop(answer),
        Err(Refused::Full(_)) => unreachable!("a lane of replies has no bound"),
    }
}

/// The lanes of one kind between all ordered pairs of cores, a core to itself included.
pub(super) struct Grid<T> {
    core_count: usize,
    lanes: Box<[Lane<T>]>,
}

impl<T> Grid<T> {
    fn new(core_count: usize, lane: impl Fn() -> Lane<T>) -> Self {
        Grid { core_count, lanes: (0..core_count * core_count).map(|_| lane()).collect() }
    }

    pub(super) fn core_count(&self) -> usize {
        self.core_count
    }

    pub(super) fn lane(&self, from: usize, to: usize) -> &Lane<T> {
        assert!(to < self.core_count, "core {to} of a mesh of {}", self.core_count);
        &self.lanes[from * self.core_count + to]
    }
}

/// How each core is woken.
pub(super) struct Ends(Box<[End]>);

struct End {
    doorbell: Doorbell,
    /// Set when the core attaches, and so before it first parks.
    ringer: OnceLock<Ringer>,
}

impl Ends {
    fn new(core_count: usize) -> Self {
        let end = || End { doorbell: Doorbell::new(), ringer: OnceLock::new() };
        Ends((0..core_count).map(|_| end()).collect())
    }

    pub(super) fn core_count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn doorbell(&self, core: usize) -> &Doorbell {
        &self.0[core].doorbell
    }

    pub(super) fn attach(&self, core: usize, ringer: Ringer) {
        let first = self.0[core].ringer.set(ringer).is_ok();
        assert!(first, "core {core} attaches twice");
    }

    /// Tells `core` to look at what `signals` names, and wakes it where it sleeps.
    pub(super) fn signal(&self, core: usize, signals: Signals) {
        let end = &self.0[core];
        if end.doorbell.signal(signals) {
            end.ringer.get().expect("a core parks only once it is attached").ring();
        }
    }
}
