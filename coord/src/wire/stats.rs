//! What the four-letter words tell: counted as it happens, summed up when somebody asks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::Zxid;

/// Since the start, or the last reset.
#[derive(Debug)]
pub(crate) struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    latency_total: AtomicU64,
    latency_min: AtomicU64,
    latency_max: AtomicU64,
    /// Writes whose answer is not there yet. A reset does not touch it.
    outstanding: AtomicI64,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            latency_total: AtomicU64::new(0),
            latency_min: AtomicU64::new(u64::MAX),
            latency_max: AtomicU64::new(0),
            outstanding: AtomicI64::new(0),
        }
    }
}

impl Counters {
    pub(super) fn packets(&self, received: u64, sent: u64) {
        self.received.fetch_add(received, Relaxed);
        self.sent.fetch_add(sent, Relaxed);
    }

    pub(super) fn under_way(&self, more: i64) {
        self.outstanding.fetch_add(more, Relaxed);
    }

    pub(super) fn answered(&self, received: Instant) {
        let took = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered.fetch_add(1, Relaxed);
        self.latency_total.fetch_add(took, Relaxed);
        self.latency_min.fetch_min(took, Relaxed);
        self.latency_max.fetch_max(took, Relaxed);
    }

    pub(super) fn reset(&self) {
        for counter in [
            &self.received,
            &self.sent,
            &self.answered,
            &self.latency_total,
            &self.latency_max,
        ] {
            counter.store(0, Relaxed);
        }
        self.latency_min.store(u64::MAX, Relaxed);
    }

    /// Puts what it has counted into `stats`.
    pub(super) fn fill(&self, stats: &mut Stats) {
        stats.received = self.received.load(Relaxed);
        stats.sent = self.sent.load(Relaxed);
        stats.answered = self.answered.load(Relaxed);
        stats.outstanding = usize::try_from(self.outstanding.load(Relaxed)).unwrap_or(0);
        stats.latency_max_ms = self.latency_max.load(Relaxed);
        if stats.answered > 0 {
            stats.latency_min_ms = self.latency_min.load(Relaxed).min(stats.latency_max_ms);
            let total = self.latency_total.load(Relaxed);
            stats.latency_avg_ms = total as f64 / stats.answered as f64;
        }
    }
}

/// The server at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stats {
    /// The last transaction applied.
    pub(crate) zxid: Zxid,
    /// Znodes as ZooKeeper counts them, who knows the root by two names.
    pub(crate) znodes: usize,
    /// Bytes of paths and data, ZooKeeper's approximate data size.
    pub(crate) data_bytes: usize,
    /// Ephemeral znodes.
    pub(crate) ephemerals: usize,
    /// Sessions, those of this process counted.
    pub(crate) sessions: usize,
    /// Connections that serve a session.
    pub(crate) connections: usize,
    /// Paths and watchers, pair by pair.
    pub(crate) watches: usize,
    /// Paths with a watch.
    pub(crate) watched_paths: usize,
    /// Connections with a watch.
    pub(crate) watching_connections: usize,
    /// Writes under way.
    pub(crate) outstanding: usize,
    /// Packets in.
    pub(crate) received: u64,
    /// Packets out.
    pub(crate) sent: u64,
    /// The shortest time from a request to its answer.
    pub(crate) latency_min_ms: u64,
    /// The mean.
    pub(crate) latency_avg_ms: f64,
    /// The longest.
    pub(crate) latency_max_ms: u64,
    /// Requests answered.
    pub(crate) answered: u64,
}

/// One session, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionInfo {
    /// Its id.
    pub(crate) id: i64,
    /// After how many milliseconds of silence it ends.
    pub(crate) timeout_ms: u32,
    /// Whether it lives in a member's process and not in a client's.
    pub(crate) local: bool,
    /// Its ephemeral znodes, sorted.
    pub(crate) ephemerals: Vec<String>,
}
