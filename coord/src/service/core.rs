//! The deciding part of the service, pure: events go in with the time and the tree as it is; log commands and
//! deliveries come out. The core thread (`service::shell`) carries them out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

pub(crate) use super::event::{Actions, Delivery, Done, Event, LogCommand, Now, Run};
use super::shared::Reply;
use super::voter::Voter;
use crate::Zxid;
use crate::error::{CoordError, MultiError};
use crate::session::SessionClocks;
use crate::storage::{StorageError, encode_txn};
use crate::tree::{Preparer, Request, Rules, SessionRecord, Tree, Txn, TxnBody};

/// Container and TTL znodes that one sweep proposes to delete at most, as ZooKeeper's 10,000 a minute.
const SWEEP_MAX: usize = 10_000;
/// Sessions that one transaction ends at most, so that a mass of them does not become one huge record.
const EXPIRED_MAX: usize = 256;
/// After how long the end of a dropped session that a full disk refused is proposed again.
const RETRY_MS: i64 = 1_000;

/// The state between requests and commits.
pub(crate) struct Core {
    preparer: Preparer,
    voter: Voter,
    waiting: VecDeque<Delivery>,
    generation: u64,
    run: Run,
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
    pub(crate) fn new(
        tree: &Tree,
        run: Run,
        epoch: u32,
        rules: Rules,
        sweep_every_ms: i64,
        now: Now,
    ) -> Core {
        let mut clocks = SessionClocks::default();
        for (id, session) in tree.sessions() {
            if run.owns(&session) {
                clocks.pin(id, session.timeout_ms);
            } else {
                clocks.open(id, session.timeout_ms, now.steady);
            }
        }
        Core {
            preparer: Preparer::new(rules),
            voter: Voter::new(epoch),
            waiting: VecDeque::new(),
            generation: 0,
            run,
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
                let Run {
                    member,
                    incarnation,
                } = self.run;
                let record = SessionRecord::of_member(timeout_ms, u64::from(member), incarnation);
                self.open(now, record, reply, tree, actions);
            }
            Event::OpenClient {
                timeout_ms,
                password,
                reply,
            } => {
                let record = SessionRecord::of_client(timeout_ms, password);
                self.open(now, record, reply, tree, actions);
            }
            Event::Resume {
                id,
                timeout_ms,
                password,
                reply,
            } => {
                let known = tree
                    .session(id)
                    .filter(|_| self.preparer.has_session(tree, id));
                let is_its =
                    |session: &SessionRecord| session.member == 0 && session.password.is(&password);
                if known.as_ref().is_some_and(is_its) {
                    self.clocks.open(id, timeout_ms, now.steady);
                    self.wait(Delivery::Fence(id, reply), actions);
                } else {
                    let error = CoordError::SessionExpired { session: id };
                    self.wait(Delivery::Refusal(error.into(), reply), actions);
                }
            }
            Event::Sync(reply) => self.wait(Delivery::Fence(0, reply), actions),
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
        for ids in self.clocks.expired(now.steady).chunks(EXPIRED_MAX) {
            let ids = ids.to_vec();
            self.propose(now, &Request::CloseSessions { ids }, None, tree, actions);
        }
        if now.steady >= self.retry_at {
            self.close_dropped(now, tree, actions);
        }
        if now.steady >= self.sweep_at {
            self.sweep_at = now.steady.saturating_add(self.sweep_every_ms);
            for op in tree.sweep(now.wall, SWEEP_MAX) {
                let request = Request::internal(0, vec![op]);
                self.propose(now, &request, None, tree, actions);
            }
        }
    }

    /// The sessions whose deadline has come. Before it acts on that, the core may be told of those that were heard of.
    pub(crate) fn overdue(&self, now: Now) -> Vec<i64> {
        self.clocks.overdue(now.steady)
    }

    /// Nobody could be heard of for so long.
    pub(crate) fn forgive(&mut self, ms: i64) {
        self.clocks.forgive(ms);
    }

    /// A session was heard of at this moment of the steady clock.
    pub(crate) fn heard(&mut self, id: i64, steady: i64) {
        self.clocks.touch(id, steady);
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
            if let Some(reply) = reply {
                self.wait(Delivery::Refusal(error.into(), reply), actions);
            }
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
                if let Some(reply) = reply {
                    self.wait(Delivery::Refusal(error, reply), actions);
                }
            }
        }
        if let Some(warning) = self.preparer.take_warning() {
            actions.warning = Some(warning);
        }
    }

    /// Hands out what needs no commit, behind all that does.
    fn wait(&mut self, delivery: Delivery, actions: &mut Actions) {
        if self.waiting.is_empty() {
            actions.deliveries.push(delivery);
        } else {
            self.waiting.push_back(delivery);
        }
    }

    fn open(
        &mut self,
        now: Now,
        record: SessionRecord,
        reply: Reply,
        tree: &Tree,
        actions: &mut Actions,
    ) {
        let id = self.new_session_id(tree);
        let request = Request::OpenSession { id, record };
        self.propose(now, &request, Some(reply), tree, actions);
    }

    fn deliver(&mut self, now: Now, committed: Zxid, actions: &mut Actions) {
        let ready = |delivery: &Delivery| match delivery {
            Delivery::Commit(txn, _) => txn.zxid <= committed,
            Delivery::Refusal(..) | Delivery::Fence(..) => true,
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
            TxnBody::OpenSession { id, record } if self.run.owns(record) => {
                self.clocks.pin(*id, record.timeout_ms);
            }
            TxnBody::OpenSession { id, record } => {
                self.clocks.open(*id, record.timeout_ms, now.steady);
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
            let (Delivery::Commit(_, Some(reply))
            | Delivery::Refusal(_, reply)
            | Delivery::Fence(_, reply)) = delivery
            else {
                continue;
            };
            actions
                .deliveries
                .push(Delivery::Refusal(error.clone().into(), reply));
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
            let id = (i64::from(self.run.member) << 56) | low;
            if !self.preparer.has_session(tree, id) {
                return id;
            }
        }
    }
}
