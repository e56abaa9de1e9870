//! Memory for requests that are being read or served.

use reactor::sync::{Budget, Share};

use crate::config::{SMALL_FRAME_SIZE_BYTES_MAX, SMALL_FRAMES_PART};

/// One core's memory for frames, handed out first come, first served. Small frames have a line and a part
/// of their own: who announces large frames and sends them slowly keeps others from sending large ones,
/// not from asking at all.
pub struct FrameMemory {
    small: Budget,
    large: Budget,
}

impl FrameMemory {
    /// `size_bytes` for all frames, of which a part is kept for small ones.
    pub fn new(size_bytes: usize) -> Self {
        let small = (size_bytes / (SMALL_FRAMES_PART + 1)).max(SMALL_FRAME_SIZE_BYTES_MAX);
        FrameMemory { small: Budget::new(small), large: Budget::new(size_bytes - small) }
    }

    /// The line in which a frame of `size_bytes` stands.
    pub async fn take(&self, size_bytes: usize) -> Share {
        let line = if size_bytes <= SMALL_FRAME_SIZE_BYTES_MAX { &self.small } else { &self.large };
        line.take(size_bytes.max(1)).await
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_small_frame_overtakes_large_ones_that_wait() {
        let memory = FrameMemory::new((1 << 20) + (1 << 17));
        let first = block_on(poll_once(memory.take(1 << 20)));
        assert!(first.is_some());
        assert!(block_on(poll_once(memory.take(1 << 20))).is_none());
        for size in [0, 1, SMALL_FRAME_SIZE_BYTES_MAX] {
            assert!(block_on(poll_once(memory.take(size))).is_some(), "{size}");
        }
        assert!(block_on(poll_once(memory.take(SMALL_FRAME_SIZE_BYTES_MAX + 1))).is_none());
    }
}
