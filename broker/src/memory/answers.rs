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

    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Bytes lent.
    pub fn in_use(&self) -> usize {
        self.lent.bytes.load(Ordering::SeqCst)
    }

    /// What one read should ask for at most, beyond its first batch.
    pub fn read_size_bytes_max(&self) -> usize {
        (self.size_bytes - self.in_use().min(self.size_bytes)) / READ_PART
    }

    /// Nothing yet, to be grown.
    pub fn nothing(&self) -> Lent {
        Lent { from: self.lent.clone(), bytes: 0 }
    }

    /// Adds `bytes` to `lent` if they are free and nobody waits; false changes nothing.
    pub fn grow(&self, lent: &mut Lent, bytes: usize) -> bool {
        self.turn.available() > 0 && self.grow_in_turn(lent, bytes)
    }

    fn grow_in_turn(&self, lent: &mut Lent, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.size_bytes);
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
        if bytes > self.size_bytes {
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

    #[test]
    fn what_is_lent_has_a_bound_and_shrinks_with_what_is_free() {
        let memory = AnswerMemory::new(CoreIndex(3), 1600);
        assert_eq!(memory.read_size_bytes_max(), 100);
        let (mut first, mut second) = (memory.nothing(), memory.nothing());
        assert!(memory.grow(&mut first, 800));
        assert_eq!(memory.read_size_bytes_max(), 50);
        assert!(!memory.grow(&mut second, 801));
        assert_eq!((second.bytes(), memory.in_use()), (0, 800));
        assert!(memory.grow(&mut second, 800));
        first.shrink_to(300);
        assert_eq!(memory.in_use(), 1100);
        assert_eq!(first.give_back(), None);
        drop(second);
        assert_eq!(memory.in_use(), 0);
    }

    #[test]
    fn who_waits_comes_before_who_comes_later_and_hears_of_what_is_given_back() {
        let memory = AnswerMemory::new(CoreIndex(3), 100);
        let mut held = memory.nothing();
        assert!(memory.grow(&mut held, 60));
        let (mut large, mut small) = (memory.nothing(), memory.nothing());
        assert!(!block_on(memory.wait(&mut small, 101)), "never as much");
        let mut waiting = Box::pin(memory.grow_when_free(&mut large, 70));
        assert!(block_on(poll_once(&mut waiting)).is_none());
        assert!(!memory.grow(&mut small, 10), "its turn is later");
        assert_eq!(held.give_back(), Some(CoreIndex(3)));
        memory.look_again();
        assert!(block_on(poll_once(&mut waiting)).is_some());
        drop(waiting);
        assert!(memory.grow(&mut small, 10));
        assert_eq!(memory.in_use(), 80);
    }
}
