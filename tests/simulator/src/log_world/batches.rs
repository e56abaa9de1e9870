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
    /// Records are of so many keys, and some have no value; else each batch has a key of its own.
    key_count: Option<u64>,
    producer_count: usize,
}

const PRODUCER_COUNT: usize = 2;

impl BatchMaker {
    /// With idempotent producers, where `is_idempotent` says so.
    pub fn new(key_count: Option<u64>, is_idempotent: bool) -> BatchMaker {
        let producer_count = if is_idempotent { PRODUCER_COUNT } else { 0 };
        BatchMaker { key_count, producer_count, ..BatchMaker::default() }
    }

    /// The next batch of `label`'s log: of an idempotent producer, or of none. Values are of any size up
    /// to `size_bytes_max` together.
    pub fn next(&mut self, label: &str, random: &mut Random, size_bytes_max: u64) -> RecordBatch {
        self.made += 1;
        let count = random.within(1..6);
        let producer = random.index(self.producer_count + 1);
        let of_producers = &mut self.next_sequences[..self.producer_count];
        let producer = of_producers.get_mut(producer).map(|next_sequence| {
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
            match self.key_count {
                Some(key_count) => {
                    let key = random.below(key_count).to_be_bytes();
                    let value = random.chance(0.8).then_some(&value[..]);
                    builder.append(now, Some(&key), value, &[]);
                }
                None => builder.append(now, Some(word.as_bytes()), Some(&value), &[]),
            }
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
