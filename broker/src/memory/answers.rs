//! Memory that answers keep from being freed until they are sent: chunks that were read, and what came
//! from a disk.
//!
//! It belongs to the core that owns the partitions read; the answer is sent by another, perhaps, and
//! slowly. So what is lent is counted in one number that both may change. Only its own core waits for
//! it; who gives some back on another core tells this one if it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reactor::CoreIndex;
use reactor::sync::{Budget, Notify};

/// One read takes at most one part in so many of what is free: the more is lent, the less each gets, and
/// no few of them take all.
const READ_PART: usize = 16;

/// A read up to this size stands in no line.
const SMALL_SIZE_BYTES_MAX: usize = 64 << 10;

/// The part, one in so many, that is kept for small reads: readers that take nothing of large answers
/// keep those from being read who follow a log record by record.
const SMALL_PART: usize = 8;

/// A fetch that gets no memory for so long answers without. It may hold another core's memory meanwhile,
/// so none may wait for ever.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// One core's memory for answers.
pub struct AnswerMemory {
    lent: Arc<LentBytes>,
    size_bytes: usize,
    /// Who waits stands in line: one unit, for the one whose turn it is.
    turn: Budget,
    freed: Notify,
}

struct LentBytes {
    bytes: AtomicUsize,
    /// Somebody waits on the core that lends.
    is_awaited: AtomicBool,
    lender: CoreIndex,
}

/// Memory lent for one answer. It goes where the answer goes.
pub struct Lent {
    from: Arc<LentBytes>,
    bytes: usize,
}

impl AnswerMemory {
    /// `size_bytes` of the core `lender`.
    pub fn new(lender: CoreIndex, size_bytes: usize) -> Self {
        let lent =
            LentBytes { bytes: AtomicUsize::new(0), is_awaited: AtomicBool::new(false), lender };
        AnswerMemory {
            lent: Arc::new(lent),
            size_bytes,
            turn: Budget::new(1),
            freed: Notify::new(),
        }
    }

    /// The most that one read can get.
    pub fn read_bound_bytes(&self) -> usize {
        self.size_bytes - self.size_bytes / SMALL_PART
    }

    /// Bytes lent.
    pub fn in_use(&self) -> usize {
        self.lent.bytes.load(Ordering::SeqCst)
    }

    /// What one read should ask for at most, beyond its first batch.
    pub fn read_size_bytes_max(&self) -> usize {
        self.read_bound_bytes().saturating_sub(self.in_use()) / READ_PART
    }

    /// Nothing yet, to be grown.
    pub fn nothing(&self) -> Lent {
        Lent { from: self.lent.clone(), bytes: 0 }
    }

    /// Adds `bytes` to `lent` if they are free, and nobody waits or it is small; false changes nothing.
    pub fn grow(&self, lent: &mut Lent, bytes: usize) -> bool {
        let is_small = lent.bytes + bytes <= SMALL_SIZE_BYTES_MAX;
        (is_small || self.turn.available() > 0) && self.grow_in_turn(lent, bytes)
    }

    fn grow_in_turn(&self, lent: &mut Lent, bytes: usize) -> bool {
        let is_small = lent.bytes + bytes <= SMALL_SIZE_BYTES_MAX;
        let bound = if is_small { self.size_bytes } else { self.read_bound_bytes() };
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= bound);
        let updated = self.lent.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits);
        if updated.is_ok() {
            lent.bytes += bytes;
        }
        updated.is_ok()
    }

    /// Has `lent`, which is nothing yet (asserted), hold `bytes`, first come, first served. False after
    /// [`WAIT_MAX`], and where there will never be as much.
    pub async fn wait(&self, lent: &mut Lent, bytes: usize) -> bool {
        assert_eq!(lent.bytes, 0, "who holds memory does not wait for more");
        if bytes > self.read_bound_bytes() {
            return false;
        }
        if self.grow(lent, bytes) {
            return true;
        }
        reactor::mark!(answer_waits_for_memory);
        let is_lent = reactor::timeout(WAIT_MAX, self.grow_when_free(lent, bytes)).await.is_ok();
        if self.turn.available() > 0 {
            self.lent.is_awaited.store(false, Ordering::SeqCst);
        }
        is_lent
    }

    async fn grow_when_free(&self, lent: &mut Lent, bytes: usize) {
        let _turn = self.turn.take(1).await;
        loop {
            let freed = self.freed.notified();
            // Said before the last look: who frees some after it tells us.
            self.lent.is_awaited.store(true, Ordering::SeqCst);
            if self.grow_in_turn(lent, bytes) {
                return;
            }
            freed.await;
        }
    }

    /// Some was given back: whose turn it is looks again.
    pub fn look_again(&self) {
        self.freed.notify_all();
    }
}

impl Lent {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but `bytes`, of which it holds as many (asserted).
    pub fn shrink_to(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes, "{bytes} bytes of {}", self.bytes);
        self.from.bytes.fetch_sub(self.bytes - bytes, Ordering::SeqCst);
        self.bytes = bytes;
    }

    /// Gives all back; says which core waits for it, if one does.
    pub fn give_back(mut self) -> Option<CoreIndex> {
        self.shrink_to(0);
        self.from.is_awaited.load(Ordering::SeqCst).then_some(self.from.lender)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent").field("bytes", &self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    const KIB: usize = 1 << 10;

    #[test]
    fn what_is_lent_has_a_bound_and_shrinks_with_what_is_free() {
        let memory = AnswerMemory::new(CoreIndex(3), 1_024 * KIB);
        assert_eq!(memory.read_size_bytes_max(), 56 * KIB);
        let (mut first, mut second) = (memory.nothing(), memory.nothing());
        assert!(memory.grow(&mut first, 448 * KIB));
        assert_eq!(memory.read_size_bytes_max(), 28 * KIB);
        assert!(!memory.grow(&mut second, 448 * KIB + 1));
        assert_eq!((second.bytes(), memory.in_use()), (0, 448 * KIB));
        assert!(memory.grow(&mut second, 448 * KIB));
        assert_eq!(memory.read_size_bytes_max(), 0);
        // What is kept for small ones.
        let (mut small, mut other) = (memory.nothing(), memory.nothing());
        assert!(memory.grow(&mut small, 64 * KIB) && !memory.grow(&mut small, 1));
        assert!(memory.grow(&mut other, 64 * KIB) && !memory.grow(&mut memory.nothing(), 1));
        first.shrink_to(300);
        assert_eq!(memory.in_use(), 576 * KIB + 300);
        assert_eq!(first.give_back(), None);
        drop((second, small, other));
        assert_eq!(memory.in_use(), 0);
    }

    #[test]
    fn who_waits_comes_before_who_comes_later_and_hears_of_what_is_given_back() {
        let memory = AnswerMemory::new(CoreIndex(3), 1_024 * KIB);
        let mut held = memory.nothing();
        assert!(memory.grow(&mut held, 600 * KIB));
        let (mut large, mut late) = (memory.nothing(), memory.nothing());
        assert!(!block_on(memory.wait(&mut late, 897 * KIB)), "never as much");
        let mut waiting = Box::pin(memory.grow_when_free(&mut large, 700 * KIB));
        assert!(block_on(poll_once(&mut waiting)).is_none());
        assert!(!memory.grow(&mut late, 100 * KIB), "its turn is later");
        assert!(memory.grow(&mut memory.nothing(), 10 * KIB), "a small one passes");
        assert_eq!(held.give_back(), Some(CoreIndex(3)));
        memory.look_again();
        assert!(block_on(poll_once(&mut waiting)).is_some());
        drop(waiting);
        assert!(memory.grow(&mut late, 100 * KIB));
        assert_eq!(memory.in_use(), 800 * KIB);
    }
}
