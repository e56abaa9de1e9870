//! One core's chunks: how many bytes they may take, and which one goes when another needs its place.
//!
//! A dirty chunk holds bytes that no file has yet: it stays. A clean one is a cache of its segment's
//! file, and may go at any time, whichever log it belongs to. CLOCK picks it: the oldest that nobody
//! has read since the hand was there last.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use reactor::buffer::{ALIGNMENT, Chunk};
use reactor::sync::Notify;

/// Dirty chunks take at most one part in so many of a pool, or the logs that are read would have no
/// cache while others are written.
const DIRTY_PART: usize = 2;

/// A pool has place for at least so many chunks of the usual sizes.
const CHUNK_PART: usize = 16;

/// The chunks of one core, of all its logs in all directories, within one number of bytes.
pub struct ChunkPool {
    size_bytes_max: usize,
    /// Capacities of all chunks held, and of those that are dirty.
    held_bytes: Cell<usize>,
    dirty_bytes: Cell<usize>,
    /// Chunks that were clean when they came here; the hand is at the front.
    clock: RefCell<VecDeque<Rc<PooledChunk>>>,
    /// Chunks in `clock` that were let go of: only their places are left.
    gone_count: Cell<usize>,
    room: Notify,
}

/// One chunk of a log, as long as the pool leaves it there.
pub(crate) struct PooledChunk {
    pool: Rc<ChunkPool>,
    memory: RefCell<Memory>,
    capacity: usize,
    filled: Cell<usize>,
    is_dirty: Cell<bool>,
    /// It was read since the hand was here.
    is_read: Cell<bool>,
    is_in_clock: Cell<bool>,
    /// The next append goes on behind it: its last block is needed, whatever becomes of the rest.
    ends_log: Cell<bool>,
}

enum Memory {
    Held(Chunk),
    /// What is left of a chunk that ends its log: the bytes of the last, partial block.
    Evicted(Vec<u8>),
}

impl ChunkPool {
    /// An empty pool for chunks of `size_bytes_max` together.
    pub fn new(size_bytes_max: usize) -> Rc<Self> {
        Rc::new(ChunkPool {
            size_bytes_max,
            held_bytes: Cell::new(0),
            dirty_bytes: Cell::new(0),
            clock: RefCell::default(),
            gone_count: Cell::new(0),
            room: Notify::new(),
        })
    }

    pub fn size_bytes_max(&self) -> usize {
        self.size_bytes_max
    }

    /// The largest chunk that is made where no batch needs more: a small pool has several, too.
    pub(crate) fn chunk_size_bytes_max(&self) -> usize {
        (self.size_bytes_max / CHUNK_PART / ALIGNMENT * ALIGNMENT).max(ALIGNMENT)
    }

    /// Capacities of all chunks held.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.get()
    }

    /// Capacities of chunks with bytes that no file has yet.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes.get()
    }

    /// Whether an append may make another chunk dirty.
    pub(crate) fn has_room(&self) -> bool {
        self.dirty_bytes.get() < self.size_bytes_max / DIRTY_PART
    }

    /// Half of what may be dirty is: time to write something out.
    pub(crate) fn is_crowded(&self) -> bool {
        self.dirty_bytes.get() >= self.size_bytes_max / (2 * DIRTY_PART)
    }

    /// Resolves when the next dirty chunk has become clean, or was let go of.
    pub(crate) fn room_changed(&self) -> impl Future<Output = ()> + 'static + use<> {
        self.room.notified()
    }

    /// An empty, dirty chunk of `capacity` bytes. Clean ones go to make place for it.
    pub(crate) fn chunk(self: &Rc<Self>, capacity: usize) -> Rc<PooledChunk> {
        self.evict_for(capacity);
        self.held_bytes.set(self.held_bytes.get() + capacity);
        self.dirty_bytes.set(self.dirty_bytes.get() + capacity);
        Rc::new(PooledChunk {
            pool: self.clone(),
            memory: RefCell::new(Memory::Held(Chunk::new(capacity))),
            capacity,
            filled: Cell::new(0),
            is_dirty: Cell::new(true),
            is_read: Cell::new(false),
            is_in_clock: Cell::new(false),
            ends_log: Cell::new(true),
        })
    }

    /// Lets clean chunks go until `size_bytes` more fit, or all that are left are dirty.
    fn evict_for(&self, size_bytes: usize) {
        while self.held_bytes.get() + size_bytes > self.size_bytes_max {
            let Some(chunk) = self.clock.borrow_mut().pop_front() else {
                reactor::mark!(chunk_pool_all_dirty);
                return;
            };
            if chunk.is_dirty.get() {
                // It was appended to; it comes back when it is clean.
                chunk.is_in_clock.set(false);
            } else if !chunk.is_held() {
                self.gone_count.set(self.gone_count.get() - 1);
            } else if chunk.is_read.replace(false) {
                self.clock.borrow_mut().push_back(chunk);
            } else {
                chunk.is_in_clock.set(false);
                chunk.evict();
            }
        }
    }

    /// Forgets the places of chunks that are gone once they are the greater part.
    fn tidy(&self) {
        let mut clock = self.clock.borrow_mut();
        if self.gone_count.get() > clock.len() / 2 {
            clock.retain(|chunk| chunk.is_held());
            self.gone_count.set(0);
        }
    }
}

impl PooledChunk {
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes filled, also of a chunk that was evicted.
    pub(crate) fn filled(&self) -> usize {
        self.filled.get()
    }

    pub(crate) fn is_held(&self) -> bool {
        matches!(*self.memory.borrow(), Memory::Held(_))
    }

    /// Fills the next `size_bytes`. The chunk is held and has room (asserted).
    pub(crate) fn append_with(&self, size_bytes: usize, fill: impl FnOnce(&mut [u8])) {
        let mut memory = self.memory.borrow_mut();
        let Memory::Held(chunk) = &mut *memory else {
            panic!("append to a chunk that was evicted");
        };
        if !self.is_dirty.replace(true) {
            self.pool.dirty_bytes.set(self.pool.dirty_bytes.get() + self.capacity);
        }
        chunk.append_with(size_bytes, fill);
        self.filled.set(chunk.filled());
    }

    /// A shared view of bytes that were filled; `None` where the chunk was evicted.
    pub(crate) fn share(&self, range: std::ops::Range<usize>) -> Option<Bytes> {
        match &*self.memory.borrow() {
            Memory::Held(chunk) => Some(chunk.share(range)),
            Memory::Evicted(_) => None,
        }
    }

    /// As [`PooledChunk::share`], for a reader: the chunk has earned a longer stay.
    pub(crate) fn read(&self, range: std::ops::Range<usize>) -> Option<Bytes> {
        self.is_read.set(true);
        self.share(range)
    }

    /// The bytes of its last, partial block, where it ends its log.
    pub(crate) fn last_block(&self) -> Ref<'_, [u8]> {
        assert!(self.ends_log.get(), "the last block of a chunk that another follows");
        Ref::map(self.memory.borrow(), |memory| match memory {
            Memory::Held(chunk) => &chunk.bytes()[self.filled.get() / ALIGNMENT * ALIGNMENT..],
            Memory::Evicted(last_block) => last_block,
        })
    }

    /// Another chunk follows: its last block is there, too.
    pub(crate) fn set_followed(&self) {
        self.ends_log.set(false);
        if let Memory::Evicted(last_block) = &mut *self.memory.borrow_mut() {
            *last_block = Vec::new();
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty.get()
    }

    /// All its bytes are in a file: it may go when another needs its place.
    pub(crate) fn set_clean(self: &Rc<Self>) {
        if !self.is_dirty.replace(false) {
            return;
        }
        let pool = &self.pool;
        pool.dirty_bytes.set(pool.dirty_bytes.get() - self.capacity);
        if !self.is_in_clock.replace(true) {
            pool.clock.borrow_mut().push_back(self.clone());
        }
        pool.evict_for(0);
        pool.room.notify_all();
    }

    fn evict(&self) {
        assert!(!self.is_dirty.get(), "a chunk with bytes that no file has is not evicted");
        let last_block = match self.ends_log.get() {
            true => self.last_block().to_vec(),
            false => Vec::new(),
        };
        self.give_back(last_block);
    }

    /// Its log has no use for it any more.
    pub(crate) fn let_go(&self) {
        if !self.is_held() {
            return;
        }
        let pool = &self.pool;
        if self.is_dirty.replace(false) {
            pool.dirty_bytes.set(pool.dirty_bytes.get() - self.capacity);
            pool.room.notify_all();
        }
        self.give_back(Vec::new());
        if self.is_in_clock.get() {
            pool.gone_count.set(pool.gone_count.get() + 1);
            pool.tidy();
        }
    }

    fn give_back(&self, last_block: Vec<u8>) {
        let memory = self.memory.replace(Memory::Evicted(last_block));
        drop(memory);
        let pool = &self.pool;
        pool.held_bytes.set(pool.held_bytes.get() - self.capacity);
    }
}
