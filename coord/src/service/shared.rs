//! What the handle and the threads share: the tree with its watches, and the way in to the core thread.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

use super::core::{Event, Reply};
use super::inbox::Inbox;
use crate::Zxid;
use crate::error::CoordError;
use crate::tree::Tree;
use crate::watch::Watchers;

/// Requests under way from all sessions of this process together; further ones wait for their turn.
const UNDER_WAY_MAX: usize = 4096;

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
    pub(crate) turns: Semaphore,
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
            turns: Semaphore::new(UNDER_WAY_MAX),
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

    /// Why the service answered nothing.
    pub(crate) fn why_ended(&self) -> CoordError {
        self.ended.get().cloned().unwrap_or(CoordError::Stopped)
    }

    /// Hands an event with a place for the answer to the core thread, unless the service has ended.
    pub(crate) fn ask(&self, event: impl FnOnce(Reply) -> Event) -> Result<Answer, CoordError> {
        if let Some(reason) = self.ended.get() {
            return Err(reason.clone());
        }
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.events.push(event(reply));
        Ok(answer)
    }
}

/// Where the answer to a request comes.
pub(crate) type Answer =
    tokio::sync::oneshot::Receiver<Result<super::core::Done, crate::error::MultiError>>;
