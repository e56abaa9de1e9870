//! The content of one file: what a reader sees, what a power loss is sure to leave, and the changes
//! between the two.
//!
//! A power loss keeps any subset of unflushed writes, sector by sector, but treats metadata as a
//! journaling file system does: of one file's allocations, growths and truncations it keeps those up to
//! some point, and what was written to blocks that came later is gone with them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::super::random::Random;
use crate::buffer::ALIGNMENT;

const BLOCK: u64 = ALIGNMENT as u64;
/// A file system commits by itself in the end: more changes than this of one file are never pending.
const CHANGES_MAX: usize = 4_096;
/// The unit in which a disk is torn.
const SECTOR: usize = 512;

/// Allocated blocks by number, and the size in bytes. Blocks past the size do not exist.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
struct Image {
    size: u64,
    /// `None` is a block of zeros.
    blocks: BTreeMap<u64, Option<Bytes>>,
}

#[derive(Default)]
pub(super) struct Content {
    current: Image,
    durable: Image,
    /// In the order in which they happened.
    changes: VecDeque<Change>,
    /// Changes that were ever made durable: the sequence number of the first in `changes`.
    changes_flushed: u64,
    /// A change that is not pending was lost: the images differ by more than `changes`.
    has_diverged: bool,
}

struct Change {
    kind: ChangeKind,
    /// A flush failed after it: no later flush makes it durable.
    is_lost: bool,
    /// It is durable before those in front of it are.
    is_settled: bool,
}

enum ChangeKind {
    Write { position: u64, data: Bytes },
    Resize { size: u64 },
    Allocate { first_block: u64, end_block: u64, size: u64 },
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.current.size
    }

    pub(super) fn block_count(&self) -> u64 {
        self.current.blocks.len() as u64
    }

    /// Blocks that a write or allocation of `size_bytes` at `position` would have to allocate.
    pub(super) fn missing_blocks(&self, position: u64, size_bytes: u64) -> u64 {
        let (first, end) = (position / BLOCK, (position + size_bytes).div_ceil(BLOCK));
        end - first - self.current.blocks.range(first..end).count() as u64
    }

    /// Fills `buffer` from `position`; bytes outside of the file are zero. Returns how many are inside.
    pub(super) fn read(&self, position: u64, buffer: &mut [u8]) -> usize {
        buffer.fill(0);
        for (index, into) in buffer.chunks_mut(ALIGNMENT).enumerate() {
            let block = self.current.blocks.get(&(position / BLOCK + index as u64));
            if let Some(Some(bytes)) = block {
                into.copy_from_slice(&bytes[..into.len()]);
            }
        }
        let inside = self.current.size.saturating_sub(position);
        usize::try_from(inside).unwrap_or(usize::MAX).min(buffer.len())
    }

    /// The first position from `position` on in a block that holds more than zeros.
    pub(super) fn written_from(&self, position: u64) -> Option<u64> {
        let mut blocks = self.current.blocks.range(position / BLOCK..);
        let found = blocks.find_map(|(number, block)| block.as_ref().map(|_| number * BLOCK));
        found.map(|start| start.max(position))
    }

    /// `position` and the length of `data` are multiples of a block.
    pub(super) fn write(&mut self, position: u64, data: Bytes) {
        self.change(ChangeKind::Write { position, data });
    }

    pub(super) fn resize(&mut self, size: u64) {
        self.change(ChangeKind::Resize { size });
    }

    pub(super) fn allocate(&mut self, start: u64, end: u64) {
        let size = self.current.size.max(end);
        self.change(ChangeKind::Allocate {
            first_block: start / BLOCK,
            end_block: end.div_ceil(BLOCK),
            size,
        });
    }

    fn change(&mut self, kind: ChangeKind) {
        self.current.apply(&kind);
        self.changes.push_back(Change { kind, is_lost: false, is_settled: false });
        if self.changes.len() > CHANGES_MAX {
            self.flush(self.changes_flushed + 1);
        }
    }

    /// How many changes have been made up to now: what a flush that starts now must make durable.
    pub(super) fn changes_made(&self) -> u64 {
        self.changes_flushed + self.changes.len() as u64
    }

    /// Makes the first `changes_made` changes durable.
    pub(super) fn flush(&mut self, changes_made: u64) {
        while self.changes_flushed < changes_made
            && let Some(change) = self.changes.pop_front()
        {
            self.changes_flushed += 1;
            self.settle(&change);
        }
    }

    /// Makes what was written within `range` durable, and nothing else.
    pub(super) fn flush_range(&mut self, range: &Range<u64>) {
        for change in &mut self.changes {
            if let ChangeKind::Write { position, data } = &change.kind
                && range.start <= *position
                && position + data.len() as u64 <= range.end
                && !change.is_lost
            {
                change.is_settled = true;
                self.durable.apply(&change.kind);
            }
        }
    }

    /// Makes a change durable, unless it is lost for good. One that is settled covers those before it.
    fn settle(&mut self, change: &Change) {
        if change.is_lost {
            self.has_diverged = true;
        } else {
            self.durable.apply(&change.kind);
        }
    }

    /// A flush failed: some of what was written is lost, and no one will say so again.
    pub(super) fn fail_flush(&mut self, random: &mut Random) {
        for change in &mut self.changes {
            let is_write = matches!(change.kind, ChangeKind::Write { .. });
            change.is_lost |= is_write && !change.is_settled && random.chance(0.5);
        }
    }

    /// Flips one bit of what is stored, where `position` has been written.
    pub(super) fn rot(&mut self, position: u64, bit: u8) -> bool {
        if position >= self.current.size {
            return false;
        }
        let mut is_stored = false;
        for image in [&mut self.current, &mut self.durable] {
            if let Some(block) = image.blocks.get_mut(&(position / BLOCK)) {
                let mut bytes = unshared(block.as_ref());
                bytes[(position % BLOCK) as usize] ^= 1 << (bit % 8);
                *block = Some(bytes.freeze());
                is_stored = true;
            }
        }
        is_stored
    }

    /// The power fails. With probability `unsynced_lost` the changes since the last flush are kept or
    /// lost one by one, otherwise all are kept. Returns true where something was lost.
    pub(super) fn lose_power(&mut self, random: &mut Random, unsynced_lost: f64) -> bool {
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() && !self.has_diverged {
            return false;
        }
        self.changes_flushed += changes.len() as u64;
        let mut has_lost = self.has_diverged;
        if random.chance(unsynced_lost) && !changes.is_empty() {
            let loss = PowerLoss::draw(random, changes.len());
            has_lost |= loss.apply(&mut self.durable, &changes, random);
        } else {
            changes.iter().for_each(|change| self.settle(change));
            has_lost |= self.has_diverged;
        }
        self.current = self.durable.clone();
        self.has_diverged = false;
        has_lost
    }
}

/// How much of a file's unflushed changes one power loss keeps.
struct PowerLoss {
    /// Changes of metadata before this one are kept.
    metadata_end: usize,
    /// Probability that a sector is kept.
    sector_kept: f64,
    /// Whole writes are kept or lost; else each sector on its own.
    is_torn: bool,
}

impl PowerLoss {
    fn draw(random: &mut Random, change_count: usize) -> Self {
        PowerLoss {
            metadata_end: random.index(change_count + 1),
            sector_kept: random.below(11) as f64 / 10.0,
            is_torn: random.chance(0.5),
        }
    }

    /// Applies to `image` what is kept of `changes`. Returns true where something was lost.
    fn apply(&self, image: &mut Image, changes: &VecDeque<Change>, random: &mut Random) -> bool {
        let mut has_lost = false;
        // What was written at or above a lost truncation went to blocks that are lost with it.
        let mut intact_end = u64::MAX;
        for (index, change) in changes.iter().enumerate() {
            let keeps_metadata = index < self.metadata_end;
            match &change.kind {
                kind if change.is_settled => image.apply(kind),
                ChangeKind::Resize { size } if !keeps_metadata => {
                    intact_end = intact_end.min(size.next_multiple_of(BLOCK));
                    has_lost = true;
                }
                ChangeKind::Write { .. } if change.is_lost => has_lost = true,
                ChangeKind::Write { position, data } => {
                    has_lost |=
                        self.write(image, *position, data, keeps_metadata, intact_end, random);
                }
                kind if keeps_metadata => image.apply(kind),
                _ => has_lost = true,
            }
        }
        let size = image.size;
        image.apply(&ChangeKind::Resize { size });
        has_lost
    }

    fn write(
        &self,
        image: &mut Image,
        position: u64,
        data: &Bytes,
        keeps_metadata: bool,
        intact_end: u64,
        random: &mut Random,
    ) -> bool {
        let mut has_lost = false;
        let is_write_kept = random.chance(self.sector_kept);
        for (index, source) in data.chunks(ALIGNMENT).enumerate() {
            let block = position / BLOCK + index as u64;
            let is_reachable = (block + 1) * BLOCK <= intact_end
                && (keeps_metadata || image.blocks.contains_key(&block));
            if !is_reachable {
                has_lost = true;
                continue;
            }
            let stored = image.blocks.entry(block).or_insert(None);
            let mut bytes = unshared(stored.as_ref());
            for (into, from) in bytes.chunks_mut(SECTOR).zip(source.chunks(SECTOR)) {
                let is_kept =
                    if self.is_torn { random.chance(self.sector_kept) } else { is_write_kept };
                if is_kept {
                    into.copy_from_slice(from);
                }
                has_lost |= !is_kept;
            }
            *stored = Some(bytes.freeze());
        }
        if keeps_metadata {
            image.size = image.size.max(position + data.len() as u64);
        }
        has_lost
    }
}

impl Image {
    fn apply(&mut self, change: &ChangeKind) {
        match change {
            ChangeKind::Write { position, data } => {
                for index in 0..data.len() / ALIGNMENT {
                    let bytes = data.slice(index * ALIGNMENT..(index + 1) * ALIGNMENT);
                    let stored = bytes.iter().any(|byte| *byte != 0).then_some(bytes);
                    self.blocks.insert(position / BLOCK + index as u64, stored);
                }
                self.size = self.size.max(position + data.len() as u64);
            }
            ChangeKind::Resize { size } => {
                self.blocks.split_off(&size.div_ceil(BLOCK));
                let tail = (size % BLOCK) as usize;
                if tail > 0
                    && let Some(block) = self.blocks.get_mut(&(size / BLOCK))
                    && block.is_some()
                {
                    let mut bytes = unshared(block.as_ref());
                    bytes[tail..].fill(0);
                    *block = Some(bytes.freeze());
                }
                self.size = *size;
            }
            ChangeKind::Allocate { first_block, end_block, size } => {
                for block in *first_block..*end_block {
                    self.blocks.entry(block).or_insert(None);
                }
                self.size = self.size.max(*size);
            }
        }
    }
}

/// A copy of a block that may be changed.
fn unshared(block: Option<&Bytes>) -> BytesMut {
    block.map_or_else(|| BytesMut::zeroed(ALIGNMENT), |bytes| BytesMut::from(&bytes[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fill: u8) -> Bytes {
        Bytes::from(vec![fill; ALIGNMENT])
    }

    fn read_all(content: &Content) -> Vec<u8> {
        let mut buffer = vec![0xee; content.size().next_multiple_of(BLOCK) as usize];
        let inside = content.read(0, &mut buffer);
        buffer.truncate(inside);
        buffer
    }

    /// What a power loss leaves of `content`, over many seeds.
    fn outcomes(make: impl Fn() -> Content) -> Vec<Vec<u8>> {
        let mut outcomes: Vec<_> = (0..400)
            .map(|seed| {
                let mut content = make();
                content.lose_power(&mut Random::new(seed, "disk"), 1.0);
                read_all(&content)
            })
            .collect();
        outcomes.sort();
        outcomes.dedup();
        outcomes
    }

    #[test]
    fn what_was_flushed_stays() {
        let make = || {
            let mut content = Content::default();
            content.write(0, block(1));
            content.resize(100);
            content.flush(content.changes_made());
            content
        };
        assert_eq!(outcomes(make), vec![vec![1; 100]]);
        assert!(!make().lose_power(&mut Random::new(1, "disk"), 1.0), "nothing was lost");
    }

    #[test]
    fn a_flush_covers_what_was_written_before_it_and_no_more() {
        let make = || {
            let mut content = Content::default();
            content.write(0, block(1));
            let made = content.changes_made();
            content.write(BLOCK, block(2));
            content.flush(made);
            content
        };
        let outcomes = outcomes(make);
        assert!(outcomes.iter().all(|bytes| bytes[..ALIGNMENT] == [1; ALIGNMENT]));
        assert!(outcomes.contains(&vec![1; ALIGNMENT]), "the second write may be gone");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 2 * ALIGNMENT), "or be there");
    }

    #[test]
    fn an_unflushed_overwrite_tears_at_sectors() {
        let make = || {
            let mut content = Content::default();
            content.write(0, block(1));
            content.flush(content.changes_made());
            content.write(0, block(2));
            content
        };
        let outcomes = outcomes(make);
        assert!(outcomes.contains(&vec![1; ALIGNMENT]));
        assert!(outcomes.contains(&vec![2; ALIGNMENT]));
        assert!(outcomes.len() > 10, "{} outcomes", outcomes.len());
        for bytes in outcomes {
            assert!(bytes.chunks(SECTOR).all(|sector| sector == [sector[0]; SECTOR]));
        }
    }

    #[test]
    fn writes_are_lost_out_of_order() {
        let make = || {
            let mut content = Content::default();
            content.allocate(0, 2 * BLOCK);
            content.flush(content.changes_made());
            content.write(0, block(1));
            content.write(BLOCK, block(2));
            content
        };
        let outcomes = outcomes(make);
        let second_alone = [vec![0; ALIGNMENT], vec![2; ALIGNMENT]].concat();
        assert!(outcomes.contains(&second_alone));
    }

    #[test]
    fn a_lost_truncation_brings_back_the_old_bytes_and_not_the_later_ones() {
        let make = || {
            let mut content = Content::default();
            content.write(0, block(1));
            content.flush(content.changes_made());
            content.resize(0);
            content.write(0, block(2));
            content
        };
        let outcomes = outcomes(make);
        assert!(outcomes.contains(&vec![1; ALIGNMENT]), "as before the truncation");
        assert!(outcomes.contains(&Vec::new()), "truncated, the write lost");
        assert!(outcomes.iter().all(|bytes| !(bytes.contains(&1) && bytes.contains(&2))));
    }

    #[test]
    fn a_truncation_in_a_block_leaves_no_stale_bytes() {
        let mut content = Content::default();
        content.write(0, block(7));
        content.resize(100);
        content.resize(BLOCK);
        let bytes = read_all(&content);
        assert_eq!((&bytes[..100], &bytes[100..]), (&[7; 100][..], &[0; ALIGNMENT - 100][..]));
    }

    #[test]
    fn a_failed_flush_is_not_mended_by_a_later_one() {
        let make = || {
            let mut content = Content::default();
            content.write(0, block(1));
            content.fail_flush(&mut Random::new(1, "disk"));
            content.fail_flush(&mut Random::new(2, "disk"));
            content.fail_flush(&mut Random::new(3, "disk"));
            content.flush(content.changes_made());
            content
        };
        assert_eq!(read_all(&make()), vec![1; ALIGNMENT], "still readable");
        assert_eq!(outcomes(make), vec![Vec::<u8>::new()]);
    }

    #[test]
    fn pending_changes_are_bounded() {
        let mut content = Content::default();
        content.write(0, block(1));
        for _ in 0..CHANGES_MAX {
            content.resize(BLOCK);
        }
        assert_eq!(content.changes.len(), CHANGES_MAX);
        assert_eq!(content.durable.size, BLOCK, "the oldest is durable by now");
        assert_eq!(content.changes_made(), CHANGES_MAX as u64 + 1);
    }

    #[test]
    fn rot_flips_one_stored_bit() {
        let mut content = Content::default();
        content.write(0, block(0));
        assert!(content.rot(5, 3));
        let bytes = read_all(&content);
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert_eq!(bytes[5], 8);
        assert!(!content.rot(BLOCK, 0), "nothing is stored there");
    }

    #[test]
    fn what_was_only_allocated_is_passed_over() {
        let mut content = Content::default();
        content.write(0, block(1));
        content.allocate(0, 9 * BLOCK);
        content.write(4 * BLOCK, block(2));
        for (position, want) in [
            (0, Some(0)),
            (100, Some(100)),
            (BLOCK, Some(4 * BLOCK)),
            (4 * BLOCK + 7, Some(4 * BLOCK + 7)),
            (5 * BLOCK, None),
            (20 * BLOCK, None),
        ] {
            assert_eq!(content.written_from(position), want, "{position}");
        }
    }

    #[test]
    fn blocks_to_allocate_are_counted_once() {
        let mut content = Content::default();
        assert_eq!(content.missing_blocks(0, 3 * BLOCK), 3);
        content.write(BLOCK, block(1));
        assert_eq!(content.missing_blocks(0, 3 * BLOCK), 2);
        content.allocate(0, 3 * BLOCK);
        assert_eq!((content.missing_blocks(0, 3 * BLOCK), content.block_count()), (0, 3));
    }
}
