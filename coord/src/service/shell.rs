//! The core thread: feeds the core with events, hands its commands to the log thread, and carries deliveries out on the
//! tree everyone reads. It never touches a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::CoordConfig;
use super::core::{Actions, Core, Delivery, Done, Event, LogCommand, Now, Run};
use super::inbox::Inbox;
use super::shared::{LocalSession, Reply, Served, Shared};
use super::snapshot_thread::SnapshotCommand;
use crate::error::CoordError;
use crate::tree::{Txn, TxnBody};
use crate::wire::Client;

pub(super) struct Shell {
    pub(super) core: Core,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Arc<Inbox<LogCommand>>,
    pub(super) snapshots: Arc<Inbox<SnapshotCommand>>,
    pub(super) snapshot_busy: Arc<AtomicBool>,
    pub(super) config: CoordConfig,
    /// The steady clock's zero.
    pub(super) started: Instant,
    /// No more requests are taken; it ends once nothing is under way.
    pub(super) stopping: bool,
    /// The run of the member that this is.
    pub(super) run: Run,
    /// When the operator was last warned of quotas, on the steady clock.
    pub(super) warned_at: Option<i64>,
    /// Transactions and bytes logged since the last snapshot was asked for.
    pub(super) since_snapshot: (usize, usize),
}

/// A snapshot is taken after so many bytes of transactions.
const SNAPSHOT_BYTES: usize = 64 << 20;
/// Between two warnings.
const WARN_EVERY_MS: i64 = 1_000;
/// From here on a late wake-up is a stall and no chance.
const STALL_MS: i64 = 1_000;
/// The longest sleep, where nothing is due.
const SLEEP_MS_MAX: u64 = 3_600_000;

impl Shell {
    pub(super) fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        let mut events = Vec::new();
        while !(self.stopping && self.core.is_idle()) {
            let before = self.now().steady;
            let due = self.core.next_tick().saturating_sub(before);
            let wait = u64::try_from(due).unwrap_or(0).min(SLEEP_MS_MAX);
            let take = Duration::from_millis(wait);
            self.shared.events.take(Some(take), &mut events);
            self.forgive(before.saturating_add_unsigned(wait));
            self.turn(&mut events);
        }
    }

    /// Where this thread wakes long after it meant to, the whole process stood still, and no client could be heard: a
    /// paused machine must not end all sessions at once.
    fn forgive(&mut self, meant: i64) {
        let late = self.now().steady.saturating_sub(meant);
        if late >= STALL_MS {
            tracing::warn!("the process stood still for {late} ms; sessions get the time back");
            self.core.forgive(late);
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: (self.config.clock)(),
            steady: i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Handles what has come, and what is due.
    pub(super) fn turn(&mut self, events: &mut Vec<Event>) {
        let now = self.now();
        let mut actions = Actions::default();
        let mut failed = false;
        let shared = Arc::clone(&self.shared);
        let mut served = shared.served.read();
        for event in events.drain(..) {
            match &event {
                Event::Stop => {
                    self.stopping = true;
                    shared.end(CoordError::Stopped);
                }
                Event::Failed(error) => {
                    failed = true;
                    shared.end(CoordError::Storage(Arc::clone(error)));
                }
                // A refusal makes the core forget everything proposed, and so also what is committed and not yet
                // in the tree: whatever came next would be judged without it, and a znode created twice.
                Event::Refused { .. } => {
                    drop(served);
                    self.deliver(&mut actions.deliveries);
                    served = shared.served.read();
                }
                // Its session goes on over another connection, or it has none any more.
                Event::Ask(_, reply) if reply.client().is_some_and(Client::is_cut) => continue,
                _ => {}
            }
            self.core.handle(now, event, &served.tree, &mut actions);
        }
        if now.steady >= self.core.next_tick() {
            self.hear(now, &served);
            self.core.tick(now, &served.tree, &mut actions);
        }
        drop(served);
        for command in &actions.log {
            if let LogCommand::Append { entry, .. } = command {
                self.since_snapshot.0 += 1;
                self.since_snapshot.1 += entry.1.len();
            }
        }
        if !actions.log.is_empty() {
            self.log.extend(actions.log.drain(..));
        }
        self.deliver(&mut actions.deliveries);
        if failed {
            shared.end_watches();
        }
        if let Some(warning) = actions.warning {
            self.warn(now, &warning);
        }
        self.snapshot_if_due();
    }

    /// Tells the core of the overdue clients that were heard of after all: that costs a client's every request no more
    /// than a store.
    fn hear(&mut self, now: Now, served: &Served) {
        let overdue = self.core.overdue(now);
        if overdue.is_empty() {
            return;
        }
        let clients = served.clients.lock();
        for id in overdue {
            if let Some(silent_ms) = clients.silent_ms(id, self.shared.steady_ms()) {
                self.core.heard(id, now.steady.saturating_sub(silent_ms));
            }
        }
    }

    fn warn(&mut self, now: Now, warning: &str) {
        let due = |at: i64| now.steady.saturating_sub(at) >= WARN_EVERY_MS;
        if self.warned_at.is_none_or(due) {
            self.warned_at = Some(now.steady);
            tracing::warn!("{warning}");
        }
    }

    fn deliver(&mut self, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let mut answers = Vec::with_capacity(deliveries.len());
        let mut applied_to = None;
        {
            let mut served = self.shared.served.write();
            let served = &mut *served;
            let rules = self.shared.config.rules();
            let mut answer = |reply: Reply, zxid, answer| {
                answers.extend(reply.send_in_order(zxid, answer));
            };
            for delivery in deliveries.drain(..) {
                match delivery {
                    Delivery::Commit(txn, reply) => {
                        let applied = served.tree.apply(&txn);
                        served.watchers.tell(&txn, &applied.events);
                        let clients = served.clients.get_mut();
                        clients.tell(txn.zxid, &applied.events, rules);
                        applied_to = Some(txn.zxid);
                        let by = reply.as_ref().and_then(Reply::client).map(Client::number);
                        if let Some(reply) = reply {
                            let done = Done {
                                zxid: txn.zxid,
                                session: txn.session,
                                opened: self.opened(&txn),
                                results: applied.results,
                            };
                            answer(reply, txn.zxid, Ok(done));
                        }
                        if let TxnBody::CloseSessions(closed) = &txn.body {
                            clients.end_sessions(closed, by);
                        }
                    }
                    Delivery::Refusal(error, reply) => {
                        answer(reply, served.tree.applied(), Err(error));
                    }
                    Delivery::Fence(session, reply) => {
                        let zxid = served.tree.applied();
                        let done = Done {
                            zxid,
                            session,
                            opened: None,
                            results: Vec::new(),
                        };
                        answer(reply, zxid, Ok(done));
                    }
                }
            }
        }
        if let Some(zxid) = applied_to {
            self.core.applied(zxid);
            self.shared.applied.send_replace(zxid);
        }
        for (reply, answer) in answers {
            reply.send(answer);
        }
    }

    /// The session of this process that a transaction opened.
    fn opened(&self, txn: &Txn) -> Option<LocalSession> {
        match txn.body {
            TxnBody::OpenSession { id, record } if self.run.owns(&record) => {
                Some(LocalSession::new(Arc::clone(&self.shared), id))
            }
            _ => None,
        }
    }

    fn snapshot_if_due(&mut self) {
        let (txns, bytes) = self.since_snapshot;
        if txns < self.config.snapshot_txns && bytes < SNAPSHOT_BYTES {
            return;
        }
        let (nodes, data) = {
            let served = self.shared.served.read();
            (served.tree.node_count(), served.tree.data_bytes())
        };
        // A large tree is written out less often: a snapshot must not cost much more than the log it replaces.
        if (txns >= nodes / 4 || bytes >= data) && !self.snapshot_busy.swap(true, Ordering::AcqRel)
        {
            self.since_snapshot = (0, 0);
            self.snapshots.push(SnapshotCommand::Take);
        }
    }
}

/// Ends the service when the core thread does, however it does: whoever asked too late hears that it has stopped, as
/// the place for the answer is dropped.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end(CoordError::Stopped);
        self.0.events.close();
        self.0.end_watches();
    }
}
