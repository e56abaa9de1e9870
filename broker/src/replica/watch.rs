//! Fetches that read or wait for bytes: while they wait they are data, not tasks. Any core may hold
//! thousands.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use reactor::Instant;

/// How long a fetch is parked before it may be ended to make room.
const PARKED_AT_LEAST: Duration = Duration::from_millis(100);

/// What a parked fetch does when it is done waiting.
type OnReady = Box<dyn FnOnce()>;

/// One core's part of a fetch that may wait.
#[derive(Default)]
pub struct FetchWatch {
    /// It is ready when this many bytes lie below the high watermarks of its partitions.
    threshold_bytes: Cell<usize>,
    gathered_bytes: Cell<usize>,
    /// While it is parked.
    on_ready: RefCell<Option<OnReady>>,
    is_hurried: Cell<bool>,
    parked: Cell<Option<Instant>>,
    /// It was ended for the memory it takes.
    is_ended: Cell<bool>,
}

impl FetchWatch {
    /// `gathered_bytes` are there already, fewer than `threshold_bytes`.
    pub fn park(&self, threshold_bytes: usize, gathered_bytes: usize, on_ready: OnReady) {
        self.threshold_bytes.set(threshold_bytes);
        self.gathered_bytes.set(gathered_bytes);
        self.parked.set(Some(reactor::now()));
        *self.on_ready.borrow_mut() = Some(on_ready);
    }

    /// Whether it has waited long enough to make room for another. Clients whose fetches are ended ask
    /// again at once: what is bounded here is how often.
    pub fn may_be_ended(&self) -> bool {
        self.parked.get().is_some_and(|since| reactor::now() - since >= PARKED_AT_LEAST)
    }

    /// Ends the waiting to make room for another.
    pub fn end(&self) {
        reactor::mark!(parked_fetch_makes_room);
        self.is_ended.set(true);
        self.finish();
    }

    pub fn is_ended(&self) -> bool {
        self.is_ended.get()
    }

    /// Whether it was told to end while it was reading: it may not be parked any more.
    pub fn is_hurried(&self) -> bool {
        self.is_hurried.get()
    }

    /// Counts bytes that came below a high watermark; wakes the fetch when they are enough.
    pub fn add(&self, bytes: usize) {
        self.gathered_bytes.set(self.gathered_bytes.get() + bytes);
        if self.gathered_bytes.get() >= self.threshold_bytes.get() {
            self.finish();
        }
    }

    /// Ends the waiting now, or before it begins: enough bytes, the deadline, a change of leader, or a
    /// cancellation.
    pub fn finish(&self) {
        self.is_hurried.set(true);
        // Taken out first: what runs may reach this watch again.
        let on_ready = self.on_ready.borrow_mut().take();
        if let Some(on_ready) = on_ready {
            on_ready();
        }
    }

    pub fn is_finished(&self) -> bool {
        self.on_ready.borrow().is_none()
    }
}
