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
    stages: RefCell<Vec<Stage>>,
    waiting_count: Cell<usize>,
    reply: RefCell<Option<ReplyTo<Vec<ProduceResult>>>>,
    deadline: Cell<Option<Deadline>>,
    is_expired: Cell<bool>,
    deadlines: Rc<Deadlines>,
}

/// How far one part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its bytes wait until the log takes more.
    Queued,
    /// The log has its bytes; the acknowledgement is to come.
    Appended,
    Settled,
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
            stages: RefCell::new(vec![Stage::Queued; count]),
            waiting_count: Cell::new(count),
            reply: RefCell::new(Some(reply)),
            deadline: Cell::new(None),
            is_expired: Cell::new(false),
            deadlines,
        })
    }

    /// Settles `part` with what it got; a part is settled once, later calls change nothing.
    pub fn settle(&self, part: usize, result: ProduceResult) {
        if self.stages.borrow()[part] == Stage::Settled {
            return;
        }
        self.results.borrow_mut()[part] = result;
        self.settle_as_is(part);
    }

    /// Settles `part` with the result noted before.
    pub fn settle_as_is(&self, part: usize) {
        let before = std::mem::replace(&mut self.stages.borrow_mut()[part], Stage::Settled);
        if before != Stage::Settled {
            self.waiting_count.set(self.waiting_count.get() - 1);
            self.maybe_answer();
        }
    }

    /// Notes that `part` was appended, and what it will get when it is settled.
    pub fn note(&self, part: usize, result: ProduceResult) {
        assert_eq!(self.stages.borrow()[part], Stage::Queued, "part {part} is appended once");
        self.stages.borrow_mut()[part] = Stage::Appended;
        self.results.borrow_mut()[part] = result;
        if self.is_expired.get() {
            self.settle(part, ProduceResult::refused(ErrorCode::RequestTimedOut, None));
        }
    }

    /// Answers all that still waits with REQUEST_TIMED_OUT at `at`, as Kafka's DelayedProduce does.
    pub fn expire_at(self: &Rc<Self>, at: reactor::Instant) {
        if self.waiting_count.get() == 0 {
            return;
        }
        let wait = self.clone();
        self.deadline.set(Some(self.deadlines.schedule(at, move || wait.expire())));
    }

    /// What is queued goes on waiting, and times out once it is appended: the request's memory stays
    /// charged to its connection for as long as its bytes are held here. Kafka's timeout begins
    /// after the append too.
    fn expire(&self) {
        self.deadline.set(None);
        self.is_expired.set(true);
        let stages = self.stages.borrow().clone();
        for (part, _) in stages.into_iter().enumerate().filter(|(_, it)| *it == Stage::Appended) {
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
        let reply = self.reply.borrow_mut().take();
        if let Some(reply) = reply {
            reply.send(self.results.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use reactor::sync::{OneshotReceiver, oneshot};

    use super::*;

    fn waiting(parts: usize) -> (Rc<ProduceWait>, OneshotReceiver<Vec<ProduceResult>>) {
        let (sender, receiver) = oneshot();
        let unset = ProduceResult::refused(ErrorCode::UnknownServerError, None);
        let reply = ReplyTo::Here(sender);
        (ProduceWait::new(vec![unset; parts], reply, Rc::default()), receiver)
    }

    fn answer(receiver: OneshotReceiver<Vec<ProduceResult>>) -> Option<Vec<ErrorCode>> {
        let polled = futures_lite::future::block_on(futures_lite::future::poll_once(receiver));
        let results = polled?.expect("the wait answers before it goes");
        Some(results.into_iter().map(|result| result.error).collect())
    }

    fn appended() -> ProduceResult {
        ProduceResult::refused(ErrorCode::None, None)
    }

    #[test]
    fn a_part_that_is_appended_after_the_deadline_times_out_then() {
        let (wait, receiver) = waiting(3);
        wait.settle(0, ProduceResult::refused(ErrorCode::InvalidRecord, None));
        wait.note(1, appended());
        wait.expire();
        assert_eq!(wait.waiting_count.get(), 1, "the queued part still holds its bytes");
        wait.note(2, appended());
        wait.settle_as_is(1);
        wait.settle_as_is(2);
        let timed_out = ErrorCode::RequestTimedOut;
        assert_eq!(answer(receiver), Some(vec![ErrorCode::InvalidRecord, timed_out, timed_out]));
    }

    #[test]
    fn settling_twice_answers_once() {
        let (wait, receiver) = waiting(1);
        wait.note(0, appended());
        wait.settle_as_is(0);
        wait.settle(0, ProduceResult::refused(ErrorCode::KafkaStorageError, None));
        wait.expire();
        assert_eq!(answer(receiver), Some(vec![ErrorCode::None]));
    }
}
