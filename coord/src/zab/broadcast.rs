//! Broadcast: proposals, acknowledgements and commits. All three reach as far as the last one named, so many may be
//! under way, and one message may stand for many.

use super::events::{Action, Proposal};
use super::history::is_chain;
use super::leader::{FollowerStage, Stage};
use super::learner::LearnerStage;
use super::member::{Member, Phase};
use super::messages::Message;
use super::planted::planted;
use super::types::{MemberId, NotProposed, Payload, Txn};
use crate::Zxid;

impl Member {
    /// The leader's shell has made transactions: logs and sends them, several at once if there are.
    pub(super) fn propose(&mut self, proposals: Vec<Proposal>, out: &mut Vec<Action>) {
        let mut txns = Vec::with_capacity(proposals.len());
        let mut last = self.history.last();
        let room = self.room();
        for Proposal {
            origin,
            request,
            bytes,
        } in proposals
        {
            let zxid = match &self.phase {
                Phase::Leading(leader) if leader.is_established() => leader
                    .next_zxid(last, self.settings.counter_max)
                    .ok_or(NotProposed::EpochEnds),
                Phase::Leading(_) => Err(NotProposed::EpochEnds),
                _ => Err(NotProposed::NoLeader),
            };
            match zxid {
                Ok(_) if txns.len() >= room => {
                    self.not_proposed(origin, request, NotProposed::Busy, out);
                }
                Ok(zxid) => {
                    last = zxid;
                    txns.push(Txn {
                        zxid,
                        origin,
                        request,
                        payload: Payload::Data(bytes),
                    });
                }
                Err(reason) => self.not_proposed(origin, request, reason, out),
            }
        }
        self.broadcast(txns, out);
    }

    /// How many more proposals may be under way.
    fn room(&self) -> usize {
        let from = self.committed.max(self.history.base());
        self.settings
            .outstanding_max
            .saturating_sub(self.history.count_after(from))
    }

    /// Logs transactions and sends them to all who are to log them, too.
    pub(super) fn broadcast(&mut self, txns: Vec<Txn>, out: &mut Vec<Action>) {
        if txns.is_empty() {
            return;
        }
        let token = self.tokens.issue();
        self.history.append(&txns, token);
        if self.membership.logged(&txns) {
            self.config_changed(out);
        }
        out.push(Action::Append { txns, token });
        self.pump(out);
        // The counter's end: what is under way is committed by the next epoch, which begins now.
        let Phase::Leading(leader) = &self.phase else {
            return;
        };
        if leader
            .next_zxid(self.history.last(), self.settings.counter_max)
            .is_none()
        {
            self.renew(out);
        }
    }

    /// Sends each learner what it is to have by now: voters what is proposed, others what is committed.
    fn pump(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let (last, committed) = (self.history.last(), self.committed);
        for (peer, follower) in &mut leader.followers {
            if follower.stage < FollowerStage::Told {
                continue;
            }
            let votes = self.membership.is_voter(*peer);
            let up_to = if votes { last } else { committed.min(last) };
            if follower.sent < up_to {
                let previous = follower.sent;
                let txns = self.history.slice(previous, up_to, usize::MAX);
                follower.sent = up_to;
                let message = if votes {
                    Message::Propose { previous, txns }
                } else {
                    follower.told_committed = follower.told_committed.max(up_to);
                    Message::Inform { previous, txns }
                };
                follower.send(*peer, message, out);
            }
            if leader.stage == Stage::Broadcast && follower.told_committed < committed {
                follower.told_committed = committed;
                follower.send(*peer, Message::Commit { up_to: committed }, out);
            }
        }
    }

    pub(super) fn ack(&mut self, from: MemberId, zxid: Zxid, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&from) else {
            return;
        };
        match follower.stage {
            // Of the reign that has just been renewed.
            FollowerStage::Known => {}
            FollowerStage::Active if zxid <= follower.sent || planted!(self, NoTruncation) => {
                follower.acked = follower.acked.max(zxid);
                self.try_commit(out);
            }
            // Acknowledged before NEWLEADER was, or never sent: its log is not what this leader takes it for.
            _ => self.drop_follower(from, out),
        }
    }

    /// Commits what a quorum has on disk.
    pub(super) fn try_commit(&mut self, out: &mut Vec<Action>) {
        loop {
            let Phase::Leading(leader) = &self.phase else {
                return;
            };
            if leader.stage != Stage::Broadcast {
                return;
            }
            let acked = |id: MemberId| {
                if id == self.id {
                    return self.history.durable();
                }
                let follower = leader.followers.get(&id);
                let counted = follower.filter(|f| f.counts_from(FollowerStage::Active));
                counted.map_or(Zxid::ZERO, |f| f.acked)
            };
            #[cfg(feature = "planted-bugs")]
            let agreed = match self.bug {
                Some(super::Bug::CommitBelowQuorum) => self.membership.agreed_too_soon(acked),
                Some(super::Bug::ReconfigWithoutOldQuorum) => {
                    self.membership.agreed_by_the_newest(acked)
                }
                _ => self.membership.agreed(acked),
            };
            #[cfg(not(feature = "planted-bugs"))]
            let agreed = self.membership.agreed(acked);
            // What an earlier epoch proposed was committed when this one was established.
            if agreed <= self.committed {
                return;
            }
            self.commit_as_leader(agreed, out);
        }
    }

    pub(super) fn commit_as_leader(&mut self, zxid: Zxid, out: &mut Vec<Action>) {
        self.note_committed(zxid, out);
        self.pump(out);
        self.deliver(out);
        // Voted out, it has told so all it could.
        if !self.membership.is_voter(self.id) {
            self.leave(out);
        }
    }

    /// Takes proposals into the log. Whether they follow what is there is not taken on trust: a log with a hole, once
    /// it is on disk, is a lost write (ZOOKEEPER-4925).
    pub(super) fn proposed(
        &mut self,
        previous: Zxid,
        mut txns: Vec<Txn>,
        out: &mut Vec<Action>,
    ) -> bool {
        let Phase::Learning(learner) = &self.phase else {
            return false;
        };
        let stage = learner.stage;
        if stage < LearnerStage::Synchronizing || stage == LearnerStage::AwaitingSnapshot {
            self.leave(out);
            return false;
        }
        let last = self.history.last();
        let known = txns.partition_point(|txn| txn.zxid <= last);
        let previous = if known == 0 {
            previous
        } else {
            txns[known - 1].zxid
        };
        txns.drain(..known);
        let ack = Message::Ack {
            zxid: txns.last().map_or(last, |txn| txn.zxid),
        };
        if !txns.is_empty() {
            let gap = previous != last || !is_chain(previous, &txns);
            if gap && !planted!(self, GapAccepted) && !planted!(self, NoTruncation) {
                self.leave(out);
                return false;
            }
            let token = self.tokens.issue();
            #[cfg(feature = "planted-bugs")]
            if gap {
                self.history.append_with_holes(&txns, token);
            } else {
                self.history.append(&txns, token);
            }
            #[cfg(not(feature = "planted-bugs"))]
            self.history.append(&txns, token);
            let changed = self.membership.logged(&txns);
            out.push(Action::Append { txns, token });
            if stage >= LearnerStage::Synchronized {
                let after = if planted!(self, AckBeforeFsync) {
                    None
                } else {
                    Some(token)
                };
                self.to_leader(ack, after, out);
            }
            if changed {
                self.membership.settle(self.committed);
                self.config_changed(out);
            }
        }
        true
    }

    /// Transactions that are committed already, for a member without a vote.
    pub(super) fn informed(&mut self, previous: Zxid, txns: Vec<Txn>, out: &mut Vec<Action>) {
        let Phase::Learning(learner) = &self.phase else {
            return;
        };
        let (link, end) = (learner.link, txns.last().map(|txn| txn.zxid));
        let mut taken = Vec::new();
        if self.proposed(previous, txns, &mut taken) {
            // A member that has a vote in a change under way is sent proposals; what it is informed of, nobody counts.
            taken.retain(|action| !matches!(action, Action::Send { message: Message::Ack { .. }, link: l, .. } if *l == link));
            out.append(&mut taken);
            if let Some(end) = end {
                self.told_committed(end, out);
            }
        } else {
            out.append(&mut taken);
        }
    }

    /// COMMIT, also of proposals that are still on their way.
    pub(super) fn told_committed(&mut self, up_to: Zxid, out: &mut Vec<Action>) {
        let Phase::Learning(learner) = &self.phase else {
            return;
        };
        if learner.stage < LearnerStage::Synchronized {
            return self.leave(out);
        }
        let leader = learner.leader;
        self.commit(up_to, out);
        if self.is_serving() {
            self.set_role(self.learner_role(leader), out);
        }
    }
}
