//! Watches of this process: a bounded queue for each, fed when a transaction is applied.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Zxid;
use crate::service::shared::Shared;
use crate::tree::{
    self, CHILDREN, DATA, Event, EventKind, PERSISTENT, RECURSIVE, Txn, TxnBody, Watches,
};

/// Events that a watch holds for a receiver that is behind; past it they give way to one [`WatchKind::Lost`].
pub const WATCH_EVENTS_MAX: usize = 1024;

/// What a watch looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchMode {
    /// The next creation, set or deletion of the znode, which need not exist. One event, then the watch ends.
    Data,
    /// The next creation or deletion of a child, or the znode's own deletion. One event, then the watch ends.
    Children,
    /// All of these, on and on.
    Persistent,
    /// Creations, sets and deletions of the znode and of everything under it, on and on; none of
    /// [`WatchKind::NodeChildrenChanged`], as every child speaks for itself.
    PersistentRecursive,
}

/// What a watch has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// The znode was created.
    NodeCreated,
    /// The znode was deleted.
    NodeDeleted,
    /// The znode's data was set.
    NodeDataChanged,
    /// A child was created or deleted.
    NodeChildrenChanged,
    /// The receiver was too slow, and events are missing: read everything that is watched again. The events that
    /// follow are whole again.
    Lost,
}

/// One event. Only what happened is told; the receiver reads the tree, which is at least as new as the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchKind,
    /// To which znode; for [`WatchKind::Lost`], the path of the watch.
    pub path: String,
    /// By which transaction.
    pub zxid: Zxid,
}

/// A watch that is set. To miss nothing, set it first and read after. Dropping it takes it off.
pub struct Watch {
    shared: Arc<Shared>,
    id: u64,
    queue: Arc<Queue>,
}

impl Watch {
    pub(crate) fn set(shared: &Arc<Shared>, session: i64, path: &str, mode: WatchMode) -> Watch {
        let (id, queue) = {
            let mut served = shared.served.write();
            let open = served.tree.session(session).is_some();
            served.watchers.add(session, path, mode, open)
        };
        Watch {
            shared: Arc::clone(shared),
            id,
            queue,
        }
    }

    /// The next event. None once the watch has ended: a one-shot watch after its event, every watch with its session
    /// or the service.
    /// May be cancelled without losing an event.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            let arrived = self.queue.arrived.notified();
            {
                let mut state = self.queue.state.lock();
                if let Some(event) = state.events.pop_front() {
                    return Some(event);
                }
                if state.ended {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// The next event if there is one already. The events of a transaction arrive together: after
    /// [`Watch::next`] has given the first of them, this gives all others.
    pub fn try_next(&mut self) -> Option<WatchEvent> {
        self.queue.state.lock().events.pop_front()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.served.write().watchers.remove(self.id);
    }
}

struct Queue {
    path: String,
    state: Mutex<QueueState>,
    arrived: Notify,
}

#[derive(Default)]
struct QueueState {
    events: VecDeque<WatchEvent>,
    ended: bool,
}

impl Queue {
    /// Queues the events of one transaction, all at once.
    fn push(&self, events: Vec<WatchEvent>, ends: bool) {
        {
            let mut state = self.state.lock();
            match events.last() {
                Some(last) if state.events.len() + events.len() > WATCH_EVENTS_MAX => {
                    state.events.clear();
                    let lost = WatchEvent {
                        kind: WatchKind::Lost,
                        path: self.path.clone(),
                        zxid: last.zxid,
                    };
                    state.events.push_back(lost);
                }
                _ => state.events.extend(events),
            }
            state.ended |= ends;
        }
        self.arrived.notify_one();
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.arrived.notify_one();
    }
}

struct Watcher {
    session: i64,
    once: bool,
    queue: Arc<Queue>,
}

/// The watches of this process, each a watcher of its own in the tree's table.
#[derive(Default)]
pub(crate) struct Watchers {
    table: Watches,
    watchers: BTreeMap<u64, Watcher>,
    last_id: u64,
    /// Nothing will be told any more.
    ended: bool,
}

impl Watchers {
    /// Enters a watch of a session; of one that is not `open`, it has ended at once.
    fn add(&mut self, session: i64, path: &str, mode: WatchMode, open: bool) -> (u64, Arc<Queue>) {
        let (bits, once) = match mode {
            WatchMode::Data => (DATA, true),
            WatchMode::Children => (CHILDREN, true),
            WatchMode::Persistent => (PERSISTENT, false),
            WatchMode::PersistentRecursive => (RECURSIVE, false),
        };
        self.last_id += 1;
        let queue = Arc::new(Queue {
            path: path.to_owned(),
            state: Mutex::default(),
            arrived: Notify::new(),
        });
        if self.ended || !open {
            queue.end();
            return (self.last_id, queue);
        }
        self.table.add(path, self.last_id, bits);
        self.watchers.insert(
            self.last_id,
            Watcher {
                session,
                once,
                queue: Arc::clone(&queue),
            },
        );
        (self.last_id, queue)
    }

    fn remove(&mut self, id: u64) {
        self.table.remove_watcher(id);
        self.watchers.remove(&id);
    }

    /// Ends every watch, and those still to come: the tree changes no more.
    pub(crate) fn end_all(&mut self) {
        self.ended = true;
        self.table = Watches::default();
        for watcher in std::mem::take(&mut self.watchers).into_values() {
            watcher.queue.end();
        }
    }

    /// Tells the watchers of what a transaction has done, and ends those of sessions that it closed.
    pub(crate) fn tell(&mut self, txn: &Txn, events: &[Event]) {
        if self.watchers.is_empty() {
            return;
        }
        let mut told: BTreeMap<u64, Vec<WatchEvent>> = BTreeMap::new();
        for tree::Event { kind, path, .. } in events {
            let watch_kind = match kind {
                EventKind::Created => WatchKind::NodeCreated,
                EventKind::Deleted => WatchKind::NodeDeleted,
                EventKind::DataChanged => WatchKind::NodeDataChanged,
                EventKind::ChildrenChanged => WatchKind::NodeChildrenChanged,
            };
            for id in self.table.fire(*kind, path) {
                told.entry(id).or_default().push(WatchEvent {
                    kind: watch_kind,
                    path: path.to_string(),
                    zxid: txn.zxid,
                });
            }
        }
        for (id, events) in told {
            let Some(watcher) = self.watchers.get(&id) else {
                continue;
            };
            let once = watcher.once;
            watcher.queue.push(events, once);
            if once {
                self.watchers.remove(&id);
            }
        }
        if let TxnBody::CloseSessions(closed) = &txn.body {
            let closed: BTreeSet<i64> = closed.iter().map(|session| session.id).collect();
            let ended: Vec<u64> = self
                .watchers
                .iter()
                .filter(|(_, watcher)| closed.contains(&watcher.session))
                .map(|(id, _)| *id)
                .collect();
            for id in ended {
                if let Some(watcher) = self.watchers.get(&id) {
                    watcher.queue.end();
                }
                self.remove(id);
            }
        }
    }
}
