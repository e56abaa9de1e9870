//! INV-13: what a core uses of its memory, by use.

use crate::config::MemoryShares;

/// Bytes in use on one core, by the uses of [`MemoryShares`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryInUse {
    pub frames: usize,
    pub chunks: usize,
    pub answers: usize,
    pub parked: usize,
    pub compaction: usize,
    /// Counted coarsely. What was once accepted is loaded whatever it takes.
    pub groups: usize,
}

impl MemoryInUse {
    /// INV-13: no use takes more than its share, so that all together stay below the node's memory. Groups
    /// take no more members and offsets once they have theirs.
    pub fn check(&self, shares: &MemoryShares) {
        for (name, used, share) in [
            ("frames", self.frames, shares.frames),
            ("chunks", self.chunks, shares.chunks),
            ("answers", self.answers, shares.answers),
            ("parked", self.parked, shares.parked),
            ("compaction", self.compaction, shares.compaction),
        ] {
            assert!(used <= share, "INV-13: {name} take {used} bytes of {share}");
        }
    }
}
