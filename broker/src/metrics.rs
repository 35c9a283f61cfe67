//! What the broker counts: plain atomics, written on the hot path, read by whoever
//! exports them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::ApiKey;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the latency buckets in microseconds; what is slower falls into one
/// more.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000,
    10_000_000,
];

/// How long the requests of one API took.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Latency {
    fn observe(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = LATENCY_BOUNDS_US.partition_point(|&bound| bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many fell into each bucket, the last being past all bounds.
    pub fn buckets(&self) -> [u64; LATENCY_BOUNDS_US.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed))
    }

    /// The time of all together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

/// The latencies of all APIs.
#[derive(Debug)]
pub struct Requests {
    by_api: Vec<Latency>,
}

impl Default for Requests {
    fn default() -> Self {
        let highest = ApiKey::ALL.iter().map(|&key| key as usize).max();
        let count = highest.map_or(0, |key| key + 1);
        Self {
            by_api: (0..count).map(|_| Latency::default()).collect(),
        }
    }
}

impl Requests {
    pub(crate) fn observe(&self, key: ApiKey, took: Duration) {
        self.by_api[key as usize].observe(took);
    }

    pub fn get(&self, key: ApiKey) -> &Latency {
        &self.by_api[key as usize]
    }

    /// Each API by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        let keys = ApiKey::ALL.iter();
        keys.map(|&key| (key.name(), self.get(key)))
    }
}

/// Everything counted.
#[derive(Debug, Default)]
pub struct Metrics {
    pub requests: Requests,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub records_in: Counter,
    /// Connections closed for what they sent.
    pub hostile: Counter,
    /// Connections refused by a limit.
    pub refused: Counter,
}
