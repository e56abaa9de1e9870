//! What compaction holds of a core's memory (INV-13).

use std::cell::Cell;

use protocol::record_batch::StreamLimits;

/// Of segments on their way: two windows that are read, and a piece that is written.
const BUFFER_SIZE_BYTES: usize = 3 << 20;

/// So many times the size of a batch are enough to rewrite it, where no record of it decompresses to more
/// than the batch.
const BATCH_COPIES: usize = 4;

/// Of what is free beside buffers and keys, one record may take one part in so many: it is there as it
/// was read, as it is written, and in what vectors take beyond what they hold.
const RECORD_PART: usize = 4;

/// What the records of one batch may decompress to together. One that has more is a bomb, since
/// producers' batches are bounded by `max.message.bytes`.
const RECORDS_SIZE_BYTES_MAX: usize = 1 << 30;

/// One core's memory for compaction.
pub struct CompactionMemory {
    size_bytes: usize,
    in_use: Cell<usize>,
}

/// Memory of one round, until dropped.
pub(crate) struct Lent<'a> {
    memory: &'a CompactionMemory,
    size_bytes: usize,
}

impl CompactionMemory {
    pub fn new(size_bytes: usize) -> CompactionMemory {
        CompactionMemory { size_bytes, in_use: Cell::new(0) }
    }

    /// What is needed where batches have up to `batch_size_bytes`.
    pub const fn needed(batch_size_bytes: usize) -> usize {
        BUFFER_SIZE_BYTES + 2 * BATCH_COPIES * batch_size_bytes
    }

    /// What a round may have for its keys: as much as batches have.
    pub fn keys_size_bytes_max(&self) -> usize {
        self.size_bytes.saturating_sub(BUFFER_SIZE_BYTES) / 2
    }

    /// Bytes that the round under way holds: its buffers and keys. What a batch takes beside is taken
    /// and given back within one turn.
    pub fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// Lends a round its buffers, and `keys_size_bytes` for its keys.
    pub(crate) fn lend(&self, keys_size_bytes: usize) -> Lent<'_> {
        let size_bytes = keys_size_bytes + BUFFER_SIZE_BYTES;
        self.in_use.set(self.in_use.get() + size_bytes);
        Lent { memory: self, size_bytes }
    }
}

impl Lent<'_> {
    /// How much of a batch is looked at, within what is free now.
    pub(crate) fn limits(&self) -> StreamLimits {
        let free = self.memory.size_bytes.saturating_sub(self.memory.in_use.get());
        StreamLimits {
            records_size_bytes_max: RECORDS_SIZE_BYTES_MAX,
            record_size_bytes_max: free / RECORD_PART,
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.memory.in_use.set(self.memory.in_use.get() - self.size_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_round_has_not_for_keys_it_has_for_records() {
        let batch = 100_000;
        let memory = CompactionMemory::new(CompactionMemory::needed(batch));
        let keys = memory.keys_size_bytes_max();
        assert_eq!(keys, BATCH_COPIES * batch);
        for (keys, record) in [(keys, 100_000), (0, 200_000)] {
            let round = memory.lend(keys);
            assert_eq!(memory.in_use(), keys + BUFFER_SIZE_BYTES);
            assert_eq!(round.limits().record_size_bytes_max, record);
        }
        assert_eq!(memory.in_use(), 0);
        assert_eq!(CompactionMemory::new(0).keys_size_bytes_max(), 0);
    }
}
