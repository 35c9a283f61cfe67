//! The connections of clients and what they watch. Stands beside the tree under its lock: events are queued while the
//! tree changes, before anybody can read what they tell of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::WireConfig;
use super::queue::{Client, Ending};
use super::stats::Stats;
use crate::Zxid;
use crate::error::CoordError;
use crate::tree::limits::PATH_BYTES_MAX;
use crate::tree::{
    CHILDREN, Caller, ClosedSession, DATA, Event, EventKind, PERSISTENT, RECURSIVE, Rules, Tree,
    Watches,
};

/// All connections of clients on the wire.
#[derive(Default)]
pub(crate) struct Clients {
    table: Watches,
    clients: BTreeMap<u64, Arc<Client>>,
    /// Which connection serves a session now.
    serving: BTreeMap<i64, u64>,
    /// When a session without a connection was last heard of, so that it has its whole timeout to come back.
    left: BTreeMap<i64, i64>,
    ended: bool,
}

/// The watches that a client had before its connection was lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct SetWatches {
    /// The last transaction that the client has seen.
    pub(crate) relative_zxid: i64,
    /// Of data of znodes that existed.
    pub(crate) data: Vec<String>,
    /// Of the existence of znodes that did not.
    pub(crate) exist: Vec<String>,
    /// Of children.
    pub(crate) children: Vec<String>,
    /// Persistent ones.
    pub(crate) persistent: Vec<String>,
    /// Persistent recursive ones.
    pub(crate) recursive: Vec<String>,
}

/// Which watches of a path are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatcherType {
    /// One-shot, of children.
    Children = 1,
    /// One-shot, of data and existence.
    Data = 2,
    /// Whatever there is.
    Any = 3,
    /// Persistent.
    Persistent = 4,
    /// Persistent recursive.
    PersistentRecursive = 5,
}

impl WatcherType {
    /// The one of ZooKeeper's number.
    pub(crate) const fn of_number(number: i32) -> Option<WatcherType> {
        Some(match number {
            1 => WatcherType::Children,
            2 => WatcherType::Data,
            3 => WatcherType::Any,
            4 => WatcherType::Persistent,
            5 => WatcherType::PersistentRecursive,
            _ => return None,
        })
    }

    const fn modes(self) -> u8 {
        match self {
            WatcherType::Children => CHILDREN,
            WatcherType::Data => DATA,
            WatcherType::Any => u8::MAX,
            WatcherType::Persistent => PERSISTENT,
            WatcherType::PersistentRecursive => RECURSIVE,
        }
    }
}

impl Clients {
    /// A connection begins to serve its session; the one that did so before hears of it. False once the service has
    /// ended.
    pub(super) fn attach(&mut self, client: &Arc<Client>) -> bool {
        if self.ended {
            return false;
        }
        if let Some(before) = self.serving.insert(client.session, client.id) {
            self.drop_client(before, Some(Ending::Moved));
        }
        self.left.remove(&client.session);
        self.clients.insert(client.id, Arc::clone(client));
        true
    }

    /// A connection is gone. Its session stays.
    pub(super) fn detach(&mut self, client: &Client) {
        if self.serving.get(&client.session) == Some(&client.id) {
            self.serving.remove(&client.session);
            self.left.insert(client.session, client.heard());
        }
        self.drop_client(client.id, None);
    }

    /// How long a session's client was silent, at `now`, if it ever had one here.
    pub(crate) fn silent_ms(&self, session: i64, now: i64) -> Option<i64> {
        let serving = self.serving.get(&session);
        let heard = match serving.and_then(|id| self.clients.get(id)) {
            // It waits for an answer of ours, and what it sends may lie unread behind that.
            Some(client) if client.writes_under_way() > 0 => now,
            Some(client) => client.heard(),
            None => *self.left.get(&session)?,
        };
        Some(now.saturating_sub(heard).max(0))
    }

    /// Queues the events of a transaction for those who watch and may read what they tell of.
    pub(crate) fn tell(&mut self, zxid: Zxid, events: &[Event], rules: Rules) {
        if self.clients.is_empty() {
            return;
        }
        for event in events {
            for id in self.table.fire(event.kind, &event.path) {
                let Some(client) = self.clients.get(&id) else {
                    continue;
                };
                let may_know = event.acl.is_open()
                    || event
                        .acl
                        .permits(crate::perms::READ, &Caller::Client(client.ids()), rules);
                if may_know && !client.tell(event.kind, &event.path, zxid.0 as i64) {
                    let client = Arc::clone(client);
                    self.detach(&client);
                }
            }
        }
    }

    /// Sessions have ended: `by` is the client that asked for it, if one did.
    pub(crate) fn end_sessions(&mut self, closed: &[ClosedSession], by: Option<u64>) {
        for session in closed {
            self.left.remove(&session.id);
            if let Some(id) = self.serving.remove(&session.id) {
                let ending = if by == Some(id) {
                    Ending::Closed
                } else {
                    Ending::Expired
                };
                self.drop_client(id, Some(ending));
            }
        }
    }

    /// The tree changes no more.
    pub(crate) fn end_all(&mut self) {
        self.ended = true;
        self.table = Watches::default();
        self.serving.clear();
        self.left.clear();
        for client in std::mem::take(&mut self.clients).into_values() {
            client.end(Ending::Stopped);
        }
    }

    /// Sets a watch, unless the connection has ended or has too many.
    pub(super) fn watch(
        &mut self,
        client: &Client,
        path: &str,
        modes: u8,
        limits: &WireConfig,
    ) -> Result<(), CoordError> {
        if !self.clients.contains_key(&client.id) {
            return Ok(());
        }
        let count = self.table.count_of(client.id) + 1;
        let bytes = self.table.bytes_of(client.id) + path.len();
        for (what, size, limit) in [
            ("a path", path.len(), PATH_BYTES_MAX),
            ("a connection's count of watches", count, limits.watches_max),
            (
                "the size of a connection's watches",
                bytes,
                limits.watch_bytes_max,
            ),
        ] {
            if size > limit {
                return Err(CoordError::TooLarge { what, size, limit });
            }
        }
        self.table.add(path, client.id, modes);
        Ok(())
    }

    pub(super) fn is_watched(&self, client: &Client, path: &str, kind: WatcherType) -> bool {
        self.table.modes(path, client.id) & kind.modes() != 0
    }

    pub(super) fn unwatch(&mut self, client: &Client, path: &str, kind: WatcherType) -> bool {
        self.table.remove(path, client.id, kind.modes())
    }

    /// Sets watches anew after a reconnection; what was missed is told at once and its watch not set. Where they are too
    /// many the connection ends: clients do not look at the answer, and would wait for events that never come.
    pub(super) fn set_watches(
        &mut self,
        client: &Client,
        tree: &Tree,
        asked: &SetWatches,
        limits: &WireConfig,
    ) -> Result<(), CoordError> {
        let set = self.try_set_watches(client, tree, asked, limits);
        if set.is_err() {
            self.detach(client);
            client.end(Ending::TooManyWatches);
        }
        set
    }

    fn try_set_watches(
        &mut self,
        client: &Client,
        tree: &Tree,
        asked: &SetWatches,
        limits: &WireConfig,
    ) -> Result<(), CoordError> {
        let seen = asked.relative_zxid;
        let newer = |zxid: Zxid| zxid.0 as i64 > seen;
        for path in &asked.data {
            let missed = match tree.exists(path) {
                None => Some(EventKind::Deleted),
                Some(stat) => newer(stat.mzxid).then_some(EventKind::DataChanged),
            };
            self.tell_or_watch(client, path, missed, DATA, limits)?;
        }
        for path in &asked.exist {
            let missed = tree.exists(path).map(|_| EventKind::Created);
            self.tell_or_watch(client, path, missed, DATA, limits)?;
        }
        for path in &asked.children {
            let missed = match tree.exists(path) {
                None => Some(EventKind::Deleted),
                Some(stat) => newer(stat.pzxid).then_some(EventKind::ChildrenChanged),
            };
            self.tell_or_watch(client, path, missed, CHILDREN, limits)?;
        }
        for (paths, mode) in [
            (&asked.persistent, PERSISTENT),
            (&asked.recursive, RECURSIVE),
        ] {
            for path in paths {
                self.watch(client, path, mode, limits)?;
            }
        }
        Ok(())
    }

    fn tell_or_watch(
        &mut self,
        client: &Client,
        path: &str,
        missed: Option<EventKind>,
        mode: u8,
        limits: &WireConfig,
    ) -> Result<(), CoordError> {
        let Some(kind) = missed else {
            return self.watch(client, path, mode, limits);
        };
        if !client.tell(kind, path, -1) {
            self.detach(client);
        }
        Ok(())
    }

    /// Who watches what: each session and its paths, up to `max` paths.
    pub(super) fn watches(&self, max: usize) -> Vec<(i64, Vec<String>)> {
        let mut left = max;
        let mut all = Vec::new();
        for (id, client) in &self.clients {
            let paths: Vec<String> = self.table.paths_of(*id).take(left).collect();
            left -= paths.len();
            if !paths.is_empty() {
                all.push((client.session, paths));
            }
        }
        all
    }

    pub(super) fn fill(&self, stats: &mut Stats) {
        stats.connections = self.clients.len();
        (
            stats.watches,
            stats.watched_paths,
            stats.watching_connections,
        ) = self.table.counts();
    }

    fn drop_client(&mut self, id: u64, ending: Option<Ending>) {
        self.table.remove_watcher(id);
        if let (Some(client), Some(ending)) = (self.clients.remove(&id), ending) {
            client.end(ending);
        }
    }
}
