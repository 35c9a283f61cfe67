//! Which keys have been seen, within a bound. Pure.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

/// Keys take at most this much memory, whatever their number.
const BYTES: usize = 256 << 20;

/// The keys seen last, in order.
#[derive(Debug)]
pub struct Seen {
    keep: usize,
    within_ms: Option<i64>,
    /// A key stands here once for each time that it was new.
    order: VecDeque<(i64, Bytes)>,
    /// When each was new last.
    keys: HashMap<Bytes, i64>,
    bytes: usize,
}

impl Seen {
    /// Remembers the last `keep` keys; with `within_ms`, a key is the same only within that time.
    pub fn new(keep: usize, within_ms: Option<i64>) -> Self {
        Self {
            keep: keep.max(1),
            within_ms,
            order: VecDeque::new(),
            keys: HashMap::new(),
            bytes: 0,
        }
    }

    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Whether `key` is new at `time_ms`; it is remembered from then on. Seeing it again does not renew it.
    ///
    /// Only the times of one key are compared: partitions are at different times, and one record may be
    /// stamped with any.
    pub fn is_new(&mut self, key: &Bytes, time_ms: i64) -> bool {
        let mut at = time_ms;
        if let Some(before) = self.keys.get(key) {
            let apart = time_ms.abs_diff(*before);
            if self
                .within_ms
                .is_none_or(|within| apart <= within.unsigned_abs())
            {
                return false;
            }
            at = at.max(*before);
        }
        // A copy: the record's bytes share memory with everything that was fetched with them.
        let key = Bytes::copy_from_slice(key);
        self.bytes += key.len();
        self.keys.insert(key.clone(), at);
        self.order.push_back((at, key));
        while self.order.len() > self.keep || (self.bytes > BYTES && self.order.len() > 1) {
            self.forget();
        }
        true
    }

    fn forget(&mut self) {
        if let Some((at, key)) = self.order.pop_front() {
            self.bytes -= key.len();
            // It may have been new again since.
            if self.keys.get(&key) == Some(&at) {
                self.keys.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_keys_are_remembered() {
        let mut seen = Seen::new(2, None);
        let mut new = |key: &'static str| seen.is_new(&Bytes::from(key), 0);
        assert!(new("a"));
        assert!(new("b"));
        assert!(!new("a"));
        assert!(new("c"));
        assert!(new("a"));
        assert!(!new("c"));
    }

    #[test]
    fn keys_are_forgotten_with_time() {
        let mut seen = Seen::new(100, Some(1000));
        let key = Bytes::from("a");
        assert!(seen.is_new(&key, 0));
        assert!(!seen.is_new(&key, 1000));
        assert!(seen.is_new(&key, 1001));
    }

    #[test]
    fn a_partition_that_lags_forgets_nothing_and_is_judged_by_its_own_times() {
        let hour = 3_600_000;
        let mut seen = Seen::new(100, Some(hour));
        let (x, y) = (Bytes::from("x"), Bytes::from("y"));
        assert!(seen.is_new(&y, 12 * hour));
        assert!(seen.is_new(&x, 2 * hour));
        assert!(seen.is_new(&x, 5 * hour));
        assert!(!seen.is_new(&x, 5 * hour + 1));
        // A record from the far future.
        assert!(seen.is_new(&Bytes::from("z"), 1_000_000 * hour));
        assert!(!seen.is_new(&y, 12 * hour + 1));
    }
}
