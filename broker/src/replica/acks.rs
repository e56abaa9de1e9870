//! Produce requests that wait until what they appended may be acknowledged: data, not tasks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::model::{Offset, TimestampMs};

use crate::cores::{Deadline, Deadlines, ReplyTo};

/// What became of one partition's part of a produce request.
#[derive(Clone, Debug, PartialEq)]
pub struct ProduceResult {
    pub error: ErrorCode,
    pub base_offset: Option<Offset>,
    pub log_append_time: Option<TimestampMs>,
    pub log_start_offset: Option<Offset>,
    /// Records that are wrong: their numbers in the batch, and why.
    pub record_errors: Vec<(i32, String)>,
    pub message: Option<String>,
}

impl ProduceResult {
    pub fn refused(error: ErrorCode, message: Option<String>) -> Self {
        ProduceResult {
            error,
            base_offset: None,
            log_append_time: None,
            log_start_offset: None,
            record_errors: Vec::new(),
            message,
        }
    }
}

/// One core's parts of one produce request. It answers once, when no part waits any more.
pub struct ProduceWait {
    results: RefCell<Vec<ProduceResult>>,
    waiting: RefCell<Vec<bool>>,
    waiting_count: Cell<usize>,
    reply: RefCell<Option<ReplyTo<Vec<ProduceResult>>>>,
    deadline: Cell<Option<Deadline>>,
    deadlines: Rc<Deadlines>,
}

impl ProduceWait {
    /// `results` has a place for each part; every part waits until it is settled.
    pub fn new(
        results: Vec<ProduceResult>,
        reply: ReplyTo<Vec<ProduceResult>>,
        deadlines: Rc<Deadlines>,
    ) -> Rc<Self> {
        let count = results.len();
        Rc::new(ProduceWait {
            results: RefCell::new(results),
            waiting: RefCell::new(vec![true; count]),
            waiting_count: Cell::new(count),
            reply: RefCell::new(Some(reply)),
            deadline: Cell::new(None),
            deadlines,
        })
    }

    /// Settles `part` with what it got; a part is settled once, later calls change nothing.
    pub fn settle(&self, part: usize, result: ProduceResult) {
        if !self.waiting.borrow()[part] {
            return;
        }
        self.results.borrow_mut()[part] = result;
        self.settle_as_is(part);
    }

    /// Settles `part` with the result noted before.
    pub fn settle_as_is(&self, part: usize) {
        if std::mem::replace(&mut self.waiting.borrow_mut()[part], false) {
            self.waiting_count.set(self.waiting_count.get() - 1);
            self.maybe_answer();
        }
    }

    /// Notes what `part` will get when it is settled.
    pub fn note(&self, part: usize, result: ProduceResult) {
        self.results.borrow_mut()[part] = result;
    }

    /// Answers all that still waits with REQUEST_TIMED_OUT at `at`, as Kafka's DelayedProduce does.
    pub fn expire_at(self: &Rc<Self>, at: reactor::Instant) {
        if self.waiting_count.get() == 0 {
            return;
        }
        let wait = self.clone();
        self.deadline.set(Some(self.deadlines.schedule(at, move || wait.expire())));
    }

    fn expire(&self) {
        self.deadline.set(None);
        let waiting = self.waiting.borrow().clone();
        for (part, _) in waiting.into_iter().enumerate().filter(|&(_, waiting)| waiting) {
            self.settle(part, ProduceResult::refused(ErrorCode::RequestTimedOut, None));
        }
    }

    fn maybe_answer(&self) {
        if self.waiting_count.get() > 0 {
            return;
        }
        if let Some(deadline) = self.deadline.take() {
            self.deadlines.cancel(deadline);
        }
        if let Some(reply) = self.reply.borrow_mut().take() {
            reply.send(std::mem::take(&mut self.results.borrow_mut()));
        }
    }
}
