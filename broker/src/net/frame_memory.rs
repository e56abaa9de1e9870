//! Memory for requests that are being read or served.

use reactor::sync::{Budget, Share};

use crate::config::{SMALL_FRAME_SIZE_BYTES_MAX, SMALL_FRAMES_PART};

/// One core's memory for frames, handed out first come, first served. Small frames have a line and a part
/// of their own: who announces large frames and sends them slowly keeps others from sending large ones,
/// not from asking at all.
pub struct FrameMemory {
    small: Budget,
    small_bytes: usize,
    large: Budget,
    size_bytes: usize,
}

impl FrameMemory {
    /// `size_bytes` for all frames, of which a part is kept for small ones.
    pub fn new(size_bytes: usize) -> Self {
        let small = (size_bytes / (SMALL_FRAMES_PART + 1)).max(SMALL_FRAME_SIZE_BYTES_MAX);
        FrameMemory {
            small: Budget::new(small),
            small_bytes: small,
            large: Budget::new(size_bytes - small),
            size_bytes,
        }
    }

    /// Waits for `size_bytes` in the line of frames of this size.
    pub async fn take(&self, size_bytes: usize) -> Share {
        let line = if size_bytes <= SMALL_FRAME_SIZE_BYTES_MAX { &self.small } else { &self.large };
        line.take(size_bytes.max(1)).await
    }

    /// `size_bytes` for a buffer that is larger than it need be, while there is plenty.
    pub fn try_take_spare(&self, size_bytes: usize) -> Option<Share> {
        let is_plenty = self.small.available() >= self.small_bytes / 2 + size_bytes;
        is_plenty.then(|| self.small.try_take(size_bytes)).flatten()
    }

    pub fn in_use(&self) -> usize {
        self.size_bytes - self.small.available() - self.large.available()
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
