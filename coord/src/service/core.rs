//! The deciding part of the service, pure: events go in with the time and the tree as it is; log commands and
//! deliveries come out. The core thread (`service::shell`) carries them out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::shared::{LocalSession, Reply};
use super::voter::Voter;
use crate::Zxid;
use crate::error::{CoordError, MultiError};
use crate::session::SessionClocks;
use crate::storage::{Entry, StorageError, encode_txn};
use crate::tree::{OpResult, Preparer, Request, Tree, Txn, TxnBody};

/// What a committed request gave.
pub(crate) struct Done {
    pub(crate) zxid: Zxid,
    /// The session that was opened, if it lives in this process.
    pub(crate) opened: Option<LocalSession>,
    pub(crate) results: Vec<OpResult>,
}

/// A moment on two clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since 1970, as the machine's clock has it: what ctime, mtime and TTLs are made of. It can jump either way.
    pub(crate) wall: i64,
    /// Of a clock that only goes on: what deadlines are made of.
    pub(crate) steady: i64,
}

/// What happens to the core.
pub(crate) enum Event {
    /// A request.
    Ask(Request, Reply),
    /// A new session of this process, whose id the core chooses.
    OpenLocal { timeout_ms: u32, reply: Reply },
    /// A session of this process was dropped; its end need not be answered, but must come.
    Dropped(i64),
    /// The log is on disk up to here.
    Durable(Zxid),
    /// The disk was full: nothing of this generation of proposals from here on was written.
    Refused { generation: u64, reason: Arc<str> },
    /// The log has failed for good.
    Failed(Arc<StorageError>),
    /// No more requests; what is under way is finished.
    Stop,
}

/// What the log thread has to do. Proposals of a generation that was refused are passed over.
pub(crate) enum LogCommand {
    /// Appends and syncs.
    Append { generation: u64, entry: Entry },
    /// Starts a new file.
    Roll,
    /// Finishes what came before and ends.
    Stop,
}

/// Something to be handed out in order.
pub(crate) enum Delivery {
    /// A committed transaction, to be applied and then answered.
    Commit(Txn, Option<Reply>),
    /// A refusal; it was decided against the proposals before it, so it waits for them.
    Refusal(MultiError, Reply),
}

impl Delivery {
    fn is_commit(&self) -> bool {
        matches!(self, Delivery::Commit(..))
    }
}

/// What is to be done, in order within each list.
#[derive(Default)]
pub(crate) struct Actions {
    pub(crate) log: Vec<LogCommand>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// Container and TTL znodes that one sweep proposes to delete at most, as ZooKeeper's 10,000 a minute.
const SWEEP_MAX: usize = 10_000;
/// After how long the end of a dropped session that a full disk refused is proposed again.
const RETRY_MS: i64 = 1_000;

/// The state between requests and commits.
pub(crate) struct Core {
    preparer: Preparer,
    voter: Voter,
    waiting: VecDeque<Delivery>,
    generation: u64,
    member: u8,
    sessions_opened: i64,
    clocks: SessionClocks,
    /// Local sessions that were dropped, until their end is committed.
    dropped: BTreeSet<i64>,
    retry_at: i64,
    sweep_every_ms: i64,
    sweep_at: i64,
    failure: Option<Arc<StorageError>>,
    stopping: bool,
}

impl Core {
    /// Leads in `epoch` over a tree whose local sessions have been closed.
    pub(crate) fn new(tree: &Tree, member: u8, epoch: u32, sweep_every_ms: i64, now: Now) -> Core {
        let mut clocks = SessionClocks::default();
        for (id, session) in tree.sessions() {
            clocks.open(id, session.timeout_ms, now.steady);
        }
        Core {
            preparer: Preparer::new(),
            voter: Voter::new(epoch),
            waiting: VecDeque::new(),
            generation: 0,
            member,
            sessions_opened: 0,
            clocks,
            dropped: BTreeSet::new(),
            retry_at: i64::MAX,
            sweep_every_ms,
            sweep_at: now.steady.saturating_add(sweep_every_ms),
            failure: None,
            stopping: false,
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Commits what was proposed before there was a log thread: the service's first transaction.
    pub(crate) fn propose_first(
        &mut self,
        tree: &Tree,
        request: &Request,
        now: Now,
    ) -> Result<Txn, MultiError> {
        let zxid = self.voter.next();
        let txn = self.preparer.prepare(tree, request, zxid, now.wall)?;
        self.voter.propose(zxid);
        self.voter.durable(zxid);
        Ok(txn)
    }

    /// The first transaction has been logged and applied.
    pub(crate) fn close_first(&mut self, now: Now, txn: &Txn) {
        self.settle(now, txn);
        self.applied(txn.zxid);
    }

    /// Takes in one event. `tree` may lag behind the deliveries handed out, but not behind [`Core::applied`], and not
    /// at all when a refusal comes in: that makes the core forget what it knew of transactions not yet applied.
    pub(crate) fn handle(&mut self, now: Now, event: Event, tree: &Tree, actions: &mut Actions) {
        match event {
            Event::Ask(request, reply) => self.propose(now, &request, Some(reply), tree, actions),
            Event::OpenLocal { timeout_ms, reply } => {
                let id = self.new_session_id(tree);
                let request = Request::OpenSession {
                    id,
                    timeout_ms,
                    member: u64::from(self.member),
                };
                self.propose(now, &request, Some(reply), tree, actions);
            }
            Event::Dropped(id) => {
                self.dropped.insert(id);
                self.close_dropped(now, tree, actions);
            }
            Event::Durable(zxid) => {
                self.voter.durable(zxid);
                self.deliver(now, zxid, actions);
            }
            Event::Refused { generation, reason } => {
                debug_assert!(
                    !actions.deliveries.iter().any(Delivery::is_commit),
                    "what is committed is applied before a refusal is handled"
                );
                if generation == self.generation {
                    self.generation += 1;
                    self.voter.retreat();
                    self.preparer.discard();
                    self.retry_at = now.steady.saturating_add(RETRY_MS);
                    self.give_up(&CoordError::DiskFull(reason), actions);
                }
            }
            Event::Failed(error) => {
                self.give_up(&CoordError::Storage(Arc::clone(&error)), actions);
                self.failure.get_or_insert(error);
            }
            Event::Stop => self.stopping = true,
        }
    }

    /// Does what is due by the clock.
    pub(crate) fn tick(&mut self, now: Now, tree: &Tree, actions: &mut Actions) {
        if self.failure.is_some() || self.stopping {
            return;
        }
        let ids = self.clocks.expired(now.steady);
        if !ids.is_empty() {
            self.propose(now, &Request::CloseSessions { ids }, None, tree, actions);
        }
        if now.steady >= self.retry_at {
            self.close_dropped(now, tree, actions);
        }
        if now.steady >= self.sweep_at {
            self.sweep_at = now.steady.saturating_add(self.sweep_every_ms);
            for op in tree.sweep(now.wall, SWEEP_MAX) {
                let request = Request::Ops {
                    session: 0,
                    ops: vec![op],
                };
                self.propose(now, &request, None, tree, actions);
            }
        }
    }

    /// When [`Core::tick`] has something to do next, on the steady clock; never again is `i64::MAX`.
    pub(crate) fn next_tick(&self) -> i64 {
        if self.failure.is_some() || self.stopping {
            return i64::MAX;
        }
        let deadline = self.clocks.next_deadline().unwrap_or(i64::MAX);
        deadline.min(self.retry_at).min(self.sweep_at)
    }

    /// The tree shows everything up to `zxid`.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        self.preparer.applied(zxid);
    }

    fn propose(
        &mut self,
        now: Now,
        request: &Request,
        reply: Option<Reply>,
        tree: &Tree,
        actions: &mut Actions,
    ) {
        let closed = match &self.failure {
            Some(error) => Some(CoordError::Storage(Arc::clone(error))),
            None if self.stopping => Some(CoordError::Stopped),
            None => None,
        };
        if let Some(error) = closed {
            let refusal = reply.map(|reply| Delivery::Refusal(error.into(), reply));
            actions.deliveries.extend(refusal);
            return;
        }
        let zxid = self.voter.next();
        match self.preparer.prepare(tree, request, zxid, now.wall) {
            Ok(txn) => {
                let generation = self.generation;
                self.voter.propose(zxid);
                let entry = (zxid, encode_txn(&txn));
                actions.log.push(LogCommand::Append { generation, entry });
                self.waiting.push_back(Delivery::Commit(txn, reply));
            }
            Err(error) => {
                let Some(reply) = reply else { return };
                let refusal = Delivery::Refusal(error, reply);
                if self.waiting.is_empty() {
                    actions.deliveries.push(refusal);
                } else {
                    self.waiting.push_back(refusal);
                }
            }
        }
    }

    fn deliver(&mut self, now: Now, committed: Zxid, actions: &mut Actions) {
        let ready = |delivery: &Delivery| match delivery {
            Delivery::Commit(txn, _) => txn.zxid <= committed,
            Delivery::Refusal(..) => true,
        };
        let count = self
            .waiting
            .iter()
            .take_while(|delivery| ready(delivery))
            .count();
        for _ in 0..count {
            let Some(delivery) = self.waiting.pop_front() else {
                break;
            };
            if let Delivery::Commit(txn, _) = &delivery {
                self.settle(now, txn);
            }
            actions.deliveries.push(delivery);
        }
    }

    /// Keeps the sessions' clocks in step with what was committed.
    fn settle(&mut self, now: Now, txn: &Txn) {
        match &txn.body {
            TxnBody::OpenSession {
                id,
                timeout_ms,
                member,
            } if *member == u64::from(self.member) => {
                self.clocks.pin(*id, *timeout_ms);
            }
            TxnBody::OpenSession { id, timeout_ms, .. } => {
                self.clocks.open(*id, *timeout_ms, now.steady);
            }
            TxnBody::CloseSessions(closed) => {
                for session in closed {
                    self.clocks.close(session.id);
                    self.dropped.remove(&session.id);
                }
            }
            TxnBody::Changes(_) => {}
        }
    }

    /// Nothing that waits will be committed.
    fn give_up(&mut self, error: &CoordError, actions: &mut Actions) {
        for delivery in self.waiting.drain(..) {
            if let Delivery::Commit(_, Some(reply)) | Delivery::Refusal(_, reply) = delivery {
                actions
                    .deliveries
                    .push(Delivery::Refusal(error.clone().into(), reply));
            }
        }
    }

    fn close_dropped(&mut self, now: Now, tree: &Tree, actions: &mut Actions) {
        self.retry_at = i64::MAX;
        // One whose end is proposed is still in the tree, and stays here: the proposal may be refused.
        self.dropped
            .retain(|id| tree.session(*id).is_some() || self.preparer.has_session(tree, *id));
        let open = |id: &i64| self.preparer.has_session(tree, *id);
        let ids: Vec<i64> = self.dropped.iter().copied().filter(open).collect();
        if !ids.is_empty() {
            self.propose(now, &Request::CloseSessions { ids }, None, tree, actions);
        }
    }

    /// Member, epoch and a count, so that ids of different starts differ; one that is in use is passed over.
    fn new_session_id(&mut self, tree: &Tree) -> i64 {
        loop {
            self.sessions_opened += 1;
            let epoch = i64::from(self.voter.next().epoch());
            let low = (epoch << 24).wrapping_add(self.sessions_opened) & 0x00ff_ffff_ffff_ffff;
            let id = (i64::from(self.member) << 56) | low;
            if !self.preparer.has_session(tree, id) {
                return id;
            }
        }
    }
}
