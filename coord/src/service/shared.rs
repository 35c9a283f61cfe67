//! What the handle, the wire and the threads share: the tree with its watches, and the way in to the core thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::core::{Done, Event};
use super::inbox::Inbox;
use crate::Zxid;
use crate::error::{CoordError, MultiError};
use crate::tree::Tree;
use crate::watch::Watchers;
use crate::wire::{Asked, Clients, Counters, WireConfig};

/// What all requests under way from sessions of this process may weigh together, in KiB; further ones wait. Clients on
/// the wire share as much again, so that they cannot hold up the process's own.
const UNDER_WAY_KIB: u32 = 256 << 10;
/// What a request weighs beside its bytes, so that 4,096 small ones are under way at most.
const REQUEST_KIB: u32 = 64;

/// The tree and who watches it, under one lock, so that an event is queued before its new state can be read.
pub(crate) struct Served {
    pub(crate) tree: Tree,
    pub(crate) watchers: Watchers,
    /// Under a lock of its own, so that a reader can set a watch with what it reads.
    pub(crate) clients: Mutex<Clients>,
}

pub(crate) struct Shared {
    pub(crate) served: RwLock<Served>,
    pub(crate) events: Arc<Inbox<Event>>,
    /// The last transaction applied, for those who wait for one.
    pub(crate) applied: watch::Sender<Zxid>,
    turns: Arc<Semaphore>,
    client_turns: Arc<Semaphore>,
    pub(crate) config: WireConfig,
    pub(crate) counters: Arc<Counters>,
    /// The number of the next connection.
    pub(crate) next_client: AtomicU64,
    started: Instant,
    /// Why no more writes are taken; none while they are.
    pub(crate) ended: OnceLock<CoordError>,
    pub(crate) ended_signal: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(tree: Tree, events: Arc<Inbox<Event>>, config: WireConfig) -> Shared {
        let applied = watch::Sender::new(tree.applied());
        Shared {
            served: RwLock::new(Served {
                tree,
                watchers: Watchers::default(),
                clients: Mutex::default(),
            }),
            events,
            applied,
            turns: Arc::new(Semaphore::new(UNDER_WAY_KIB as usize)),
            client_turns: Arc::new(Semaphore::new(UNDER_WAY_KIB as usize)),
            config,
            counters: Arc::default(),
            next_client: AtomicU64::new(1),
            started: Instant::now(),
            ended: OnceLock::new(),
            ended_signal: watch::Sender::new(false),
        }
    }

    /// No more writes, for this reason; the first one stays.
    pub(crate) fn end(&self, reason: CoordError) {
        if self.ended.set(reason).is_ok() {
            self.ended_signal.send_replace(true);
        }
    }

    /// Whether a request of a megabyte would have to wait.
    #[cfg(test)]
    pub(crate) fn is_crowded(&self) -> bool {
        self.turns.available_permits() < 1024 + REQUEST_KIB as usize
    }

    /// The right of a client on the wire to have a request of so many bytes under way.
    pub(crate) async fn client_turn(&self, bytes: usize) -> OwnedSemaphorePermit {
        turn(&self.client_turns, bytes).await
    }

    /// Milliseconds on a clock that only goes on.
    pub(crate) fn steady_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Every watch ends: the tree changes no more.
    pub(crate) fn end_watches(&self) {
        let mut served = self.served.write();
        served.watchers.end_all();
        served.clients.get_mut().end_all();
    }

    /// Why the service answered nothing.
    pub(crate) fn why_ended(&self) -> CoordError {
        self.ended.get().cloned().unwrap_or(CoordError::Stopped)
    }

    /// Hands an event with a place for the answer to the core thread, unless the service has ended, and waits for the
    /// answer. `bytes` is what the request holds. A caller that stops waiting takes nothing back.
    pub(crate) async fn ask(
        &self,
        bytes: usize,
        event: impl FnOnce(Reply) -> Event,
    ) -> Result<Done, MultiError> {
        let turn = turn(&self.turns, bytes).await;
        self.ask_in(turn, event).await
    }

    /// The same for a client on the wire that has no connection yet.
    pub(crate) async fn ask_for_client(
        &self,
        event: impl FnOnce(Reply) -> Event,
    ) -> Result<Done, MultiError> {
        let turn = self.client_turn(0).await;
        self.ask_in(turn, event).await
    }

    async fn ask_in(
        &self,
        turn: OwnedSemaphorePermit,
        event: impl FnOnce(Reply) -> Event,
    ) -> Result<Done, MultiError> {
        if let Some(reason) = self.ended.get() {
            return Err(reason.clone().into());
        }
        let (to, answer) = oneshot::channel();
        let to = To::Process(to);
        self.events.push(event(Reply { to, _turn: turn }));
        match answer.await {
            Ok(done) => done,
            Err(_) => Err(self.why_ended().into()),
        }
    }
}

/// The right to have a request of so many bytes under way.
async fn turn(turns: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let weight = u32::try_from(bytes >> 10)
        .unwrap_or(UNDER_WAY_KIB)
        .saturating_add(REQUEST_KIB)
        .min(UNDER_WAY_KIB);
    let turn = Arc::clone(turns).acquire_many_owned(weight).await;
    turn.expect("this semaphore is never closed")
}

/// Where an answer goes. It holds the request's turn, which lasts as long as the request does and not as long as
/// somebody waits for it.
pub(crate) struct Reply {
    to: To,
    _turn: OwnedSemaphorePermit,
}

enum To {
    Process(oneshot::Sender<Result<Done, MultiError>>),
    Client(Asked),
}

impl Reply {
    /// To a client on the wire.
    pub(crate) fn to_client(asked: Asked, turn: OwnedSemaphorePermit) -> Reply {
        Reply {
            to: To::Client(asked),
            _turn: turn,
        }
    }

    /// The connection on the wire that asked, if it was one.
    pub(crate) fn client(&self) -> Option<&crate::wire::Client> {
        match &self.to {
            To::Process(_) => None,
            To::Client(asked) => Some(asked.client()),
        }
    }

    /// Answers a client on the wire, where the answer's place among the events counts. Otherwise the answer is still to
    /// be sent.
    pub(crate) fn send_in_order(
        self,
        zxid: Zxid,
        answer: Result<Done, MultiError>,
    ) -> Option<(Reply, Result<Done, MultiError>)> {
        match self.to {
            To::Process(_) => Some((self, answer)),
            To::Client(asked) => {
                asked.answer(zxid, answer.map(|done| done.results));
                None
            }
        }
    }

    /// Answers somebody in this process. They may have stopped waiting; then the answer is dropped.
    pub(crate) fn send(self, answer: Result<Done, MultiError>) {
        if let To::Process(to) = self.to {
            let _ = to.send(answer);
        }
    }
}

/// A session that lives in this process. Dropping it closes it, also where nobody waited for it to be opened.
pub(crate) struct LocalSession {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: i64,
    closed: AtomicBool,
}

impl LocalSession {
    pub(crate) fn new(shared: Arc<Shared>, id: i64) -> LocalSession {
        LocalSession {
            shared,
            id,
            closed: AtomicBool::new(false),
        }
    }

    /// Its end is committed.
    pub(crate) fn has_closed(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        if !*self.closed.get_mut() {
            self.shared.events.push(Event::Dropped(self.id));
        }
    }
}

/// A place for an answer, with a turn of its own.
#[cfg(test)]
pub(crate) fn answer_place() -> (Reply, oneshot::Receiver<Result<Done, MultiError>>) {
    let (to, answer) = oneshot::channel();
    let turn = Arc::new(Semaphore::new(1)).try_acquire_owned();
    let reply = Reply {
        to: To::Process(to),
        _turn: turn.expect("a new semaphore has its permit"),
    };
    (reply, answer)
}
