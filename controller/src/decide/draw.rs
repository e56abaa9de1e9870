//! Randomness of a decision: a stream that follows from the seed that came with the request.

use protocol::model::Uuid;

/// Numbers that look random. The driver draws the seed; the same seed gives the same decision.
#[derive(Clone, Debug)]
pub struct Draw {
    lanes: [u64; 2],
}

/// The odd constant of the SplitMix64 generator: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draw {
    /// `seed` comes from a source that no one can guess: topic ids are made of it.
    pub fn new(seed: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(seed);
        Draw { lanes: [(number >> 64) as u64, number as u64] }
    }

    /// SplitMix64 on one lane: a bijection of a counter, so that a lane never repeats itself.
    fn next_of(&mut self, lane: usize) -> u64 {
        self.lanes[lane] = self.lanes[lane].wrapping_add(STEP);
        let mut mixed = self.lanes[lane];
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no number is below 0");
        (self.next_of(0) % bound as u64) as usize
    }

    /// A new id that Kafka does not reserve.
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let (high, low) = (self.next_of(0), self.next_of(1));
            let id = Uuid::from_random(((u128::from(high) << 64) | u128::from(low)).to_be_bytes());
            if !id.is_reserved() {
                return id;
            }
        }
    }
}
