//! Memory for direct I/O: aligned buffers, and chunks that one writer fills while others read.

mod spare;

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;

/// What direct I/O wants of addresses, positions and lengths, in bytes.
pub const ALIGNMENT: usize = 4096;

/// An aligned buffer, zeroed when made. Its length is a multiple of [`ALIGNMENT`].
pub struct AlignedBuffer {
    block: Block,
}

impl AlignedBuffer {
    /// `size` zero bytes; `size` is a multiple of [`ALIGNMENT`] (asserted).
    pub fn zeroed(size: usize) -> Self {
        AlignedBuffer { block: Block::zeroed(size) }
    }

    /// Hands the buffer over to shared, immutable use without a copy.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the block is `size` initialised bytes, and this buffer is its only owner: while
        // it is borrowed shared, no one writes.
        unsafe { slice::from_raw_parts(self.block.start.as_ptr(), self.block.size) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the exclusive borrow of the only owner makes this the only access.
        unsafe { slice::from_raw_parts_mut(self.block.start.as_ptr(), self.block.size) }
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuffer").field("size", &self.block.size).finish()
    }
}

/// An aligned block of memory that one core fills from the front. What was filled never changes
/// again and may be read, sent and written to disk from any core while the rest is being filled.
pub struct Chunk {
    block: Arc<Block>,
    /// Bytes below are immutable and may have readers; bytes from here on are this writer's alone,
    /// and hold whatever the memory held before.
    filled: usize,
}

impl Chunk {
    /// An empty chunk of `capacity` bytes, a multiple of [`ALIGNMENT`] (asserted).
    pub fn new(capacity: usize) -> Self {
        Chunk { block: Arc::new(Block::new(capacity)), filled: 0 }
    }

    pub fn capacity(&self) -> usize {
        self.block.size
    }

    /// Bytes filled so far.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Fills the next `size` bytes by `fill`, which gets them as some earlier use of the memory left
    /// them and is to fill them all, and returns where they lie. Panics where fewer than `size` are
    /// left. What a `fill` that panics has left behind counts as filled.
    pub fn append_with(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Range<usize> {
        let left = self.block.size - self.filled;
        assert!(size <= left, "append of {size} bytes to a chunk with {left} left");
        let range = self.filled..self.filled + size;
        self.filled = range.end;
        // SAFETY: the range lies within the block. It begins where `filled` was, so no view reaches
        // into it (`share` stays below `filled`), and `&mut self` lends it to no one else.
        let bytes = unsafe {
            slice::from_raw_parts_mut(self.block.start.as_ptr().add(range.start), range.len())
        };
        fill(bytes);
        range
    }

    /// The bytes filled so far.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: bytes below `filled` are initialised, and no one writes to them any more.
        unsafe { slice::from_raw_parts(self.block.start.as_ptr(), self.filled) }
    }

    /// A shared view of `range`, which must have been filled (asserted). It keeps the memory alive.
    pub fn share(&self, range: Range<usize>) -> Bytes {
        assert!(
            range.start <= range.end && range.end <= self.filled,
            "share of {range:?} of a chunk filled to {}",
            self.filled
        );
        if range.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(View { block: self.block.clone(), range })
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("filled", &self.filled)
            .field("capacity", &self.block.size)
            .finish()
    }
}

/// A filled part of a chunk, as an owner for [`Bytes`].
struct View {
    block: Arc<Block>,
    range: Range<usize>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `Chunk::share` made the range from bytes below `filled`: they are within the
        // block, and no one writes to them any more. The block lives as long as this view. The
        // view crosses threads only by means that order the filling before the reading.
        unsafe {
            slice::from_raw_parts(self.block.start.as_ptr().add(self.range.start), self.range.len())
        }
    }
}

/// Owned, aligned, initialised memory that is reached by pointer only, so that disjoint parts of it
/// may be borrowed at once. Who may touch which part is the owner's affair.
struct Block {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: a block is plain bytes; nothing about it is bound to the thread that made it.
unsafe impl Send for Block {}
// SAFETY: a shared block gives out nothing but its address and size; `Chunk` and `View` say why
// what they borrow through it never overlaps a write.
unsafe impl Sync for Block {}

impl Block {
    fn zeroed(size: usize) -> Self {
        let (block, is_zeroed) = Self::take(size);
        if !is_zeroed {
            // SAFETY: the block has `size` bytes, and no owner but us.
            unsafe { block.start.write_bytes(0, size) };
        }
        block
    }

    /// A block with the bytes of some earlier use, or zeros.
    fn new(size: usize) -> Self {
        Self::take(size).0
    }

    /// A block, and whether all its bytes are zero.
    fn take(size: usize) -> (Self, bool) {
        assert!(
            size.is_multiple_of(ALIGNMENT),
            "{size} bytes are no multiple of the alignment, {ALIGNMENT}"
        );
        let layout = Self::layout(size);
        if size == 0 {
            // The allocator takes no empty layout; an aligned dangling address does for no bytes.
            return (Block { start: layout.dangling_ptr(), size }, true);
        }
        if let Some(start) = spare::take(layout) {
            return (Block { start, size }, false);
        }
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        (Block { start, size }, true)
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, ALIGNMENT).expect("a size that fits the address space")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.size > 0 {
            // SAFETY: `take` allocated it with this very layout, and the last owner is going.
            unsafe { spare::give(self.start, Self::layout(self.size)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn buffers_are_aligned_and_zeroed() {
        for size in [0, ALIGNMENT, 3 * ALIGNMENT, 1 << 20] {
            let mut buffer = AlignedBuffer::zeroed(size);
            assert_eq!(buffer.len(), size);
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0, "size {size}");
            assert!(buffer.iter().all(|&byte| byte == 0), "size {size}");
            buffer.fill(0xA5);
            assert!(buffer.iter().all(|&byte| byte == 0xA5), "size {size}");
        }
    }

    #[test]
    fn a_buffer_that_was_used_before_is_zeroed_again() {
        let size = 64 << 10;
        let mut first = AlignedBuffer::zeroed(size);
        first.fill(0xA5);
        let address = first.as_ptr();
        drop(first);
        let second = AlignedBuffer::zeroed(size);
        assert_eq!(second.as_ptr(), address, "it is the same memory");
        assert!(second.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn bytes_of_a_buffer_are_the_same_memory() {
        let mut buffer = AlignedBuffer::zeroed(2 * ALIGNMENT);
        buffer[ALIGNMENT] = 7;
        let address = buffer.as_ptr();
        let bytes = buffer.into_bytes();
        let tail = bytes.slice(ALIGNMENT..);
        drop(bytes);
        assert_eq!(tail.as_ptr(), address.wrapping_add(ALIGNMENT));
        assert_eq!(tail[0], 7);
    }

    #[test]
    #[should_panic(expected = "no multiple of the alignment")]
    fn a_size_off_the_alignment_is_refused() {
        AlignedBuffer::zeroed(ALIGNMENT + 1);
    }

    #[test]
    fn a_chunk_fills_from_the_front_and_keeps_what_it_shared() {
        let mut chunk = Chunk::new(ALIGNMENT);
        let first = chunk.append_with(3, |bytes| bytes.copy_from_slice(b"abc"));
        let view = chunk.share(first.clone());
        let second = chunk.append_with(ALIGNMENT - 3, |bytes| bytes[0] = b'd');
        assert_eq!((first, second), (0..3, 3..ALIGNMENT));
        assert_eq!((chunk.filled(), chunk.capacity()), (ALIGNMENT, ALIGNMENT));
        assert_eq!(chunk.share(1..5), Bytes::from_static(b"bcd\0"));
        drop(chunk);
        assert_eq!(view, Bytes::from_static(b"abc"));
    }

    #[test]
    fn a_chunk_shares_without_a_copy() {
        let mut chunk = Chunk::new(ALIGNMENT);
        chunk.append_with(8, |bytes| bytes.fill(1));
        let whole = chunk.share(0..8);
        assert_eq!(whole.as_ptr() as usize % ALIGNMENT, 0);
        assert_eq!(chunk.share(4..8).as_ptr(), whole.as_ptr().wrapping_add(4));
        assert!(chunk.share(8..8).is_empty());
    }

    #[test]
    fn a_chunk_refuses_what_is_out_of_bounds() {
        let mut chunk = Chunk::new(ALIGNMENT);
        chunk.append_with(8, |_| {});
        let reversed = Range { start: 5, end: 4 };
        for range in [0..9, 9..9, reversed] {
            let shared = catch_unwind(AssertUnwindSafe(|| chunk.share(range.clone())));
            assert!(shared.is_err(), "share of {range:?}");
        }
        let append = AssertUnwindSafe(|| chunk.append_with(ALIGNMENT - 7, |_| {}));
        assert!(catch_unwind(append).is_err());
        assert_eq!(chunk.filled(), 8);
    }

    #[test]
    fn what_a_fill_that_panics_leaves_counts_as_filled() {
        let mut chunk = Chunk::new(ALIGNMENT);
        let append = AssertUnwindSafe(|| {
            chunk.append_with(16, |bytes| {
                bytes.fill(0xFF);
                panic!("half way");
            })
        });
        assert!(catch_unwind(append).is_err());
        assert_eq!(chunk.append_with(16, |bytes| bytes.fill(1)), 16..32);
    }

    #[test]
    fn views_are_read_on_another_thread_while_the_rest_is_filled() {
        const RECORD: usize = 64;
        let (views, incoming) = mpsc::channel::<(u8, Bytes)>();
        let reader = thread::spawn(move || {
            let mut kept = Vec::new();
            for (value, view) in incoming {
                assert!(view.iter().all(|&byte| byte == value));
                kept.push((value, view));
            }
            // Again at the end, when everything around them has been written.
            for (value, view) in &kept {
                assert!(view.iter().all(|byte| byte == value));
            }
            kept.len()
        });
        let mut chunk = Chunk::new(4 * ALIGNMENT);
        for n in 0..chunk.capacity() / RECORD {
            let value = (n % 251) as u8;
            let range = chunk.append_with(RECORD, |bytes| bytes.fill(value));
            views.send((value, chunk.share(range))).expect("the reader runs");
        }
        drop(chunk);
        drop(views);
        assert_eq!(reader.join().expect("the reader saw what was written"), 256);
    }
}
