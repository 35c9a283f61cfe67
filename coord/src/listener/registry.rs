//! The connections that are open: how many from where, and what each has done.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::message::OpCode;

/// Every open connection of a listener.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    open: BTreeMap<u64, Arc<Traffic>>,
    per_address: HashMap<IpAddr, usize>,
    rejected: u64,
}

/// A connection's place in the registry; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<Registry>,
    id: u64,
    pub(crate) traffic: Arc<Traffic>,
}

impl Registry {
    /// Enters a connection, unless there are too many already (0 is no limit).
    pub(crate) fn enter(
        self: &Arc<Registry>,
        peer: SocketAddr,
        per_address_max: usize,
        all_max: usize,
    ) -> Option<Place> {
        let mut inner = self.inner.lock();
        let address = peer.ip().to_canonical();
        let all = inner.open.len();
        let count = inner.per_address.entry(address).or_default();
        if (per_address_max > 0 && *count >= per_address_max) || (all_max > 0 && all >= all_max) {
            if *count == 0 {
                inner.per_address.remove(&address);
            }
            inner.rejected += 1;
            return None;
        }
        *count += 1;
        inner.last_id += 1;
        let id = inner.last_id;
        let traffic = Arc::new(Traffic::new(peer));
        inner.open.insert(id, Arc::clone(&traffic));
        Some(Place {
            registry: Arc::clone(self),
            id,
            traffic,
        })
    }

    /// All open connections, oldest first.
    pub(crate) fn open(&self) -> Vec<Arc<Traffic>> {
        self.inner.lock().open.values().cloned().collect()
    }

    /// Open connections, and those ever refused.
    pub(crate) fn counts(&self) -> (usize, u64) {
        let inner = self.inner.lock();
        (inner.open.len(), inner.rejected)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.registry.inner.lock();
        inner.open.remove(&self.id);
        let address = self.traffic.peer.ip().to_canonical();
        if let Some(count) = inner.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                inner.per_address.remove(&address);
            }
        }
    }
}

/// What a connection has done, for `cons` and `stat`.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) peer: SocketAddr,
    counts: Mutex<Counts>,
}

/// The numbers of one connection. Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// 0 before there is one.
    pub(crate) session: i64,
    pub(crate) established: i64,
    pub(crate) timeout_ms: u32,
    pub(crate) queued: usize,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) last_op: &'static str,
    pub(crate) last_xid: i32,
    pub(crate) last_zxid: i64,
    pub(crate) last_response: i64,
    pub(crate) last_latency: u64,
    pub(crate) latency_min: u64,
    pub(crate) latency_max: u64,
    latency_sum: u64,
    answered: u64,
}

impl Counts {
    fn new() -> Counts {
        Counts {
            session: 0,
            established: wall_ms(),
            timeout_ms: 0,
            queued: 0,
            received: 0,
            sent: 0,
            last_op: "NA",
            last_xid: -1,
            last_zxid: -1,
            last_response: 0,
            last_latency: 0,
            latency_min: u64::MAX,
            latency_max: 0,
            latency_sum: 0,
            answered: 0,
        }
    }

    pub(crate) fn latency_avg(&self) -> u64 {
        self.latency_sum.checked_div(self.answered).unwrap_or(0)
    }
}

impl Traffic {
    fn new(peer: SocketAddr) -> Traffic {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Traffic {
            peer,
            counts: Mutex::new(Counts::new()),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }

    /// `crst`.
    pub(crate) fn reset(&self) {
        let mut counts = self.counts.lock();
        *counts = Counts {
            session: counts.session,
            established: counts.established,
            timeout_ms: counts.timeout_ms,
            queued: counts.queued,
            ..Counts::new()
        };
    }

    pub(crate) fn begins(&self, session: i64, timeout_ms: u32) {
        let mut counts = self.counts.lock();
        counts.session = session;
        counts.timeout_ms = timeout_ms;
        counts.last_op = "SESS";
        counts.last_response = wall_ms();
    }

    pub(crate) fn received(&self, packets: u64, queued: usize) {
        let mut counts = self.counts.lock();
        counts.received += packets;
        counts.queued = queued;
    }

    pub(crate) fn sent_event(&self) {
        self.counts.lock().sent += 1;
    }

    pub(crate) fn answered(
        &self,
        op: Option<OpCode>,
        xid: i32,
        zxid: i64,
        took: Duration,
        queued: usize,
    ) {
        let took = took.as_millis() as u64;
        let mut counts = self.counts.lock();
        counts.sent += 1;
        counts.queued = queued;
        counts.last_op = op.map_or("NA", OpCode::short_name);
        counts.last_xid = xid;
        counts.last_zxid = zxid;
        counts.last_response = wall_ms();
        counts.last_latency = took;
        counts.latency_min = counts.latency_min.min(took);
        counts.latency_max = counts.latency_max.max(took);
        counts.latency_sum += took;
        counts.answered += 1;
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let registry = Arc::new(Registry::default());
        let peer = |text: &str| text.parse::<SocketAddr>().unwrap();
        let enter = |text, per, all| registry.enter(peer(text), per, all);
        let first = enter("127.0.0.1:1", 2, 0).unwrap();
        let _mapped =
            enter("[::ffff:127.0.0.1]:2", 2, 0).expect("the same address in another form");
        assert!(enter("127.0.0.1:3", 2, 0).is_none());
        let _other = enter("127.0.0.2:3", 2, 0).unwrap();
        assert!(enter("127.0.0.3:3", 0, 3).is_none(), "too many at all");
        assert_eq!(registry.counts(), (3, 2));
        drop(first);
        assert!(enter("127.0.0.1:4", 2, 3).is_some());
    }
}
