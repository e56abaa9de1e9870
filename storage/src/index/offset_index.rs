//! `.index`: entries of 4 bytes offset relative to the segment's base and 4 bytes position, both
//! big-endian. An entry names the last offset of a batch and the position where that batch starts.

use protocol::model::Offset;

pub(super) const ENTRY_SIZE_BYTES: usize = 8;

/// The bytes of an index file do not form an index; it is rebuilt from its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} of the index is out of order or out of range")]
pub(crate) struct InvalidIndex {
    pub(crate) entry: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    relative_offset: u32,
    position: u32,
}

/// One segment's offset index, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OffsetIndex {
    base_offset: Offset,
    entries: Vec<Entry>,
}

impl OffsetIndex {
    pub(crate) fn new(base_offset: Offset) -> Self {
        OffsetIndex { base_offset, entries: Vec::new() }
    }

    /// Errors: an entry that does not lie behind its predecessor in both numbers (zeros that an
    /// unclean stop of Apache Kafka leaves behind included), a position beyond `size_bytes`, or a
    /// size that is no multiple of an entry's.
    pub(crate) fn decode(
        base_offset: Offset,
        size_bytes: u64,
        bytes: &[u8],
    ) -> Result<Self, InvalidIndex> {
        let (raw, rest) = bytes.as_chunks::<ENTRY_SIZE_BYTES>();
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        for &[o0, o1, o2, o3, p0, p1, p2, p3] in raw {
            let entry = Entry {
                relative_offset: u32::from_be_bytes([o0, o1, o2, o3]),
                position: u32::from_be_bytes([p0, p1, p2, p3]),
            };
            let in_order = entries.last().is_none_or(|last| {
                entry.relative_offset > last.relative_offset && entry.position > last.position
            });
            if !in_order
                || entry.relative_offset > i32::MAX as u32
                || u64::from(entry.position) >= size_bytes
            {
                return Err(InvalidIndex { entry: entries.len() });
            }
            entries.push(entry);
        }
        if !rest.is_empty() {
            return Err(InvalidIndex { entry: entries.len() });
        }
        Ok(OffsetIndex { base_offset, entries })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_from(0)
    }

    /// The bytes of the entries from number `first` on.
    pub(super) fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = self.entries.get(first..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_SIZE_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.relative_offset.to_be_bytes());
            bytes.extend_from_slice(&entry.position.to_be_bytes());
        }
        bytes
    }

    /// Whether `offset` can be told relative to the segment's base.
    pub(crate) fn can_hold(base_offset: Offset, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&(offset.0 - base_offset.0))
    }

    /// Adds the batch that ends with `last_offset` and starts at `position`.
    pub(super) fn append(&mut self, last_offset: Offset, position: u32) {
        assert!(
            Self::can_hold(self.base_offset, last_offset),
            "offset {last_offset} does not fit into the segment of {}",
            self.base_offset
        );
        let entry =
            Entry { relative_offset: (last_offset.0 - self.base_offset.0) as u32, position };
        assert!(
            self.entries.last().is_none_or(|last| entry.relative_offset > last.relative_offset),
            "index entry for {last_offset} does not lie behind the last"
        );
        self.entries.push(entry);
    }

    /// A position from which a walk forward meets the batch that holds `offset`.
    pub(crate) fn lookup(&self, offset: Offset) -> u32 {
        self.entry_before(offset).map_or(0, |(_, position)| position)
    }

    /// The last entry whose batch does not end behind `offset`: its last offset, and where it starts.
    pub(crate) fn entry_before(&self, offset: Offset) -> Option<(Offset, u32)> {
        let relative_offset = offset.0 - self.base_offset.0;
        let above = self
            .entries
            .partition_point(|entry| i64::from(entry.relative_offset) <= relative_offset);
        let entry = above.checked_sub(1).and_then(|index| self.entries.get(index))?;
        let last_offset = Offset(self.base_offset.0 + i64::from(entry.relative_offset));
        Some((last_offset, entry.position))
    }

    /// Each entry's last offset and position.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Offset, u32)> {
        let base_offset = self.base_offset.0;
        self.entries.iter().map(move |entry| {
            (Offset(base_offset + i64::from(entry.relative_offset)), entry.position)
        })
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The last offset of the batch of the last entry, and where it starts.
    pub(crate) fn last(&self) -> Option<(Offset, u32)> {
        let base_offset = self.base_offset.0;
        self.entries
            .last()
            .map(|entry| (Offset(base_offset + i64::from(entry.relative_offset)), entry.position))
    }

    /// Where the batch of the last entry starts; 0 in an empty index.
    pub(crate) fn last_position(&self) -> u32 {
        self.entries.last().map_or(0, |entry| entry.position)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> OffsetIndex {
        let mut index = OffsetIndex::new(Offset(100));
        index.append(Offset(109), 4200);
        index.append(Offset(150), 9000);
        index
    }

    #[test]
    fn finds_the_floor() {
        let index = sample();
        for (offset, want) in
            [(100, 0), (108, 0), (109, 4200), (149, 4200), (150, 9000), (i64::MAX, 9000)]
        {
            assert_eq!(index.lookup(Offset(offset)), want, "lookup of {offset}");
        }
        assert_eq!(OffsetIndex::new(Offset(7)).lookup(Offset(9)), 0);
    }

    #[test]
    fn has_kafkas_bytes_and_reads_them_back() {
        let bytes = sample().encode();
        assert_eq!(bytes, [0, 0, 0, 9, 0, 0, 0x10, 0x68, 0, 0, 0, 50, 0, 0, 0x23, 0x28]);
        assert_eq!(OffsetIndex::decode(Offset(100), 9001, &bytes), Ok(sample()));
    }

    #[test]
    fn refuses_what_is_no_index() {
        let bytes = sample().encode();
        let with_zeros: Vec<u8> = bytes.iter().copied().chain([0; 8]).collect();
        let with_rest: Vec<u8> = bytes.iter().copied().chain([0; 3]).collect();
        for (bytes, size, entry) in
            [(&bytes, 9000, 1), (&with_zeros, 20_000, 2), (&with_rest, 20_000, 2)]
        {
            assert_eq!(OffsetIndex::decode(Offset(100), size, bytes), Err(InvalidIndex { entry }));
        }
    }
}
