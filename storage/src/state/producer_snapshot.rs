//! `%020d.snapshot`: the producers as of an offset, in Kafka's version 1.
//!
//! Version, CRC-32C of what follows it, count, then entries of 46 bytes, all big-endian. Apache Kafka
//! writes one entry per producer, of its last batch. We write one for each batch that is retained, oldest
//! first: a client with five in flight may retry any of them after a restart. Apache Kafka takes the last
//! entry of a producer for the producer, which is the one that it would have written.

use std::collections::BTreeMap;

use protocol::model::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::producers::{BATCHES_RETAINED, Producer, Producers, RetainedBatch};

const VERSION: i16 = 1;
const HEADER_SIZE_BYTES: usize = 2 + 4;
const ENTRY_SIZE_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

impl Producers {
    pub(crate) fn encode_snapshot(&self) -> Vec<u8> {
        let entries_of = |(_, producer): (_, &Producer)| producer.batches.len().max(1);
        let count: usize = self.iter().map(entries_of).sum();
        let mut bytes = Vec::with_capacity(HEADER_SIZE_BYTES + 4 + count * ENTRY_SIZE_BYTES);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        // A partition's producers are bounded by memory long before they reach `i32::MAX`.
        bytes.extend_from_slice(&(count as i32).to_be_bytes());
        for (producer_id, producer) in self.iter() {
            let (last, older) = match producer.batches.split_last() {
                Some((last, older)) => (Some(last), older),
                None => (None, &[][..]),
            };
            let is_behind = reactor::planted!(snapshot_one_batch_behind);
            let last = if is_behind { older.last().or(last) } else { last };
            for batch in older {
                encode_entry(*producer_id, producer, Some(batch), batch.timestamp, &mut bytes);
            }
            encode_entry(*producer_id, producer, last, producer.last_timestamp, &mut bytes);
        }
        let crc = crc32c::crc32c(&bytes[HEADER_SIZE_BYTES..]);
        bytes[2..HEADER_SIZE_BYTES].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Errors: another version, a wrong CRC, or a size that is not what its count says.
    pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<Producers, &'static str> {
        let (version, rest) = bytes.split_first_chunk().ok_or("it is cut short")?;
        if i16::from_be_bytes(*version) != VERSION {
            return Err("its version is not 1");
        }
        let (crc, covered) = rest.split_first_chunk().ok_or("it is cut short")?;
        if u32::from_be_bytes(*crc) != crc32c::crc32c(covered) {
            return Err("its CRC is wrong");
        }
        let (count, entries) = covered.split_first_chunk().ok_or("it is cut short")?;
        let (entries, rest) = entries.as_chunks::<ENTRY_SIZE_BYTES>();
        if !rest.is_empty() || usize::try_from(i32::from_be_bytes(*count)) != Ok(entries.len()) {
            return Err("its size is not what its count says");
        }
        let mut producers = BTreeMap::new();
        for entry in entries {
            let (producer_id, producer) =
                decode_entry(entry).ok_or("an entry has no producer id")?;
            add_entry(&mut producers, producer_id, producer);
        }
        Ok(Producers::from_map(producers))
    }
}

/// A later entry of a producer is the producer; of those before it only the batches count.
fn add_entry(
    producers: &mut BTreeMap<ProducerId, Producer>,
    producer_id: ProducerId,
    mut producer: Producer,
) {
    if let Some(older) = producers.remove(&producer_id)
        && older.producer_epoch == producer.producer_epoch
    {
        producer.batches.splice(0..0, older.batches);
        let excess = producer.batches.len().saturating_sub(BATCHES_RETAINED);
        producer.batches.drain(..excess);
    }
    producers.insert(producer_id, producer);
}

/// One entry of `producer`, of the given one of its batches.
fn encode_entry(
    producer_id: ProducerId,
    producer: &Producer,
    batch: Option<&RetainedBatch>,
    timestamp: TimestampMs,
    bytes: &mut Vec<u8>,
) {
    let last_sequence = Sequence::to_wire(batch.and_then(|batch| batch.last_sequence));
    bytes.extend_from_slice(&producer_id.0.to_be_bytes());
    bytes.extend_from_slice(&ProducerEpoch::to_wire(producer.producer_epoch).to_be_bytes());
    bytes.extend_from_slice(&last_sequence.to_be_bytes());
    bytes.extend_from_slice(&Offset::to_wire(batch.map(|batch| batch.last_offset)).to_be_bytes());
    bytes.extend_from_slice(&batch.map_or(0, |batch| batch.offset_delta).to_be_bytes());
    bytes.extend_from_slice(&timestamp.0.to_be_bytes());
    bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    bytes.extend_from_slice(&Offset::to_wire(producer.current_txn_first_offset).to_be_bytes());
}

fn decode_entry(entry: &[u8; ENTRY_SIZE_BYTES]) -> Option<(ProducerId, Producer)> {
    let mut rest: &[u8] = entry;
    let producer_id = i64::from_be_bytes(take(&mut rest)?);
    let producer_epoch = ProducerEpoch::from_wire(i16::from_be_bytes(take(&mut rest)?));
    let last_sequence = Sequence::from_wire(i32::from_be_bytes(take(&mut rest)?));
    let last_offset = Offset::from_wire(i64::from_be_bytes(take(&mut rest)?));
    let offset_delta = i32::from_be_bytes(take(&mut rest)?);
    let last_timestamp = TimestampMs(i64::from_be_bytes(take(&mut rest)?));
    let coordinator_epoch = i32::from_be_bytes(take(&mut rest)?);
    let current_txn_first_offset = Offset::from_wire(i64::from_be_bytes(take(&mut rest)?));
    let last_batch = last_offset.map(|last_offset| RetainedBatch {
        last_sequence,
        last_offset,
        offset_delta,
        timestamp: last_timestamp,
    });
    let producer = Producer {
        producer_epoch,
        coordinator_epoch,
        last_timestamp,
        current_txn_first_offset,
        batches: last_batch.into_iter().collect(),
    };
    Some((ProducerId::from_wire(producer_id)?, producer))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*field)
}

#[cfg(test)]
mod tests {
    use super::super::producers::{ProducerBatch, ProducerContent};
    use super::*;

    fn sample() -> Producers {
        let mut producers = Producers::default();
        for producer_id in [7, 4000] {
            let _ = producers.replay(&ProducerBatch {
                producer_id: ProducerId(producer_id),
                producer_epoch: ProducerEpoch(2),
                base_offset: Offset(10),
                last_offset: Offset(14),
                max_timestamp: TimestampMs(1_700_000_000_000),
                content: ProducerContent::Data {
                    sequences: Some((Sequence(5), Sequence(9))),
                    transactional: producer_id == 7,
                },
            });
        }
        producers
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let bytes = sample().encode_snapshot();
        assert_eq!(bytes.len(), 10 + 2 * 46);
        assert_eq!(Producers::decode_snapshot(&bytes), Ok(sample()));
        let none = Producers::default();
        assert_eq!(Producers::decode_snapshot(&none.encode_snapshot()), Ok(none));
    }

    /// `count` batches of one producer, of three records each.
    fn of_one_producer(count: i32) -> Producers {
        let mut producers = Producers::default();
        for batch in 0..count {
            let _ = producers.replay(&ProducerBatch {
                producer_id: ProducerId(7),
                producer_epoch: ProducerEpoch(0),
                base_offset: Offset(i64::from(batch) * 3),
                last_offset: Offset(i64::from(batch) * 3 + 2),
                max_timestamp: TimestampMs(1_000 + i64::from(batch)),
                content: ProducerContent::Data {
                    sequences: Some((Sequence(batch * 3), Sequence(batch * 3 + 2))),
                    transactional: false,
                },
            });
        }
        producers
    }

    #[test]
    fn every_retained_batch_is_in_it_and_the_last_comes_last() {
        for (batch_count, want_entries) in [(1, 1), (3, 3), (5, 5), (9, 5)] {
            let producers = of_one_producer(batch_count);
            let bytes = producers.encode_snapshot();
            assert_eq!(bytes.len(), 10 + want_entries * 46, "{batch_count} batches");
            assert_eq!(Producers::decode_snapshot(&bytes), Ok(producers));
            let last_offset = &bytes[bytes.len() - 46 + 14..][..8];
            let want = i64::from(batch_count) * 3 - 1;
            assert_eq!(last_offset, want.to_be_bytes(), "{batch_count} batches");
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unseen() {
        let bytes = sample().encode_snapshot();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Producers::decode_snapshot(&flipped).is_err(), "bit {bit}");
        }
        for size in 0..bytes.len() {
            assert!(Producers::decode_snapshot(&bytes[..size]).is_err(), "cut to {size}");
        }
    }
}
