//! Memory for direct I/O: aligned buffers, and chunks that one writer fills while others read.

use std::ops::{Deref, DerefMut, Range};

use bytes::Bytes;

/// What direct I/O wants of addresses, positions and lengths, in bytes.
pub const ALIGNMENT: usize = 4096;

/// An aligned buffer, zeroed when made. Its length is a multiple of [`ALIGNMENT`].
pub struct AlignedBuffer {
    blocks: Vec<Block>,
}

#[repr(C, align(4096))]
#[derive(Clone, Copy)]
struct Block([u8; ALIGNMENT]);

impl AlignedBuffer {
    /// `size` zero bytes; `size` is a multiple of [`ALIGNMENT`] (asserted).
    pub fn zeroed(size: usize) -> Self {
        let _ = size;
        todo!()
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
        let _ = &self.blocks;
        todo!()
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        todo!()
    }
}

/// An aligned block of memory that one core fills from the front. What was filled never changes
/// again and may be read, sent and written to disk from any core while the rest is being filled.
pub struct Chunk {
    _todo: (),
}

impl Chunk {
    /// An empty chunk of `capacity` bytes, a multiple of [`ALIGNMENT`] (asserted).
    pub fn new(capacity: usize) -> Self {
        let _ = capacity;
        todo!()
    }

    pub fn capacity(&self) -> usize {
        todo!()
    }

    /// Bytes filled so far.
    pub fn filled(&self) -> usize {
        todo!()
    }

    /// Fills the next `size` bytes by `fill`, which gets them zeroed, and returns where they lie.
    /// Panics where fewer than `size` are left.
    pub fn append_with(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Range<usize> {
        let _ = (size, fill);
        todo!()
    }

    /// A shared view of `range`, which must have been filled (asserted). It keeps the memory alive.
    pub fn share(&self, range: Range<usize>) -> Bytes {
        let _ = range;
        todo!()
    }
}
