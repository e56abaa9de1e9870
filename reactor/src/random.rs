//! Randomness: the kernel's, or the seed's.

use crate::environment::{Environment, current};

/// Fills `bytes` with random bytes fit for ids and keys.
pub fn fill(bytes: &mut [u8]) {
    match current() {
        Environment::Real(core) => core.random_fill(bytes),
        Environment::Sim(core) => core.random_fill(bytes),
    }
}

pub fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
