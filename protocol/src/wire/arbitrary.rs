//! Random values for tests, from a seed.

use bytes::Bytes;
use uuid::Uuid;

use super::Str;

/// A seeded source of values (SplitMix64).
pub(crate) struct Gen(u64);

impl Gen {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small, extreme and arbitrary numbers alike.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(4),
            1 => u64::MAX - self.below(4),
            _ => self.next(),
        }
    }

    pub(crate) fn i8(&mut self) -> i8 {
        self.number() as i8
    }

    pub(crate) fn i16(&mut self) -> i16 {
        self.number() as i16
    }

    pub(crate) fn u16(&mut self) -> u16 {
        self.number() as u16
    }

    pub(crate) fn i32(&mut self) -> i32 {
        self.number() as i32
    }

    pub(crate) fn i64(&mut self) -> i64 {
        self.number() as i64
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.number(), self.number())
    }

    pub(crate) fn string(&mut self) -> Str {
        const LETTERS: [&str; 6] = ["a", "topic-", "ä", "日本", "🦀", " "];
        let len = self.below(5);
        (0..len)
            .map(|_| LETTERS[self.below(6) as usize])
            .collect::<String>()
            .into()
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let len = if self.below(8) == 0 {
            300
        } else {
            self.below(9)
        };
        (0..len).map(|_| self.next() as u8).collect()
    }
}
