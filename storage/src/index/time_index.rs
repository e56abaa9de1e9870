//! `.timeindex`: entries of 8 bytes timestamp and 4 bytes offset relative to the segment's base, both
//! big-endian. An entry says: up to this offset no timestamp is larger.

use protocol::model::{Offset, TimestampMs};

use super::InvalidIndex;

pub(super) const ENTRY_SIZE_BYTES: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    timestamp: TimestampMs,
    relative_offset: u32,
}

/// One segment's time index, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeIndex {
    base_offset: Offset,
    entries: Vec<Entry>,
}

impl TimeIndex {
    pub(crate) fn new(base_offset: Offset) -> Self {
        TimeIndex { base_offset, entries: Vec::new() }
    }

    /// Errors: timestamps that do not grow, offsets that go down, or a size that is no multiple of
    /// an entry's.
    pub(crate) fn decode(base_offset: Offset, bytes: &[u8]) -> Result<Self, InvalidIndex> {
        let (raw, rest) = bytes.as_chunks::<ENTRY_SIZE_BYTES>();
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        for &[t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3] in raw {
            let entry = Entry {
                timestamp: TimestampMs(i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7])),
                relative_offset: u32::from_be_bytes([o0, o1, o2, o3]),
            };
            let in_order = entries.last().is_none_or(|last| {
                entry.timestamp > last.timestamp && entry.relative_offset >= last.relative_offset
            });
            if !in_order || entry.relative_offset > i32::MAX as u32 {
                return Err(InvalidIndex { entry: entries.len() });
            }
            entries.push(entry);
        }
        if !rest.is_empty() {
            return Err(InvalidIndex { entry: entries.len() });
        }
        Ok(TimeIndex { base_offset, entries })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_from(0)
    }

    /// The bytes of the entries from number `first` on.
    pub(super) fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = self.entries.get(first..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_SIZE_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.timestamp.0.to_be_bytes());
            bytes.extend_from_slice(&entry.relative_offset.to_be_bytes());
        }
        bytes
    }

    /// Adds an entry where `timestamp` is larger than the last one's. Records without a timestamp
    /// (-1) get none, as in Kafka.
    pub(super) fn maybe_append(&mut self, timestamp: TimestampMs, offset: Offset) {
        if timestamp.0 <= self.entries.last().map_or(-1, |entry| entry.timestamp.0) {
            return;
        }
        let relative_offset = u32::try_from(offset.0 - self.base_offset.0)
            .ok()
            .filter(|&relative| relative <= i32::MAX as u32)
            .unwrap_or_else(|| panic!("offset {offset} outside of segment {}", self.base_offset));
        assert!(
            self.entries.last().is_none_or(|last| relative_offset >= last.relative_offset),
            "time index entry for {offset} lies before the last"
        );
        self.entries.push(Entry { timestamp, relative_offset });
    }

    /// An offset at or before the first batch that has a timestamp of at least `target`.
    pub(crate) fn lookup(&self, target: TimestampMs) -> Offset {
        let above = self.entries.partition_point(|entry| entry.timestamp <= target);
        let entry = above.checked_sub(1).and_then(|index| self.entries.get(index));
        Offset(self.base_offset.0 + entry.map_or(0, |entry| i64::from(entry.relative_offset)))
    }

    /// Each entry's timestamp and offset.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TimestampMs, Offset)> {
        let base_offset = self.base_offset.0;
        self.entries.iter().map(move |entry| {
            (entry.timestamp, Offset(base_offset + i64::from(entry.relative_offset)))
        })
    }

    /// The largest timestamp, and the last offset of the first batch that has it.
    pub(crate) fn last(&self) -> Option<(TimestampMs, Offset)> {
        self.entries.last().map(|entry| {
            (entry.timestamp, Offset(self.base_offset.0 + i64::from(entry.relative_offset)))
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> TimeIndex {
        let mut index = TimeIndex::new(Offset(100));
        index.maybe_append(TimestampMs(-1), Offset(101));
        index.maybe_append(TimestampMs(1000), Offset(109));
        index.maybe_append(TimestampMs(1000), Offset(120));
        index.maybe_append(TimestampMs(2000), Offset(150));
        index
    }

    #[test]
    fn finds_the_floor() {
        let index = sample();
        assert_eq!(index.len(), 2);
        for (timestamp, want) in [(999, 100), (1000, 109), (1999, 109), (2000, 150), (9999, 150)] {
            assert_eq!(index.lookup(TimestampMs(timestamp)), Offset(want), "lookup of {timestamp}");
        }
    }

    #[test]
    fn reads_back_its_bytes_and_refuses_others() {
        let bytes = sample().encode();
        assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 9]);
        assert_eq!(TimeIndex::decode(Offset(100), &bytes), Ok(sample()));
        let with_zeros: Vec<u8> = bytes.iter().copied().chain([0; 12]).collect();
        assert_eq!(TimeIndex::decode(Offset(100), &with_zeros), Err(InvalidIndex { entry: 2 }));
    }
}
