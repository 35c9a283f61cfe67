//! What all connections may take together: their number, and the memory of requests that
//! have not arrived whole.
//!
//! A frame's length is a claim; memory is taken as bytes arrive. The first 64 KiB of a
//! connection are its own, so that small requests never wait for big ones; what a
//! request takes beyond counts against one budget. When that is spent, the unfinished
//! request that has been silent longest is cut off, so that clients which announce much
//! and send little cannot starve those that send.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a connection may hold outside the budget, in bytes.
pub(crate) const FREE_BYTES: usize = 64 * 1024;

/// The limits that connections share.
#[derive(Debug)]
pub(crate) struct Limits {
    connections_max: usize,
    /// What sets that bound, for whoever is refused.
    connections_bound: &'static str,
    connections_per_ip_max: usize,
    unfinished_bytes_max: usize,
    /// The most that one Fetch is answered with, in bytes.
    pub(crate) fetch_bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    by_ip: HashMap<IpAddr, usize>,
    next_id: u64,
    unfinished_bytes: usize,
    unfinished: BTreeMap<u64, Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    bytes: usize,
    last_progress: Instant,
    cut: Arc<Cut>,
}

/// That a connection was chosen to make room for others.
#[derive(Debug, Default)]
struct Cut {
    chosen: AtomicBool,
    notify: Notify,
}

/// A connection's place among all; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limits: Arc<Limits>,
    ip: IpAddr,
    id: u64,
    cut: Arc<Cut>,
}

impl Limits {
    pub(crate) fn new(
        connections_max: usize,
        connections_per_ip_max: usize,
        unfinished_bytes_max: usize,
        fetch_bytes_max: usize,
    ) -> Arc<Self> {
        let descriptors = descriptors_for_connections();
        let (connections_max, connections_bound) = if descriptors < connections_max {
            (
                descriptors,
                "what the limit of open files leaves to connections",
            )
        } else {
            (connections_max, "max.connections")
        };
        Arc::new(Self {
            connections_max,
            connections_bound,
            connections_per_ip_max,
            unfinished_bytes_max,
            fetch_bytes_max,
            state: Mutex::default(),
        })
    }

    /// A place for a connection from `ip`, or which limit refuses it.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<Place, &'static str> {
        let mut state = self.state.lock();
        if state.connections >= self.connections_max {
            return Err(self.connections_bound);
        }
        let from_ip = state.by_ip.get(&ip).copied().unwrap_or(0);
        if from_ip >= self.connections_per_ip_max {
            return Err("max.connections.per.ip");
        }
        state.connections += 1;
        state.by_ip.insert(ip, from_ip + 1);
        state.next_id += 1;
        Ok(Place {
            limits: Arc::clone(self),
            ip,
            id: state.next_id,
            cut: Arc::default(),
        })
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().connections
    }
}

/// Descriptors that connections may take: a quarter of those that the process may open, and
/// no less than 256, are left to files, so that no crowd of clients keeps a log from rolling.
fn descriptors_for_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        limit.saturating_sub((limit / 4).max(256)).max(1) as usize
    })
}

impl Place {
    /// Counts `bytes` as held by this connection's request, which is not served yet, in place
    /// of what it held before. May cut off another connection; false if this one itself has to go.
    pub(crate) fn hold(&self, bytes: usize, now: Instant) -> bool {
        let held = bytes.saturating_sub(FREE_BYTES);
        if held > self.limits.unfinished_bytes_max {
            return false;
        }
        if self.cut.chosen.load(Ordering::Acquire) {
            // It is about to hear of that, and must not take another one along.
            return false;
        }
        let mut state = self.limits.state.lock();
        state.forget(self.id);
        if held == 0 {
            return true;
        }
        while state.unfinished_bytes + held > self.limits.unfinished_bytes_max {
            let Some((&id, _)) = state
                .unfinished
                .iter()
                .min_by_key(|(_, unfinished)| unfinished.last_progress)
            else {
                return false;
            };
            if let Some(victim) = state.forget(id) {
                victim.cut.chosen.store(true, Ordering::Release);
                victim.cut.notify.notify_one();
            }
        }
        state.unfinished_bytes += held;
        state.unfinished.insert(
            self.id,
            Unfinished {
                bytes: held,
                last_progress: now,
                cut: Arc::clone(&self.cut),
            },
        );
        true
    }

    /// Counts nothing for this connection any more, as its request has been handled. That it
    /// was chosen to make room just then is forgotten.
    pub(crate) fn release(&self) {
        self.limits.state.lock().forget(self.id);
        self.cut.chosen.store(false, Ordering::Release);
    }

    /// Completes when this connection was chosen to make room for others.
    pub(crate) async fn cut_off(&self) {
        while !self.cut.chosen.load(Ordering::Acquire) {
            self.cut.notify.notified().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.limits.state.lock();
        state.forget(self.id);
        state.connections -= 1;
        if let Some(count) = state.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                state.by_ip.remove(&self.ip);
            }
        }
    }
}

impl State {
    fn forget(&mut self, id: u64) -> Option<Unfinished> {
        let unfinished = self.unfinished.remove(&id)?;
        self.unfinished_bytes -= unfinished.bytes;
        Some(unfinished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_connection_past_a_limit_is_refused_until_one_leaves() {
        let limits = Limits::new(2, 1, 0, 0);
        let first = limits.admit(HERE).unwrap();
        assert_eq!(limits.admit(HERE).unwrap_err(), "max.connections.per.ip");
        let other = limits.admit([10, 0, 0, 1].into()).unwrap();
        assert_eq!(
            limits.admit([10, 0, 0, 2].into()).unwrap_err(),
            "max.connections"
        );
        drop(other);
        drop(first);
        assert!(limits.admit(HERE).is_ok());
    }

    #[tokio::test]
    async fn the_request_that_was_silent_longest_makes_room() {
        let limits = Limits::new(9, 9, 2 * FREE_BYTES, 0);
        let start = Instant::now();
        let (old, new) = (limits.admit(HERE).unwrap(), limits.admit(HERE).unwrap());
        assert!(old.hold(2 * FREE_BYTES, start));
        assert!(new.hold(2 * FREE_BYTES, start + Duration::from_secs(1)));
        let third = limits.admit(HERE).unwrap();
        assert!(third.hold(2 * FREE_BYTES, start + Duration::from_secs(2)));
        old.cut_off().await;
        new.release();
        assert!(
            third.hold(3 * FREE_BYTES, start),
            "what is handled frees its bytes"
        );
        assert!(
            !third.hold(4 * FREE_BYTES, start),
            "one alone cannot exceed the budget"
        );
    }
}
