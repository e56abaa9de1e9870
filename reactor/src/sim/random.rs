//! Random streams: one per concern, so that a new draw in one does not shift the others (S31).

use std::ops::Range;
use std::time::Duration;

/// A reproducible stream of random numbers: splitmix64, whose whole state is one counter.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `concern` under `seed`.
    pub fn new(seed: u64, concern: &str) -> Self {
        let salt = concern.bytes().fold(0, |salt, byte| mix(salt ^ u64::from(byte)));
        Random { state: mix(seed) ^ salt }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below zero");
        // The high half of the product is uniform up to one part in 2^64 / bound.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index below `count`, which is not zero.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// A number of `range`; its start where it is empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        match range.end.saturating_sub(range.start) {
            0 => range.start,
            width => range.start + self.below(width),
        }
    }

    /// A span of `range`; its start where it is empty.
    pub fn span(&mut self, range: &Range<Duration>) -> Duration {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.within(nanos(range.start)..nanos(range.end)))
    }

    /// True with `probability`, from 0.0 to 1.0. Always draws, so that another probability does not
    /// shift what follows.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits: as many as the fraction of an f64 holds.
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit < probability
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Brings `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// The finalizer of splitmix64: each bit of the input moves every bit of the output.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |seed, concern| {
            let mut random = Random::new(seed, concern);
            [random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(1, "disk"), draw(1, "disk"));
        assert_ne!(draw(1, "disk"), draw(1, "network"));
        assert_ne!(draw(1, "disk"), draw(2, "disk"));
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_its_ends() {
        let mut random = Random::new(7, "test");
        let mut seen = [0; 5];
        for _ in 0..1_000 {
            seen[random.index(5)] += 1;
            assert_eq!(random.within(3..3), 3);
            assert!((3..9).contains(&random.within(3..9)));
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
        assert!((0..1_000).all(|_| !random.chance(0.0) && random.chance(1.0)));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        Random::new(3, "test").shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
