//! Blocks that were freed on this thread and may be used again, within a budget.
//!
//! A busy log takes and frees a chunk of 256 KiB for each such stretch of its bytes. Where the
//! allocator gives such memory back to the kernel and fetches it again, page faults cost several
//! times what copying the bytes does.

use std::alloc::{Layout, dealloc};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr::NonNull;

/// Smaller blocks are the allocator's: it keeps them itself.
const BLOCK_SIZE_BYTES_MIN: usize = 16 << 10;

/// Larger ones are rare, made for one batch that is.
const BLOCK_SIZE_BYTES_MAX: usize = 1 << 20;

/// What a thread keeps: enough for the chunks that all of a core's logs have in flight between two
/// of their flushes, and a quarter of what an idle broker may be large (PERFORMANCE.md, P20).
const SPARE_SIZE_BYTES_MAX: usize = 8 << 20;

const _: () = assert!(BLOCK_SIZE_BYTES_MAX <= SPARE_SIZE_BYTES_MAX);

thread_local! {
    static SPARE: RefCell<Spare> =
        const { RefCell::new(Spare { blocks: VecDeque::new(), size_bytes: 0 }) };
}

/// Newest last: what was freed last is likeliest to be in the CPU's cache, and a size that nobody
/// asks for comes to the front and goes.
struct Spare {
    blocks: VecDeque<SpareBlock>,
    size_bytes: usize,
}

/// Memory of the allocator's, of `layout`, that nothing else points to.
struct SpareBlock {
    start: NonNull<u8>,
    layout: Layout,
}

/// A block that was allocated with `layout`, if there is one. Its bytes are those of its last owner.
pub(super) fn take(layout: Layout) -> Option<NonNull<u8>> {
    SPARE
        .try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let at = spare.blocks.iter().rposition(|block| block.layout == layout)?;
            let block = spare.blocks.remove(at)?;
            spare.size_bytes -= layout.size();
            let start = block.start;
            std::mem::forget(block);
            Some(start)
        })
        .ok()
        .flatten()
}

/// Keeps a block for later, or frees it.
///
/// # Safety
/// `start` was allocated with `layout`, and its owner gives it up with this call.
pub(super) unsafe fn give(start: NonNull<u8>, layout: Layout) {
    let block = SpareBlock { start, layout };
    if !(BLOCK_SIZE_BYTES_MIN..=BLOCK_SIZE_BYTES_MAX).contains(&layout.size()) {
        return;
    }
    // A thread that is ending has no place for it any more, and it is freed.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        spare.size_bytes += layout.size();
        spare.blocks.push_back(block);
        while spare.size_bytes > SPARE_SIZE_BYTES_MAX
            && let Some(oldest) = spare.blocks.pop_front()
        {
            spare.size_bytes -= oldest.layout.size();
        }
    });
}

impl Drop for SpareBlock {
    fn drop(&mut self) {
        // SAFETY: `give` was promised that the block has this layout and no other owner.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::alloc;

    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 4096).unwrap()
    }

    fn allocate(size: usize) -> NonNull<u8> {
        // SAFETY: no size in these tests is 0.
        NonNull::new(unsafe { alloc(layout(size)) }).unwrap()
    }

    #[test]
    fn what_is_kept_has_the_right_size_and_a_bound() {
        for (size, kept) in [
            (BLOCK_SIZE_BYTES_MIN / 2, 0),
            (BLOCK_SIZE_BYTES_MIN, 3),
            (BLOCK_SIZE_BYTES_MAX, 3),
            (BLOCK_SIZE_BYTES_MAX * 2, 0),
        ] {
            for _ in 0..3 {
                // SAFETY: just allocated so, and given away.
                unsafe { give(allocate(size), layout(size)) };
            }
            assert!(take(layout(size + 4096)).is_none(), "another size than {size}");
            let taken: Vec<_> = std::iter::from_fn(|| take(layout(size))).collect();
            assert_eq!(taken.len(), kept, "size {size}");
            // SAFETY: `take` gave them to us, allocated with this layout.
            taken.iter().for_each(|start| unsafe { dealloc(start.as_ptr(), layout(size)) });
        }
        let most = SPARE_SIZE_BYTES_MAX / BLOCK_SIZE_BYTES_MAX;
        // SAFETY: as below.
        unsafe { give(allocate(BLOCK_SIZE_BYTES_MIN), layout(BLOCK_SIZE_BYTES_MIN)) };
        for _ in 0..most + 2 {
            // SAFETY: just allocated so, and given away.
            unsafe { give(allocate(BLOCK_SIZE_BYTES_MAX), layout(BLOCK_SIZE_BYTES_MAX)) };
        }
        assert!(take(layout(BLOCK_SIZE_BYTES_MIN)).is_none(), "the oldest went first");
        SPARE.with(|spare| assert_eq!(spare.borrow().blocks.len(), most));
        SPARE.with(|spare| assert_eq!(spare.borrow().size_bytes, SPARE_SIZE_BYTES_MAX));
    }
}
