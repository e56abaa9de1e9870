//! Memory for requests that are being read or served.

use reactor::sync::{Budget, Share};

/// A frame up to this size does not stand in line with larger ones.
const SMALL_SIZE_BYTES_MAX: usize = 64 * 1024;

/// The part of the memory, one in so many, that is kept for small frames.
const SMALL_PART: usize = 8;

/// One core's memory for frames, handed out first come, first served. Small frames have a line and a part
/// of their own: who announces large frames and sends them slowly keeps others from sending large ones,
/// not from asking at all.
pub struct FrameMemory {
    small: Budget,
    large: Budget,
}

impl FrameMemory {
    /// `size_bytes` for large frames; what is kept for small ones comes on top.
    pub fn new(size_bytes: usize) -> Self {
        FrameMemory {
            small: Budget::new((size_bytes / SMALL_PART).max(SMALL_SIZE_BYTES_MAX)),
            large: Budget::new(size_bytes),
        }
    }

    /// The line in which a frame of `size_bytes` stands.
    pub async fn take(&self, size_bytes: usize) -> Share {
        let line = if size_bytes <= SMALL_SIZE_BYTES_MAX { &self.small } else { &self.large };
        line.take(size_bytes.max(1)).await
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_small_frame_overtakes_large_ones_that_wait() {
        let memory = FrameMemory::new(1 << 20);
        let first = block_on(poll_once(memory.take(1 << 20)));
        assert!(first.is_some());
        assert!(block_on(poll_once(memory.take(1 << 20))).is_none());
        for size in [0, 1, SMALL_SIZE_BYTES_MAX] {
            assert!(block_on(poll_once(memory.take(size))).is_some(), "{size}");
        }
        assert!(block_on(poll_once(memory.take(SMALL_SIZE_BYTES_MAX + 1))).is_none());
    }
}
