//! Choices that a seed repeats.

use std::ops::Range;

/// A small generator (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed makes the same choices.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of a range that is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.any() % (range.end - range.start)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.within(0..n) == 0
    }
}

/// The seed of this run: `SEED` if it is set, else the clock's. It is printed, so that a failure
/// can be tried again.
pub fn seed() -> u64 {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64 % 1_000_000_007)
    });
    println!("SEED={seed}");
    seed
}

/// How many rounds a test runs: the variable's value, or `ordinary`.
pub fn rounds(variable: &str, ordinary: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(ordinary, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text}: expected a number of rounds"))
    })
}
