//! What the handle and the threads share: the tree with its watches, and the way in to the core thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::core::{Done, Event};
use super::inbox::Inbox;
use crate::Zxid;
use crate::error::{CoordError, MultiError};
use crate::tree::Tree;
use crate::watch::Watchers;

/// What all requests under way from sessions of this process may weigh together, in KiB; further ones wait.
const UNDER_WAY_KIB: u32 = 256 << 10;
/// What a request weighs beside its bytes, so that 4,096 small ones are under way at most.
const REQUEST_KIB: u32 = 64;

/// The tree and who watches it, under one lock, so that an event is queued before its new state can be read.
pub(crate) struct Served {
    pub(crate) tree: Tree,
    pub(crate) watchers: Watchers,
}

pub(crate) struct Shared {
    pub(crate) served: RwLock<Served>,
    pub(crate) events: Arc<Inbox<Event>>,
    /// The last transaction applied, for those who wait for one.
    pub(crate) applied: watch::Sender<Zxid>,
    turns: Arc<Semaphore>,
    /// Why no more writes are taken; none while they are.
    pub(crate) ended: OnceLock<CoordError>,
    pub(crate) ended_signal: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(tree: Tree, events: Arc<Inbox<Event>>) -> Shared {
        let applied = watch::Sender::new(tree.applied());
        Shared {
            served: RwLock::new(Served {
                tree,
                watchers: Watchers::default(),
            }),
            events,
            applied,
            turns: Arc::new(Semaphore::new(UNDER_WAY_KIB as usize)),
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
        let weight = u32::try_from(bytes >> 10)
            .unwrap_or(UNDER_WAY_KIB)
            .saturating_add(REQUEST_KIB)
            .min(UNDER_WAY_KIB);
        let turn = Arc::clone(&self.turns).acquire_many_owned(weight).await;
        let turn = turn.expect("this semaphore is never closed");
        if let Some(reason) = self.ended.get() {
            return Err(reason.clone().into());
        }
        let (to, answer) = oneshot::channel();
        self.events.push(event(Reply { to, _turn: turn }));
        match answer.await {
            Ok(done) => done,
            Err(_) => Err(self.why_ended().into()),
        }
    }
}

/// Where an answer goes. It holds the request's turn, which lasts as long as the request does and not as long as
/// somebody waits for it.
pub(crate) struct Reply {
    to: oneshot::Sender<Result<Done, MultiError>>,
    _turn: OwnedSemaphorePermit,
}

impl Reply {
    /// Answers. Whoever asked may have stopped waiting; then the answer is dropped.
    pub(crate) fn send(self, answer: Result<Done, MultiError>) {
        let _ = self.to.send(answer);
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
        to,
        _turn: turn.expect("a new semaphore has its permit"),
    };
    (reply, answer)
}
