//! The core thread: feeds the core with events, hands its commands to the log thread, and carries deliveries out on the
//! tree everyone reads. It never touches a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::core::{Actions, Core, Delivery, Done, Event, LogCommand};
use super::inbox::Inbox;
use super::shared::Shared;
use super::snapshot_thread::SnapshotCommand;
use super::{Clock, CoordConfig};
use crate::error::CoordError;

pub(super) struct Shell {
    pub(super) core: Core,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Arc<Inbox<LogCommand>>,
    pub(super) snapshots: Arc<Inbox<SnapshotCommand>>,
    pub(super) snapshot_busy: Arc<AtomicBool>,
    pub(super) config: CoordConfig,
    /// Transactions and bytes logged since the last snapshot was asked for.
    pub(super) since_snapshot: (usize, usize),
}

impl Shell {
    pub(super) fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        let mut events = Vec::new();
        let mut actions = Actions::default();
        let mut stopping = false;
        while !(stopping && self.core.is_idle()) {
            let now = now_ms(&self.config.clock);
            let due = self.core.next_tick().saturating_sub(now);
            let wait = Duration::from_millis(u64::try_from(due).unwrap_or(0));
            self.shared.events.take(Some(wait), &mut events);
            let now = now_ms(&self.config.clock);
            {
                let served = self.shared.served.read();
                for event in events.drain(..) {
                    match &event {
                        Event::Stop => stopping = true,
                        Event::Failed(error) => {
                            self.shared.end(CoordError::Storage(Arc::clone(error)));
                        }
                        _ => {}
                    }
                    self.core.handle(now, event, &served.tree, &mut actions);
                }
                if !stopping && now >= self.core.next_tick() {
                    self.core.tick(now, &served.tree, &mut actions);
                }
            }
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
            self.snapshot_if_due();
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
            for delivery in deliveries.drain(..) {
                match delivery {
                    Delivery::Commit(txn, reply) => {
                        let applied = served.tree.apply(&txn);
                        served.watchers.tell(&txn, &applied.events);
                        applied_to = Some(txn.zxid);
                        if let Some(reply) = reply {
                            let done = Done {
                                zxid: txn.zxid,
                                session: txn.session,
                                results: applied.results,
                            };
                            answers.push((reply, Ok(done)));
                        }
                    }
                    Delivery::Refusal(error, reply) => answers.push((reply, Err(error))),
                }
            }
        }
        if let Some(zxid) = applied_to {
            self.core.applied(zxid);
            self.shared.applied.send_replace(zxid);
        }
        for (reply, answer) in answers {
            // Whoever has stopped waiting does not mind.
            let _ = reply.send(answer);
        }
    }

    fn snapshot_if_due(&mut self) {
        let (txns, bytes) = self.since_snapshot;
        if txns < self.config.snapshot_txns && bytes < self.config.snapshot_bytes {
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
    }
}

pub(super) fn now_ms(clock: &Clock) -> i64 {
    clock()
}
