//! Carries out what a core wants done, as the service around it will: in order, and with a crash between any two.

use std::collections::VecDeque;

use coord::Zxid;
use coord::zab::{Action, Event, LinkId, MemberId, Outgoing, Payload, Proposal, Role, Token};

use crate::network::Packet;
use crate::properties::{Verdict, Violation, durability, require};
use crate::store::{Order, Store};
use crate::world::{Happening, World};

impl World {
    /// Lets something happen to a member, and does what it wants done.
    pub(crate) fn handle(&mut self, id: MemberId, event: Event) -> Verdict {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.note(id, &event);
            let Some(node) = self.nodes.get_mut(&id) else {
                return Ok(());
            };
            let now_ms = node.clock_ms(self.now);
            let Some(up) = &mut node.up else {
                return Ok(());
            };
            let proposes = matches!(event, Event::Propose(_) | Event::Reconfigure { .. });
            let mut actions = Vec::new();
            up.member.handle(now_ms, event, &mut actions);
            for action in actions {
                if !self.healed && self.random.happens(self.plan.crashes) {
                    self.crash(id);
                    return Ok(());
                }
                self.show(id, &action);
                if let Action::Append { txns, .. } = &action
                    && proposes
                {
                    for txn in txns {
                        self.properties.integrity.proposed(id, txn)?;
                    }
                }
                self.act(id, action, &mut events)?;
                if self.nodes.get(&id).is_none_or(|node| node.up.is_none()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn act(&mut self, id: MemberId, action: Action, events: &mut VecDeque<Event>) -> Verdict {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        let run = node.run;
        let Some(up) = &mut node.up else {
            return Ok(());
        };
        match action {
            Action::Append { txns, token } => self.order(id, Order::Append(txns), token),
            Action::Truncate { to, token } => self.order(id, Order::Truncate(to), token),
            Action::PersistAcceptedEpoch { epoch, token } => {
                self.order(id, Order::AcceptedEpoch(epoch), token);
            }
            Action::PersistCurrentEpoch { epoch, token } => {
                self.order(id, Order::CurrentEpoch(epoch), token);
            }
            Action::ClearAmnesia { token } => self.order(id, Order::ClearAmnesia, token),
            Action::InstallSnapshot {
                link,
                keep_log,
                token,
                ..
            } => {
                let tree = up.snapshots.remove(&link).ok_or_else(|| Violation {
                    property: "the shell's contract",
                    what: format!("member {} installs a snapshot that has not come", id.0),
                })?;
                self.order(id, Order::Install { tree, keep_log }, token);
            }
            Action::Resume => node.store.resume(),
            Action::Reload => {
                let recovered = node.store.image().recover(up.tree.applied);
                let us = self.random.within(100..2_000);
                self.after(us, Happening::Local(id, run, Event::Reloaded(recovered)));
            }
            Action::DiscardSnapshot { link } => {
                up.snapshots.remove(&link);
            }
            Action::ReadHistory { link, after, up_to } => {
                let us = self.random.within(100..3_000);
                self.after(
                    us,
                    Happening::ReadHistory {
                        at: id,
                        run,
                        link,
                        after,
                        up_to,
                    },
                );
            }
            Action::SendSnapshot { link, at_least, .. } => {
                let us = self.random.within(500..20_000);
                self.after(
                    us,
                    Happening::SendSnapshot {
                        from: id,
                        run,
                        link,
                        at_least,
                    },
                );
            }
            Action::Send {
                link,
                to,
                message,
                after,
            } => {
                if let Some(outgoing) = up.outbox.send(after, Outgoing { link, to, message }) {
                    self.transmit(id, outgoing)?;
                }
            }
            Action::DropLink { link } => {
                up.outbox.link_down(link);
                self.close(id, link);
            }
            Action::Deliver { up_to } => self.deliver(id, up_to, events)?,
            Action::RoleChanged { role, epoch } => {
                let leads = role == Role::Leading;
                if leads {
                    let committed = up.member.committed();
                    self.properties.established(id, epoch, committed)?;
                }
                self.properties.leadership.leads(id, leads, self.now);
            }
            Action::Execute {
                origin,
                request,
                bytes,
            } => {
                if self.random.within(0..30) == 0 {
                    events.push_back(Event::Refuse {
                        origin,
                        request,
                        reason: bytes,
                    });
                } else {
                    up.proposals.push(Proposal {
                        origin,
                        request,
                        bytes,
                    });
                    let us = self.random.within(1..500);
                    self.after(us, Happening::Flush(id, run));
                }
            }
            Action::Synced { request } => {
                let place = up.place;
                if let Some(operation) = self.operations.remove(&request) {
                    self.properties.reads.read(operation.began, place)?;
                }
            }
            Action::NotProposed { request, .. }
            | Action::Refusal { request, .. }
            | Action::SyncFailed { request } => {
                self.operations.remove(&request);
            }
            Action::Fatal(sentence) => {
                require(
                    sentence.starts_with("the disk has failed"),
                    "no fatal end",
                    || format!("member {}: {sentence}", id.0),
                )?;
                self.crash(id);
            }
            Action::ConfigChanged { .. } | Action::Touched { .. } => {}
        }
        Ok(())
    }

    fn order(&mut self, id: MemberId, order: Order, token: Token) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.store.order(order, token);
        }
        self.sync_soon(id);
    }

    fn deliver(&mut self, id: MemberId, up_to: Zxid, events: &mut VecDeque<Event>) -> Verdict {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        let Some(up) = &mut node.up else {
            return Ok(());
        };
        durability::delivered(id, node.store.image(), up_to)?;
        for txn in node.store.image().slice(up.tree.applied, up_to) {
            self.properties.delivered(id, up.place, txn)?;
            up.tree.apply(txn);
            up.place += 1;
            if txn.origin == id
                && matches!(txn.payload, Payload::Data(_))
                && let Some(operation) = self.operations.remove(&txn.request)
            {
                self.properties.reads.wrote(operation.began, up.place)?;
                self.properties.acked.acked(txn.zxid);
            }
        }
        require(up.tree.applied == up_to, "the shell's contract", || {
            format!(
                "member {} delivers up to {up_to}, but its tree is at {}",
                id.0, up.tree.applied
            )
        })?;
        events.push_back(Event::Applied(up.tree.digest()));
        // What is known to be committed is written now and then, and so are snapshots; the log before goes.
        let (known, snapshot) = (
            self.random.within(0..8) == 0,
            self.random.within(0..40) == 0,
        );
        let tree = up.tree.clone();
        let image = node.store.image_mut();
        if known || snapshot {
            image.committed = image.committed.max(up_to);
        }
        if snapshot {
            image.snapshot = tree;
            let count = image.log.partition_point(|txn| txn.zxid <= up_to);
            let gone = self.random.within(0..count as u64 + 1) as usize;
            if let Some(last) = image.log.drain(..gone).next_back() {
                image.log_base = last.zxid;
            }
        }
        Ok(())
    }

    pub(crate) fn send_snapshot(
        &mut self,
        from: MemberId,
        run: u64,
        link: LinkId,
        at_least: Zxid,
    ) -> Verdict {
        let Some(node) = self.nodes.get_mut(&from) else {
            return Ok(());
        };
        let Some(up) = &mut node.up else {
            return Ok(());
        };
        if node.run != run {
            return Ok(());
        }
        if up.tree.applied < at_least {
            self.after(
                1_000,
                Happening::SendSnapshot {
                    from,
                    run,
                    link,
                    at_least,
                },
            );
            return Ok(());
        }
        let tree = up.tree.clone();
        let zxid = tree.applied;
        self.put(from, link, Packet::Snapshot(tree));
        self.handle(from, Event::SnapshotSent { link, zxid })
    }

    pub(crate) fn read_history(
        &mut self,
        at: MemberId,
        run: u64,
        link: LinkId,
        after: Zxid,
        up_to: Zxid,
    ) -> Verdict {
        let Some(node) = self.nodes.get(&at) else {
            return Ok(());
        };
        if node.run != run || node.up.is_none() {
            return Ok(());
        }
        let image = node.store.image();
        if after < image.log_base {
            return self.handle(at, Event::HistoryMissing { link });
        }
        let before = image.log.partition_point(|txn| txn.zxid <= after);
        let common = if before == 0 {
            image.log_base
        } else {
            image.log[before - 1].zxid
        };
        let mut txns = image.slice(after, up_to).to_vec();
        txns.truncate(self.random.within(1..20) as usize);
        self.handle(at, Event::HistoryRead { link, common, txns })
    }
}
