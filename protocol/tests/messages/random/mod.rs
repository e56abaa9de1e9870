//! Random messages from a seed, with the values that break encoders more often than chance would.

mod messages;
mod records;

use bytes::Bytes;
use protocol::model::Uuid;
use protocol::wire::{Records, WireString};

/// A value that `version` can carry.
pub trait Draw {
    fn draw(random: &mut Random, version: i16) -> Self;
}

/// SplitMix64: enough for tests, and the same everywhere.
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    pub fn u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.u64() % bound as u64) as usize
    }

    /// Any bits, or one of the numbers that stand for "none", "all" and the ends of a type.
    pub fn i64(&mut self) -> i64 {
        match self.below(8) {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            _ => self.u64() as i64,
        }
    }

    pub fn bool(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn i8(&mut self) -> i8 {
        self.i64() as i8
    }

    pub fn i16(&mut self) -> i16 {
        self.i64() as i16
    }

    pub fn u16(&mut self) -> u16 {
        self.i64() as u16
    }

    pub fn i32(&mut self) -> i32 {
        self.i64() as i32
    }

    pub fn u32(&mut self) -> u32 {
        self.i64() as u32
    }

    pub fn f64(&mut self) -> f64 {
        self.i32().into()
    }

    pub fn uuid(&mut self) -> Uuid {
        match self.below(4) {
            0 => Uuid::ZERO,
            _ => Uuid((u128::from(self.u64()) << 64 | u128::from(self.u64())).to_be_bytes()),
        }
    }

    /// Mostly short; now and then one whose length needs two bytes as a varint.
    pub fn bytes(&mut self) -> Bytes {
        let length = if self.below(16) == 0 { 120 + self.below(200) } else { self.below(12) };
        (0..length).map(|_| self.u64() as u8).collect()
    }

    pub fn string(&mut self) -> WireString {
        let length = if self.below(16) == 0 { 60 + self.below(100) } else { self.below(12) };
        let text: String =
            (0..length).map(|_| ['a', '-', '7', 'ä', '木', '🦀'][self.below(6)]).collect();
        WireString::from(text)
    }

    /// Cut anywhere, since a message is the same however its records are cut.
    pub fn records(&mut self) -> Records {
        [self.bytes(), self.bytes()].into_iter().collect()
    }

    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(3)).map(|_| element(self)).collect()
    }

    pub fn option<T>(&mut self, value: impl FnOnce(&mut Random) -> T) -> Option<T> {
        if self.below(4) == 0 { None } else { Some(value(self)) }
    }
}
