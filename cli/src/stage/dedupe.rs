//! Which keys have been seen, within a bound. Pure.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

/// Keys take at most this much memory, whatever their number.
const BYTES: usize = 256 << 20;

/// The keys seen last, in order.
#[derive(Debug)]
pub struct Seen {
    keep: usize,
    within_ms: Option<i64>,
    order: VecDeque<(i64, Bytes)>,
    keys: HashSet<Bytes>,
    bytes: usize,
}

impl Seen {
    /// Remembers the last `keep` keys; with `within_ms`, only those not older than that.
    pub fn new(keep: usize, within_ms: Option<i64>) -> Self {
        Self {
            keep: keep.max(1),
            within_ms,
            order: VecDeque::new(),
            keys: HashSet::new(),
            bytes: 0,
        }
    }

    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Whether `key` is new at `time_ms`; it is remembered from then on. Seeing it again does not renew it.
    pub fn is_new(&mut self, key: &Bytes, time_ms: i64) -> bool {
        if let Some(within) = self.within_ms {
            while self
                .order
                .front()
                .is_some_and(|(at, _)| at + within < time_ms)
            {
                self.forget();
            }
        }
        if self.keys.contains(key) {
            return false;
        }
        // A copy: the record's bytes share memory with everything that was fetched with them.
        let key = Bytes::copy_from_slice(key);
        self.bytes += key.len();
        self.keys.insert(key.clone());
        self.order.push_back((time_ms, key));
        while self.order.len() > self.keep || (self.bytes > BYTES && self.order.len() > 1) {
            self.forget();
        }
        true
    }

    fn forget(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.bytes -= key.len();
            self.keys.remove(&key);
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
}
