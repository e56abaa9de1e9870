//! What a volume has to do: logs that wait for the journal's next group, fences, and logs that are not
//! at rest. The tasks that do it own it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use protocol::model::{Offset, PartitionId, TopicId};
use reactor::sync::{Notify, OneshotSender, oneshot};

use super::{LogId, Volume};
use crate::error::StorageError;
use crate::journal::FenceKind;
use crate::log::Inner;

#[derive(Default)]
pub(super) struct Busy {
    /// Logs with a small share, each once, in the order in which it came.
    pub(super) line: RefCell<VecDeque<Rc<Inner>>>,
    pub(super) fences: RefCell<Vec<Fence>>,
    /// Logs that are not at rest: bytes of theirs may be in no segment yet, or unflushed there.
    awake: RefCell<BTreeMap<LogId, Awake>>,
    /// Something stands in the line, or the tasks are to end.
    pub(super) arrived: Notify,
    /// The upkeep is to look before its time.
    pub(super) upkeep: Notify,
    /// A task commits groups.
    pub(super) commits: Cell<bool>,
    /// A group is being written or flushed.
    pub(super) is_committing: Cell<bool>,
    is_ending: Cell<bool>,
}

/// A fence that waits for its group, and who waits for it.
pub(super) struct Fence {
    pub(super) topic_id: TopicId,
    pub(super) partition: PartitionId,
    pub(super) kind: FenceKind,
    pub(super) done: OneshotSender<Result<(), StorageError>>,
}

impl Fence {
    pub(super) fn answer(self, outcome: Result<(), StorageError>) {
        // Who asked for it may have gone.
        let _ = self.done.send(outcome);
    }
}

struct Awake {
    log: Rc<Inner>,
    /// Where the log ended when the upkeep last looked.
    end: Option<Offset>,
}

impl Busy {
    pub(super) fn has_line(&self) -> bool {
        !self.line.borrow().is_empty() || !self.fences.borrow().is_empty()
    }

    /// Nothing waits, nothing is on its way, and all logs are at rest.
    pub(super) fn is_idle(&self) -> bool {
        self.awake.borrow().is_empty() && !self.has_line() && !self.is_committing.get()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.get()
    }

    /// Lets go of everything; the tasks end as soon as they look.
    pub(super) fn end(&self) {
        self.is_ending.set(true);
        let line = std::mem::take(&mut *self.line.borrow_mut());
        let fences = std::mem::take(&mut *self.fences.borrow_mut());
        let awake = std::mem::take(&mut *self.awake.borrow_mut());
        self.arrived.notify_all();
        self.upkeep.notify_all();
        line.iter().for_each(|log| log.is_offered.set(false));
        awake.values().for_each(|awake| awake.log.is_awake.set(false));
        // Outside of the borrows: a log that goes tells the volume.
        drop((line, fences, awake));
    }

    pub(super) fn awake(&self) -> Vec<Rc<Inner>> {
        self.awake.borrow().values().map(|awake| awake.log.clone()).collect()
    }

    pub(super) fn keep(&self, log: &Rc<Inner>) {
        if !log.is_awake.replace(true) {
            self.awake.borrow_mut().insert(log.id, Awake { log: log.clone(), end: None });
        }
    }

    pub(super) fn forget(&self, log: &Inner) {
        log.is_awake.set(false);
        let forgotten = self.awake.borrow_mut().remove(&log.id);
        drop(forgotten);
    }

    /// Has logs rest that are all flushed and have not grown since the last call.
    pub(super) fn rest_idle(&self) {
        let mut idle = Vec::new();
        for awake in self.awake.borrow_mut().values_mut() {
            let end = awake.log.flushed_end();
            if end.is_some() && end == awake.end {
                idle.push(awake.log.clone());
            }
            awake.end = end;
        }
        for log in idle {
            log.rest();
            self.forget(&log);
        }
    }
}

impl Volume {
    /// What there is to do, with a task that looks after it.
    fn busy(self: &Rc<Self>) -> Rc<Busy> {
        let known = self.busy.borrow().upgrade().filter(|busy| !busy.is_ending());
        known.unwrap_or_else(|| {
            let busy = Rc::new(Busy::default());
            *self.busy.borrow_mut() = Rc::downgrade(&busy);
            self.tasks.spawn(self.clone().look_after(busy.clone()));
            busy
        })
    }

    /// Puts a log with a small share into the line for the journal's next group. A log that stands there
    /// is awake: were it not, no checkpoint would flush what the journal has of it.
    pub(crate) fn offer(self: &Rc<Self>, log: &Rc<Inner>) {
        if log.is_offered.replace(true) {
            assert!(log.is_awake.get(), "INV-4: a log in the journal's line is looked after");
            return;
        }
        let busy = self.busy();
        busy.keep(log);
        busy.line.borrow_mut().push_back(log.clone());
        self.commit_soon(&busy);
        if self.is_crowded() {
            busy.upkeep.notify_all();
        }
    }

    /// Has the volume look after a log that has bytes on their way.
    pub(crate) fn keep_busy(self: &Rc<Self>, log: &Rc<Inner>) {
        if !log.is_awake.get() {
            self.busy().keep(log);
        }
        if self.is_checkpoint_due() {
            self.busy().upkeep.notify_all();
        }
    }

    /// Forgets a log of which no bytes are on their way any more.
    pub(crate) fn forget(&self, log: &Inner) {
        if let Some(busy) = self.busy.borrow().upgrade() {
            busy.forget(log);
        }
    }

    /// Makes all records void that the journal has of a partition. What the fence stands for is done
    /// and flushed before; on return the fence is durable. Nothing where there is no journal.
    pub(crate) async fn fence(
        self: &Rc<Self>,
        topic_id: TopicId,
        partition: PartitionId,
        kind: FenceKind,
    ) -> Result<(), StorageError> {
        // A journal that is not open yet has no record of any partition: what an earlier run left in
        // it is void.
        if self.journal.borrow().is_none() {
            return Ok(());
        }
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let (done, fenced) = oneshot();
        let busy = self.busy();
        busy.fences.borrow_mut().push(Fence { topic_id, partition, kind, done });
        self.commit_soon(&busy);
        match fenced.await {
            Ok(outcome) => outcome,
            Err(_) => Err(self
                .failure()
                .unwrap_or_else(|| StorageError::Closed { directory: self.path.clone() })),
        }
    }

    fn commit_soon(self: &Rc<Self>, busy: &Rc<Busy>) {
        if !busy.commits.replace(true) {
            self.tasks.spawn(self.clone().commit_groups(busy.clone()));
        }
        busy.arrived.notify_all();
    }
}
