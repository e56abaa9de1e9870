//! What was appended and no file has yet: counted over all logs of a volume, with a bound.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use reactor::sync::Notify;

/// The sum of a volume.
pub(super) struct DirtyTotal {
    size_bytes: Cell<u64>,
    size_bytes_max: u64,
    /// Appended since [`Self::restart_count`].
    appended_bytes: Cell<u64>,
    fell: Notify,
}

impl DirtyTotal {
    pub(super) fn new(size_bytes_max: u64) -> Rc<Self> {
        Rc::new(DirtyTotal {
            size_bytes: Cell::new(0),
            size_bytes_max,
            appended_bytes: Cell::new(0),
            fell: Notify::new(),
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.get()
    }

    pub(super) fn size_bytes_max(&self) -> u64 {
        self.size_bytes_max
    }

    pub(super) fn appended_bytes(&self) -> u64 {
        self.appended_bytes.get()
    }

    /// Counts appended bytes from 0 again.
    pub(super) fn restart_count(&self) {
        self.appended_bytes.set(0);
    }

    /// Time to write something out: before anyone waits.
    pub(super) fn is_half_full(&self) -> bool {
        self.size_bytes.get() >= self.size_bytes_max / 2
    }

    /// No more may be added.
    pub(super) fn is_full(&self) -> bool {
        self.size_bytes.get() >= self.size_bytes_max
    }

    /// Resolves when there is room again where there is none, or soon after.
    pub(super) fn fell(&self) -> impl Future<Output = ()> + 'static + use<> {
        self.fell.notified()
    }

    fn subtract(&self, size_bytes: u64) {
        let before = self.size_bytes.get();
        self.size_bytes.set(before - size_bytes);
        let has_room = before - size_bytes < self.size_bytes_max;
        if before >= self.size_bytes_max && has_room {
            self.fell.notify_all();
        }
    }
}

/// The part of one log. It leaves the sum when dropped.
pub(crate) struct DirtyBytes {
    size_bytes: u64,
    total: Rc<DirtyTotal>,
}

impl DirtyBytes {
    pub(super) fn new(total: &Rc<DirtyTotal>) -> Self {
        DirtyBytes { size_bytes: 0, total: total.clone() }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn add(&mut self, size_bytes: u64) {
        self.size_bytes += size_bytes;
        self.total.size_bytes.set(self.total.size_bytes.get() + size_bytes);
        self.total.appended_bytes.set(self.total.appended_bytes.get() + size_bytes);
    }

    pub(crate) fn subtract(&mut self, size_bytes: u64) {
        assert!(size_bytes <= self.size_bytes, "{size_bytes} of {} dirty bytes", self.size_bytes);
        self.size_bytes -= size_bytes;
        self.total.subtract(size_bytes);
    }

    /// Nothing of the log will be written any more.
    pub(crate) fn clear(&mut self) {
        self.subtract(self.size_bytes);
    }
}

impl Drop for DirtyBytes {
    fn drop(&mut self) {
        self.clear();
    }
}
