//! Fetches that wait for bytes: data, not tasks. Any core may hold thousands.

use std::cell::{Cell, RefCell};

/// What a parked fetch does when it is done waiting.
type OnReady = Box<dyn FnOnce()>;

/// One core's part of a parked fetch.
pub struct FetchWatch {
    /// It is ready when this many bytes lie below the high watermarks of its partitions.
    threshold_bytes: usize,
    gathered_bytes: Cell<usize>,
    on_ready: RefCell<Option<OnReady>>,
}

impl FetchWatch {
    /// `gathered_bytes` are there already, fewer than `threshold_bytes`.
    pub fn new(threshold_bytes: usize, gathered_bytes: usize, on_ready: OnReady) -> Self {
        FetchWatch {
            threshold_bytes,
            gathered_bytes: Cell::new(gathered_bytes),
            on_ready: RefCell::new(Some(on_ready)),
        }
    }

    /// Counts bytes that came below a high watermark; wakes the fetch when they are enough.
    pub fn add(&self, bytes: usize) {
        self.gathered_bytes.set(self.gathered_bytes.get() + bytes);
        if self.gathered_bytes.get() >= self.threshold_bytes {
            self.finish();
        }
    }

    /// Ends the waiting now: enough bytes, the deadline, a change of leader, or a cancellation.
    pub fn finish(&self) {
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
