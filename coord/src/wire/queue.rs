//! What goes out to one client, in order: answers and events share one queue, as an event must come before what was
//! read after it, and after the answer to the read that asked for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::stats::Counters;
use crate::Zxid;
use crate::error::{ErrorCode, MultiError};
use crate::tree::{Acl, EventKind, Id, OpResult, Stat};

/// Comes back with a request's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// The listener's own: which request it was.
    pub(crate) tag: u64,
    /// When it was received, for the latencies.
    pub(crate) received: Instant,
}

/// What a request gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// One for each operation.
    Done(Vec<OpResult>),
    /// Of a sync: its path.
    Synced(String),
    /// The session has been closed.
    Closed,
    /// Of `Exists`.
    Stat(Stat),
    /// Of `GetData`.
    Data(Bytes, Stat),
    /// Of `GetChildren`: the names, sorted.
    Children(Vec<String>, Stat),
    /// Of `GetAcl`.
    Acl(Vec<Acl>, Stat),
    /// Of `GetEphemerals`.
    Ephemerals(Vec<String>),
    /// Of `GetAllChildrenNumber`.
    Count(i32),
    /// Of `WhoAmI`: scheme and user of each identity.
    WhoAmI(Vec<(String, String)>),
    /// Of `MultiRead`.
    Read(Vec<Result<Answer, ErrorCode>>),
    /// Done, and there is nothing to say.
    Nothing,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its client has closed the session.
    Closed,
    /// The session has expired, or somebody else has closed it.
    Expired,
    /// The session goes on over another connection.
    Moved,
    /// More events wait than its client takes away.
    TooSlow,
    /// It cannot have all the watches that its client had before.
    TooManyWatches,
    /// The service has stopped.
    Stopped,
}

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A watch has seen something.
    Event {
        /// What, as a number.
        kind: i32,
        /// Where.
        path: String,
        /// By which transaction; -1 for one told because of `SetWatches`.
        zxid: i64,
    },
    /// An answer.
    Answer {
        /// To which request.
        token: Token,
        /// For the reply's header.
        zxid: Zxid,
        /// The answer itself.
        result: Result<Answer, MultiError>,
    },
    /// The last.
    Ended(Ending),
}

/// A connection of a session, as the service knows it.
pub(crate) struct Client {
    /// Its number among the watchers.
    pub(super) id: u64,
    pub(super) session: i64,
    /// Who it is, so far.
    pub(super) ids: RwLock<Arc<Vec<Id>>>,
    /// When it was last heard of, in milliseconds since the service's start.
    pub(super) heard: AtomicI64,
    /// Writes whose answer is not in the queue.
    pub(super) writes: AtomicUsize,
    queue: Mutex<Queue>,
    arrived: Notify,
    event_bytes_max: usize,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Outgoing>,
    event_bytes: usize,
    ended: bool,
}

/// What an event takes beside its path.
const EVENT_BYTES: usize = 64;

impl Client {
    pub(super) fn new(
        (id, session): (u64, i64),
        ids: Vec<Id>,
        event_bytes_max: usize,
        counters: Arc<Counters>,
    ) -> Client {
        Client {
            id,
            session,
            ids: RwLock::new(Arc::new(ids)),
            heard: AtomicI64::new(0),
            writes: AtomicUsize::new(0),
            queue: Mutex::default(),
            arrived: Notify::new(),
            event_bytes_max,
            counters,
        }
    }

    pub(super) fn ids(&self) -> Arc<Vec<Id>> {
        Arc::clone(&self.ids.read())
    }

    /// Queues an event. False where too many wait: then the connection has ended.
    pub(super) fn tell(&self, kind: EventKind, path: &str, zxid: i64) -> bool {
        let mut queue = self.queue.lock();
        if queue.ended {
            return true;
        }
        queue.event_bytes += EVENT_BYTES + path.len();
        let fits = queue.event_bytes <= self.event_bytes_max;
        if fits {
            queue.items.push_back(Outgoing::Event {
                kind: kind as i32,
                path: path.to_owned(),
                zxid,
            });
        } else {
            // An event that is missing must not look like one that never was.
            queue.items.clear();
            queue.items.push_back(Outgoing::Ended(Ending::TooSlow));
            queue.ended = true;
        }
        drop(queue);
        self.arrived.notify_one();
        fits
    }

    /// Queues an answer.
    pub(super) fn answer(&self, token: Token, zxid: Zxid, result: Result<Answer, MultiError>) {
        self.counters.answered(token.received);
        self.push(Outgoing::Answer {
            token,
            zxid,
            result,
        });
    }

    /// Queues the end: nothing comes after it.
    pub(super) fn end(&self, ending: Ending) {
        self.push(Outgoing::Ended(ending));
    }

    /// Whether nothing that it asks for is done any more. One that has only hung up is not cut: what it has asked for
    /// is done, above all the end of its session.
    pub(crate) fn is_cut(&self) -> bool {
        self.queue.lock().ended
    }

    fn push(&self, item: Outgoing) {
        let mut queue = self.queue.lock();
        if queue.ended {
            return;
        }
        queue.ended = matches!(item, Outgoing::Ended(_));
        queue.items.push_back(item);
        drop(queue);
        self.arrived.notify_one();
    }
}

/// A write of a client while it is under way, for whoever counts them.
pub(crate) struct UnderWay(Arc<Client>);

impl UnderWay {
    pub(super) fn begin(client: &Arc<Client>) -> UnderWay {
        client.writes.fetch_add(1, Ordering::AcqRel);
        client.counters.under_way(1);
        UnderWay(Arc::clone(client))
    }

    /// The client whose write it is.
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.0
    }

    /// Queues the write's answer. Whoever finds that in the queue no longer finds the write under way.
    pub(super) fn answer(self, token: Token, zxid: Zxid, result: Result<Answer, MultiError>) {
        let client = Arc::clone(&self.0);
        drop(self);
        client.answer(token, zxid, result);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.writes.fetch_sub(1, Ordering::AcqRel);
        self.0.counters.under_way(-1);
    }
}

/// The way out of a connection's queue.
pub(crate) struct Outbox {
    pub(super) client: Arc<Client>,
}

impl Outbox {
    /// What goes out next. None after the end. May be cancelled without losing anything.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        loop {
            if let Some(item) = self.try_next() {
                return Some(item);
            }
            let arrived = self.client.arrived.notified();
            {
                let queue = self.client.queue.lock();
                if !queue.items.is_empty() {
                    continue;
                }
                if queue.ended {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// The same, if there is something already.
    pub(crate) fn try_next(&mut self) -> Option<Outgoing> {
        let mut queue = self.client.queue.lock();
        let item = queue.items.pop_front()?;
        if let Outgoing::Event { path, .. } = &item {
            queue.event_bytes -= EVENT_BYTES + path.len();
        }
        Some(item)
    }
}
