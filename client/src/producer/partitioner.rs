//! Which partition a record goes to: by the key, as Kafka's own producer chooses, or sticky
//! for records without one.

use crate::random::Random;

/// The partition of a record with `key` among `partitions` (more than none): what Kafka's Java
/// producer computes, so that writers in both languages put a key in the same place.
pub fn partition_for_key(key: &[u8], partitions: usize) -> i32 {
    ((murmur2(key) & 0x7fff_ffff) as usize % partitions) as i32
}

/// MurmurHash2, 32 bits, with Kafka's seed.
pub(crate) fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Stays on one partition for a batch's worth of bytes, so that batches fill, then moves on
/// (KIP-480, KIP-794).
#[derive(Debug)]
pub(crate) struct Sticky {
    random: Random,
    current: Option<i32>,
    bytes_left: usize,
    bytes_each: usize,
}

impl Sticky {
    pub(crate) fn new(random: Random, bytes_each: usize) -> Self {
        Self {
            random,
            current: None,
            bytes_left: 0,
            bytes_each,
        }
    }

    /// The partition for a record of `bytes`. `available` are those that have a leader; when
    /// none has, any of `partitions` must do, and the record waits there.
    pub(crate) fn choose(&mut self, bytes: usize, available: &[i32], partitions: usize) -> i32 {
        if let Some(current) = self.current
            && self.bytes_left >= bytes
            && (current as usize) < partitions
        {
            self.bytes_left -= bytes;
            return current;
        }
        let drawn = self.random.next() as usize;
        let next = if available.is_empty() {
            (drawn % partitions) as i32
        } else {
            available[drawn % available.len()]
        };
        self.current = Some(next);
        self.bytes_left = self.bytes_each.saturating_sub(bytes);
        next
    }

    /// Moves on with the next record, as when the current partition lost its leader.
    pub(crate) fn leave(&mut self, partition: i32) {
        if self.current == Some(partition) {
            self.current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_kafkas_own_producer() {
        // From Kafka's UtilsTest.testMurmur2.
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }

    #[test]
    fn sticky_stays_for_a_batch_and_then_moves_among_those_with_leaders() {
        let mut sticky = Sticky::new(Random::seeded(7), 1000);
        let mut runs = vec![];
        for _ in 0..1000 {
            let partition = sticky.choose(100, &[1, 3], 4);
            assert!(partition == 1 || partition == 3);
            match runs.last_mut() {
                Some((last, count)) if *last == partition => *count += 1,
                _ => runs.push((partition, 1)),
            }
        }
        assert!(runs.len() > 10, "it never moved on: {runs:?}");
        assert!(runs.iter().all(|(_, count)| count % 10 == 0), "{runs:?}");
    }

    #[test]
    fn sticky_leaves_a_partition_that_is_gone_and_does_without_leaders() {
        let mut sticky = Sticky::new(Random::seeded(7), 1000);
        assert!((0..4).contains(&sticky.choose(10, &[], 4)));
        assert_eq!(sticky.choose(10, &[0], 1), 0);
        sticky.leave(0);
        assert_eq!(sticky.choose(10, &[2], 3), 2);
    }
}
