//! Batches that no other has the like of.

use std::collections::BTreeMap;

use protocol::model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use protocol::record_batch::{BatchBuilder, BatchOptions, BatchProducer, RecordBatch};
use reactor::sim::Random;

/// Counts batches of one log, and says which are whose.
#[derive(Default)]
pub struct BatchMaker {
    made: u64,
    next_sequences: [i32; PRODUCER_COUNT],
}

const PRODUCER_COUNT: usize = 2;

impl BatchMaker {
    /// The next batch of `label`'s log: of an idempotent producer, or of none. Values are of any size up
    /// to `size_bytes_max` together.
    pub fn next(&mut self, label: &str, random: &mut Random, size_bytes_max: u64) -> RecordBatch {
        self.made += 1;
        let count = random.within(1..6);
        let producer = random.index(PRODUCER_COUNT + 1);
        let producer = self.next_sequences.get_mut(producer).map(|next_sequence| {
            let base_sequence = Some(Sequence(*next_sequence));
            *next_sequence += count as i32;
            BatchProducer {
                id: ProducerId(producer as i64 + 1),
                epoch: ProducerEpoch(0),
                base_sequence,
            }
        });
        let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
        let now = TimestampMs(reactor::wall_clock());
        let word = format!("{label}#{};", self.made);
        for _ in 0..count {
            let size_bytes = random.within(1..size_bytes_max / count + 2) as usize;
            let value: Vec<u8> = word.bytes().cycle().take(size_bytes).collect();
            builder.append(now, Some(word.as_bytes()), Some(&value), &[]);
        }
        RecordBatch::new(builder.build()).expect("a valid batch")
    }

    /// Sequences go on from what the log has, which lost what came after.
    pub fn resume(&mut self, retained: BTreeMap<ProducerId, Sequence>) {
        self.next_sequences = [0; PRODUCER_COUNT];
        for (id, next_sequence) in retained {
            if let Some(slot) = self.next_sequences.get_mut(id.0 as usize - 1) {
                *slot = next_sequence.0;
            }
        }
    }
}
