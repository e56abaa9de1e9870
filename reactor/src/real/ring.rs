//! The core's own io_uring: files, readiness of sockets, bells. glommio keeps tasks and timers.
//!
//! An operation lives in a slab that owns its descriptor and its buffer until the kernel has
//! completed it, also when the future that waits for it was dropped. What is pushed during one turn
//! of the executor is submitted by one system call at the end of that turn (see `driver`).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::operation::{Operation, Progress};

/// Submission places. What does not fit waits in memory: one submission takes as many as there are.
const SUBMISSION_ENTRIES: u32 = 256;

/// Completion places: all sockets of a core may become ready at once. Beyond that the kernel keeps
/// completions in a list of its own (`IORING_FEAT_NODROP`), which costs it an allocation each.
const COMPLETION_ENTRIES: u32 = 4096;

/// Marks completions that nobody waits for: those of cancellations.
const NOBODY: u64 = u64::MAX;

pub(crate) struct Ring {
    inner: RefCell<Inner>,
    /// What a drain hands out, kept for its capacity.
    handed_out: Cell<HandedOut>,
}

struct Inner {
    uring: IoUring,
    entries: Vec<Entry>,
    free: Vec<usize>,
    /// What did not fit into the submission queue.
    backlog: VecDeque<squeue::Entry>,
    /// File operations that wait for one of the `disk_in_flight_max` places.
    disk_waiting: VecDeque<usize>,
    disk_in_flight: usize,
    disk_in_flight_max: usize,
    /// Something was pushed since the last submission.
    dirty: bool,
    /// The driver, woken when `dirty` becomes true.
    driver: Option<Waker>,
}

enum Entry {
    Free,
    InFlight { operation: Operation, waiter: Waiter },
    Done { operation: Operation, result: io::Result<usize> },
}

enum Waiter {
    /// Its future exists; it may have been polled.
    Future(Option<Waker>),
    /// Its future was dropped.
    Nobody,
}

/// Wakers and dropped operations leave the borrow of the ring before they run foreign code.
#[derive(Default)]
struct HandedOut {
    wakers: Vec<Waker>,
    orphans: Vec<Operation>,
}

impl Ring {
    /// A ring for the calling thread, which must be the only one to use it. `eventfd` is written
    /// whenever an operation completes.
    pub(crate) fn new(eventfd: RawFd, disk_in_flight_max: usize) -> io::Result<Self> {
        let uring = build()?;
        uring.submitter().register_eventfd(eventfd)?;
        Ok(Ring {
            inner: RefCell::new(Inner {
                uring,
                entries: Vec::new(),
                free: Vec::new(),
                backlog: VecDeque::new(),
                disk_waiting: VecDeque::new(),
                disk_in_flight: 0,
                disk_in_flight_max,
                dirty: false,
                driver: None,
            }),
            handed_out: Cell::default(),
        })
    }

    /// Starts `operation`; the future gives it back with its result.
    pub(crate) fn start(self: &Rc<Self>, operation: Operation) -> InFlight {
        let key = self.inner.borrow_mut().start(operation);
        InFlight { ring: self.clone(), key: Some(key) }
    }

    /// Waits until `descriptor` is ready for any of `events` (`POLLIN`, `POLLOUT`), or hung up.
    pub(crate) async fn ready(
        self: &Rc<Self>,
        descriptor: &Rc<OwnedFd>,
        events: i16,
    ) -> io::Result<()> {
        let descriptor = descriptor.clone();
        self.start(Operation::Poll { descriptor, events }).await.1.map(|_| ())
    }

    /// Whether a drain would find something. Reads memory only.
    pub(crate) fn has_completions(&self) -> bool {
        // Borrowed means that a drain is going on.
        self.inner
            .try_borrow_mut()
            .is_ok_and(|mut inner| !inner.uring.completion().is_empty() || inner.kernel_waits())
    }

    /// Takes in what has completed. No system call unless the kernel says that completions wait for
    /// one.
    pub(crate) fn drain(&self) {
        let mut handed_out = self.handed_out.take();
        // A waker or a payload that is dropped by a drain may get here again: the outer one goes on.
        if let Ok(mut inner) = self.inner.try_borrow_mut() {
            inner.drain(&mut handed_out);
        }
        handed_out.orphans.clear();
        for waker in handed_out.wakers.drain(..) {
            waker.wake();
        }
        self.handed_out.set(handed_out);
    }

    /// Submits at the end of each turn in which something was pushed. Ends never.
    pub(crate) async fn drive(self: Rc<Self>) {
        std::future::poll_fn(|context| {
            let busy = self.inner.borrow_mut().submit();
            if busy {
                // The kernel wants completions reaped first: do so, and come back next turn.
                self.drain();
                context.waker().wake_by_ref();
            }
            self.inner.borrow_mut().driver = Some(context.waker().clone());
            Poll::<()>::Pending
        })
        .await;
    }

    /// Cancels what can be cancelled and waits until the kernel holds no buffer any more. Nothing is
    /// woken. Call once the executor is gone, before the ring is dropped.
    pub(crate) fn close(&self) {
        let mut orphans = HandedOut::default();
        let mut unsubmitted = Vec::new();
        {
            let mut inner = self.inner.borrow_mut();
            while let Some(key) = inner.disk_waiting.pop_front() {
                let never_submitted = std::mem::replace(&mut inner.entries[key], Entry::Free);
                inner.free.push(key);
                unsubmitted.push(never_submitted);
            }
            let cancel = types::CancelBuilder::any();
            let entry = opcode::AsyncCancel2::new(cancel).build().user_data(NOBODY);
            inner.push(entry);
            while inner.is_in_flight() {
                inner.submit();
                if let Err(error) = inner.uring.submitter().submit_and_wait(1)
                    && !is_transient(&error)
                {
                    panic!("cannot wait for outstanding I/O: {error}");
                }
                inner.reap(&mut orphans);
            }
            inner.driver = None;
        }
        drop((orphans, unsubmitted));
    }
}

/// `COOP_TASKRUN`: completions do not interrupt the core; `drain` sees by a flag that some wait.
fn build() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_cqsize(COMPLETION_ENTRIES)
        .setup_clamp()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_single_issuer();
    match builder.build(SUBMISSION_ENTRIES) {
        // SINGLE_ISSUER came with 6.0.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::builder()
            .setup_cqsize(COMPLETION_ENTRIES)
            .setup_clamp()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSION_ENTRIES),
        built => built,
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

impl Inner {
    fn start(&mut self, operation: Operation) -> usize {
        let on_disk = operation.is_on_disk();
        let entry = Entry::InFlight { operation, waiter: Waiter::Future(None) };
        let key = match self.free.pop() {
            Some(key) => {
                self.entries[key] = entry;
                key
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        if on_disk && self.disk_in_flight == self.disk_in_flight_max {
            self.disk_waiting.push_back(key);
        } else {
            self.disk_in_flight += usize::from(on_disk);
            self.push_operation(key);
        }
        key
    }

    fn push_operation(&mut self, key: usize) {
        let Entry::InFlight { operation, .. } = &mut self.entries[key] else {
            unreachable!("only operations in flight are pushed");
        };
        let entry = operation.submission().user_data(key as u64);
        self.push(entry);
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: descriptor and buffer of the entry belong to an operation in `entries`, which stays
        // there until the kernel has completed it; cancellations have neither.
        if !self.backlog.is_empty() || unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.backlog.push_back(entry);
        }
        if !self.dirty {
            self.dirty = true;
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
    }

    /// Submits all that was pushed. Returns whether the kernel would not take it now.
    fn submit(&mut self) -> bool {
        while self.dirty {
            while let Some(entry) = self.backlog.front() {
                // SAFETY: as in `push`.
                if unsafe { self.uring.submission().push(entry) }.is_err() {
                    break;
                }
                self.backlog.pop_front();
            }
            match self.uring.submit() {
                Ok(_) => {
                    self.dirty = !self.backlog.is_empty() || !self.uring.submission().is_empty();
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) if is_transient(&error) => return true,
                Err(error) => panic!("io_uring takes no submissions: {error}"),
            }
        }
        false
    }

    /// Whether the kernel has completions that it posts at the next system call only.
    fn kernel_waits(&mut self) -> bool {
        let submission = self.uring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    fn drain(&mut self, handed_out: &mut HandedOut) {
        if self.kernel_waits() {
            const GET_EVENTS: u32 = 1; // IORING_ENTER_GETEVENTS
            // SAFETY: submits nothing and waits for nothing; no argument is passed.
            let entered = unsafe { self.uring.submitter().enter::<()>(0, 0, GET_EVENTS, None) };
            if let Err(error) = entered
                && !is_transient(&error)
            {
                panic!("io_uring gives no completions: {error}");
            }
        }
        self.reap(handed_out);
    }

    fn reap(&mut self, handed_out: &mut HandedOut) {
        // One at a time: completing an operation may push its next part.
        loop {
            let Some(completed) = self.uring.completion().next() else {
                return;
            };
            if completed.user_data() != NOBODY {
                let more = cqueue::more(completed.flags());
                self.complete(completed.user_data() as usize, completed.result(), more, handed_out);
            }
        }
    }

    fn complete(&mut self, key: usize, result: i32, more: bool, handed_out: &mut HandedOut) {
        let Entry::InFlight { operation, waiter } = &mut self.entries[key] else {
            unreachable!("the kernel completed operation {key}, which is not in flight");
        };
        let abandoned = matches!(waiter, Waiter::Nobody);
        match operation.completed(result, more, abandoned) {
            Progress::Waits(waker) => handed_out.wakers.extend(waker),
            Progress::Again(waker) => {
                handed_out.wakers.extend(waker);
                self.push_operation(key);
            }
            Progress::Done(result) => self.finish(key, result, handed_out),
        }
    }

    fn finish(&mut self, key: usize, result: io::Result<usize>, handed_out: &mut HandedOut) {
        let entry = std::mem::replace(&mut self.entries[key], Entry::Free);
        let Entry::InFlight { operation, waiter } = entry else {
            unreachable!("only operations in flight finish");
        };
        if operation.is_on_disk() {
            match self.disk_waiting.pop_front() {
                Some(next) => self.push_operation(next),
                None => self.disk_in_flight -= 1,
            }
        }
        match waiter {
            Waiter::Future(waker) => {
                self.entries[key] = Entry::Done { operation, result };
                handed_out.wakers.extend(waker);
            }
            Waiter::Nobody => {
                self.free.push(key);
                handed_out.orphans.push(operation);
            }
        }
    }

    /// Whether the kernel may still touch what an entry owns.
    fn is_in_flight(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::InFlight { .. }))
    }

    fn poll(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
    ) -> Poll<(Operation, io::Result<usize>)> {
        match &mut self.entries[key] {
            Entry::InFlight { waiter, .. } => {
                match waiter {
                    Waiter::Future(Some(waker)) => waker.clone_from(context.waker()),
                    _ => *waiter = Waiter::Future(Some(context.waker().clone())),
                }
                Poll::Pending
            }
            Entry::Done { .. } => {
                let entry = std::mem::replace(&mut self.entries[key], Entry::Free);
                self.free.push(key);
                match entry {
                    Entry::Done { operation, result } => Poll::Ready((operation, result)),
                    Entry::Free | Entry::InFlight { .. } => unreachable!("matched above"),
                }
            }
            Entry::Free => unreachable!("a future is not polled after its result"),
        }
    }

    /// The future of `key` is gone. What it returns is to be dropped outside of the borrow.
    fn abandon(&mut self, key: usize) -> (Option<Entry>, Option<Waiter>) {
        match &mut self.entries[key] {
            Entry::InFlight { operation, waiter } => {
                let waiter = std::mem::replace(waiter, Waiter::Nobody);
                if operation.ends_when_abandoned() {
                    let cancel = opcode::AsyncCancel::new(key as u64).build();
                    self.push(cancel.user_data(NOBODY));
                }
                (None, Some(waiter))
            }
            Entry::Done { .. } | Entry::Free => {
                self.free.push(key);
                (Some(std::mem::replace(&mut self.entries[key], Entry::Free)), None)
            }
        }
    }
}

/// An operation that was started. Dropping it abandons the result: what writes or reads a file goes
/// on to its end, what waits for readiness is cancelled.
pub(crate) struct InFlight {
    ring: Rc<Ring>,
    /// `None` once the result has been taken.
    key: Option<usize>,
}

impl Future for InFlight {
    type Output = (Operation, io::Result<usize>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let key = self.key.expect("a future is not polled after its result");
        let polled = self.ring.inner.borrow_mut().poll(key, context);
        if polled.is_ready() {
            self.key = None;
        }
        polled
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let abandoned = self.ring.inner.borrow_mut().abandon(key);
            drop(abandoned);
        }
    }
}
