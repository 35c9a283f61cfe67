//! Randomness that need not be good: for jitter, and for spreading load.

/// A small generator; who must be repeatable seeds it.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One that the process seeds.
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self::seeded(RandomState::new().hash_one(0u8))
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}
