//! Synchronization: a learner's history becomes its leader's.
//!
//! ```text
//! leader                                                          learner
//!   cut (TRUNC), missing proposals (DIFF) or the tree (SNAP)  ─▶    on disk
//!   NEWLEADER                                                 ─▶    then the current epoch on disk
//!   a quorum: the epoch is established                        ◀─  ACK
//!   UPTODATE                                                  ─▶    serves
//! ```
//!
//! A learner that the recent history in memory does not reach is served from the log on disk, or by a snapshot if
//! that does not go back far enough. From NEWLEADER on it gets every proposal, whether it has acknowledged or not.
//! The leader's side is here, the learner's in `catching_up`.

use std::sync::Arc;

use super::events::Action;
use super::history::is_chain;
use super::leader::{FollowerStage, Stage};
use super::member::{Member, Phase};
use super::messages::Message;
use super::planted::planted;
use super::types::{LinkId, MemberId, Role, Txn};
use crate::Zxid;

impl Member {
    /// Finds out what a learner misses, and begins to send it.
    pub(super) fn synchronize(&mut self, peer: MemberId, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        // Before the epoch is established, the tree may be behind what the learner has thrown away of its log. Its log
        // is sound; it counts, and comes back for the tree.
        let wants_snapshot = follower.wants_snapshot && leader.stage == Stage::Broadcast;
        match self.history.common(follower.last) {
            None if wants_snapshot => self.send_snapshot(peer, None, out),
            None => {
                follower.stage = FollowerStage::Reading;
                let (link, after, up_to) = (follower.link, follower.last, self.history.base());
                out.push(Action::ReadHistory { link, after, up_to });
            }
            Some(common) if wants_snapshot => self.send_snapshot(peer, Some(common), out),
            Some(common) => {
                self.begin_difference(peer, common, out);
                self.finish(peer, out);
            }
        }
    }

    /// The learner keeps what is common, and loses what this leader's history does not have.
    fn begin_difference(&mut self, peer: MemberId, common: Zxid, out: &mut Vec<Action>) {
        let truncate_to = self.cut_of(peer, common);
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        follower.send(
            peer,
            Message::Synchronize {
                truncate_to,
                snapshot: false,
            },
            out,
        );
        follower.begun = true;
        follower.last = common;
        follower.sent = common;
    }

    fn cut_of(&self, peer: MemberId, common: Zxid) -> Option<Zxid> {
        let Phase::Leading(leader) = &self.phase else {
            return None;
        };
        let last = leader.followers.get(&peer)?.last;
        if planted!(self, NoTruncation) {
            return None;
        }
        (common != last).then_some(common)
    }

    /// Sends the tree. With a common place the learner keeps its log, and only its tree is made anew.
    fn send_snapshot(&mut self, peer: MemberId, common: Option<Zxid>, out: &mut Vec<Action>) {
        let truncate_to = common.and_then(|common| self.cut_of(peer, common));
        // A snapshot from before the beginning of the log that is kept would be of no use.
        let kept = common.unwrap_or_default().min(self.committed);
        let at_least = self.delivered.max(kept);
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        follower.stage = FollowerStage::Snapshotting;
        follower.begun = true;
        follower.sent = common.unwrap_or_default();
        follower.send(
            peer,
            Message::Synchronize {
                truncate_to,
                snapshot: true,
            },
            out,
        );
        out.push(Action::SendSnapshot {
            link: follower.link,
            to: peer,
            at_least,
        });
    }

    /// The log was read for a learner.
    pub(super) fn history_read(
        &mut self,
        link: LinkId,
        common: Zxid,
        txns: Vec<Txn>,
        out: &mut Vec<Action>,
    ) {
        let Some(peer) = self.follower_on(link, FollowerStage::Reading) else {
            return;
        };
        debug_assert!(is_chain(common, &txns), "a log with a hole was read");
        if txns.is_empty() && common < self.history.base() {
            return self.history_missing(link, out);
        }
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        if !follower.begun {
            self.begin_difference(peer, common, out);
        } else if follower.sent != common {
            return self.drop_follower(peer, out);
        }
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        for txns in txns.chunks(self.settings.batch_max) {
            let (previous, txns) = (follower.sent, txns.to_vec());
            follower.sent = txns.last().map_or(previous, |txn| txn.zxid);
            follower.send(peer, Message::Propose { previous, txns }, out);
        }
        self.finish(peer, out);
    }

    /// The log does not go back to where a learner is.
    pub(super) fn history_missing(&mut self, link: LinkId, out: &mut Vec<Action>) {
        let Some(peer) = self.follower_on(link, FollowerStage::Reading) else {
            return;
        };
        let Phase::Leading(leader) = &self.phase else {
            return;
        };
        if leader.followers.get(&peer).is_some_and(|f| f.begun) {
            self.drop_follower(peer, out);
        } else {
            self.send_snapshot(peer, None, out);
        }
    }

    pub(super) fn snapshot_progress(&mut self, link: LinkId) {
        let now_ms = self.now_ms;
        let deadline_ms = now_ms.saturating_add(self.settings.init_limit_ms);
        match &mut self.phase {
            Phase::Learning(learner) if learner.link == link => {
                learner.heard_at_ms = now_ms;
                learner.deadline_ms = deadline_ms;
            }
            Phase::Leading(leader) => {
                leader.deadline_ms = deadline_ms;
                if let Some(follower) = leader.followers.values_mut().find(|f| f.link == link) {
                    follower.heard_at_ms = now_ms;
                }
            }
            _ => {}
        }
    }

    /// All of the snapshot is on its way; what follows it comes next.
    pub(super) fn snapshot_sent(&mut self, link: LinkId, zxid: Zxid, out: &mut Vec<Action>) {
        let Some(peer) = self.follower_on(link, FollowerStage::Snapshotting) else {
            return;
        };
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        follower.sent = follower.sent.max(zxid);
        self.finish(peer, out);
    }

    /// Sends what follows in memory, and NEWLEADER. Meanwhile the recent history may have moved on: then the log is
    /// read again.
    fn finish(&mut self, peer: MemberId, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        let last = self.history.last();
        if follower.sent < self.history.base() {
            follower.stage = FollowerStage::Reading;
            let (link, after, up_to) = (follower.link, follower.sent, self.history.base());
            out.push(Action::ReadHistory { link, after, up_to });
            return;
        }
        while follower.sent < last {
            let previous = follower.sent;
            let txns = self.history.slice(previous, last, self.settings.batch_max);
            follower.sent = txns.last().map_or(last, |txn| txn.zxid);
            follower.send(peer, Message::Propose { previous, txns }, out);
        }
        follower.stage = FollowerStage::Told;
        let config = Arc::clone(&self.membership.committed);
        follower.send(
            peer,
            Message::NewLeader {
                epoch: leader.epoch,
                last,
                config,
            },
            out,
        );
    }

    /// A learner has this leader's history on disk.
    pub(super) fn ack_new_leader(
        &mut self,
        from: MemberId,
        epoch: u32,
        last: Zxid,
        out: &mut Vec<Action>,
    ) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&from) else {
            return;
        };
        if epoch != leader.epoch || follower.stage != FollowerStage::Told {
            return;
        }
        if last > self.history.last() && !planted!(self, NoTruncation) {
            return self.drop_follower(from, out);
        }
        follower.stage = FollowerStage::Active;
        follower.acked = last;
        let heal = follower.amnesiac && !follower.heals && self.membership.is_voter(from);
        if !leader.is_established() {
            return self.try_establish(out);
        }
        self.tell_up_to_date(from, out);
        self.try_commit(out);
        if heal {
            self.renew(out);
        }
    }

    /// As soon as a quorum has the history, it is committed, and the epoch is established.
    pub(super) fn try_establish(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &self.phase else {
            return;
        };
        let own = leader.is_ready(self.tokens.durable);
        if leader.stage != Stage::Synchronization
            || !self.has_quorum(own, |f| f.counts_from(FollowerStage::Active))
        {
            return;
        }
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        leader.stage = Stage::Broadcast;
        let now_ms = self.now_ms;
        let active = leader
            .followers
            .iter_mut()
            .filter(|(_, f)| f.stage == FollowerStage::Active);
        let active = active.map(|(peer, follower)| {
            follower.heard_at_ms = now_ms;
            *peer
        });
        let active: Vec<MemberId> = active.collect();
        self.commit_as_leader(self.history.last(), out);
        for peer in active {
            self.tell_up_to_date(peer, out);
        }
        if matches!(self.phase, Phase::Leading(_)) {
            self.set_role(Role::Leading, out);
            self.notify_all(false, out);
        }
    }

    fn tell_up_to_date(&mut self, peer: MemberId, out: &mut Vec<Action>) {
        let digest = self.digests.newest();
        let committed = if planted!(self, UpToDateTellsTooMuch) {
            self.history.last()
        } else {
            self.committed
        };
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        follower.told_committed = committed;
        follower.send(peer, Message::UpToDate { committed, digest }, out);
    }
}
