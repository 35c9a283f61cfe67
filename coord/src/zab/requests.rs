//! Requests of clients: forwarded writes, refusals, and reads that must be fresh.
//!
//! A read is made fresh by asking the leader for its last commit, which the leader gives only when a quorum has
//! answered a ping that was sent after the question: a leader that was deposed meanwhile never gets that quorum.
//! (ZooKeeper's own `sync` does without: ZOOKEEPER-1675.) One ping serves all questions that came before it.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::events::Action;
use super::leader::{FollowerStage, PendingSync};
use super::member::{Member, Phase};
use super::messages::Message;
use super::planted::planted;
use super::types::{MemberId, NotProposed};
use crate::Zxid;

/// Touches kept for the next pong; a leader that does not ping is not the leader for long.
const TOUCHES_MAX: usize = 64;

/// What this member's clients wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    /// Reads that the leader was asked about.
    asked: BTreeSet<u64>,
    /// Reads that wait for the tree to get there.
    answered: Vec<(Zxid, u64)>,
    /// Refusals that hold on a history this member's tree does not show yet.
    refusals: Vec<(Zxid, u64, Bytes)>,
}

impl Waiting {
    pub(super) fn answered(
        &mut self,
        request: u64,
        zxid: Zxid,
        delivered: Zxid,
        out: &mut Vec<Action>,
    ) {
        if self.asked.remove(&request) {
            self.answered.push((zxid, request));
            self.delivered(delivered, out);
        }
    }

    pub(super) fn refused(
        &mut self,
        request: u64,
        after: Zxid,
        reason: Bytes,
        delivered: Zxid,
        out: &mut Vec<Action>,
    ) {
        self.refusals.push((after, request, reason));
        self.delivered(delivered, out);
    }

    /// The tree is to show everything up to here.
    pub(super) fn delivered(&mut self, up_to: Zxid, out: &mut Vec<Action>) {
        self.answered.retain(|(zxid, request)| {
            let done = *zxid <= up_to;
            if done {
                out.push(Action::Synced { request: *request });
            }
            !done
        });
        self.refusals.retain(|(after, request, reason)| {
            let done = *after <= up_to;
            if done {
                out.push(Action::Refusal {
                    request: *request,
                    reason: reason.clone(),
                });
            }
            !done
        });
    }

    /// The leader is gone.
    pub(super) fn give_up(&mut self, out: &mut Vec<Action>) {
        let syncs = std::mem::take(&mut self.asked).into_iter();
        let answered = self.answered.drain(..).map(|(_, request)| request);
        out.extend(
            syncs
                .chain(answered)
                .map(|request| Action::SyncFailed { request }),
        );
        let refused = self.refusals.drain(..);
        out.extend(refused.map(|(_, request, _)| Action::NotProposed {
            request,
            reason: NotProposed::NoLeader,
        }));
    }
}

impl Member {
    pub(super) fn request(&mut self, request: u64, bytes: Bytes, out: &mut Vec<Action>) {
        if self.is_serving() {
            self.to_leader(Message::Request { request, bytes }, None, out);
        } else {
            self.execute(self.id, request, bytes, out);
        }
    }

    pub(super) fn execute(
        &mut self,
        origin: MemberId,
        request: u64,
        bytes: Bytes,
        out: &mut Vec<Action>,
    ) {
        match &self.phase {
            Phase::Leading(leader) if leader.is_established() => out.push(Action::Execute {
                origin,
                request,
                bytes,
            }),
            Phase::Leading(_) => self.not_proposed(origin, request, NotProposed::EpochEnds, out),
            _ => self.not_proposed(origin, request, NotProposed::NoLeader, out),
        }
    }

    fn to_origin(&self, origin: MemberId, message: Message, out: &mut Vec<Action>) {
        if let Phase::Leading(leader) = &self.phase
            && let Some(follower) = leader.followers.get(&origin)
        {
            follower.send(origin, message, out);
        }
    }

    pub(super) fn not_proposed(
        &self,
        origin: MemberId,
        request: u64,
        reason: NotProposed,
        out: &mut Vec<Action>,
    ) {
        if origin == self.id {
            out.push(Action::NotProposed { request, reason });
        } else {
            self.to_origin(origin, Message::NotProposed { request, reason }, out);
        }
    }

    /// The leader's shell refuses a request, as the proposals so far leave the tree.
    pub(super) fn refuse(
        &mut self,
        origin: MemberId,
        request: u64,
        reason: Bytes,
        out: &mut Vec<Action>,
    ) {
        let after = self.history.last();
        if !matches!(&self.phase, Phase::Leading(leader) if leader.is_established()) {
            self.not_proposed(origin, request, NotProposed::NoLeader, out);
        } else if origin == self.id {
            self.waiting
                .refused(request, after, reason, self.delivered, out);
        } else {
            self.to_origin(
                origin,
                Message::Refusal {
                    request,
                    after,
                    reason,
                },
                out,
            );
        }
    }

    pub(super) fn sync(&mut self, request: u64, out: &mut Vec<Action>) {
        if self.is_serving() {
            self.waiting.asked.insert(request);
            self.to_leader(Message::Sync { request }, None, out);
        } else if matches!(&self.phase, Phase::Leading(leader) if leader.is_established()) {
            self.waiting.asked.insert(request);
            self.begin_sync(self.id, request, out);
        } else {
            out.push(Action::SyncFailed { request });
        }
    }

    /// A read wants to know how far the history is committed, and that this member leads now.
    pub(super) fn begin_sync(&mut self, origin: MemberId, request: u64, out: &mut Vec<Action>) {
        let zxid = self.committed;
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        if !leader.is_established() {
            return;
        }
        // A ping that is under way for other reads was sent before this question, so it cannot answer it.
        let idle = leader.syncs.is_empty();
        leader.syncs.push_back(PendingSync {
            origin,
            request,
            zxid,
            seq: leader.ping_seq + 1,
        });
        if idle {
            self.ping(out);
        }
        self.confirm_syncs(out);
    }

    pub(super) fn ping(&mut self, out: &mut Vec<Action>) {
        let digest = self.digests.newest();
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        leader.ping_seq += 1;
        leader.pings_at_ms = self.now_ms.saturating_add(self.settings.ping_ms);
        let seq = leader.ping_seq;
        for (peer, follower) in &leader.followers {
            if follower.stage >= FollowerStage::Promised {
                follower.send(*peer, Message::Ping { seq, digest }, out);
            }
        }
    }

    /// Answers the reads whose ping a quorum has answered.
    pub(super) fn confirm_syncs(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        if leader.syncs.is_empty() {
            return;
        }
        let id = self.id;
        let followers = &leader.followers;
        let heard = |voter: MemberId| {
            let follower = followers
                .get(&voter)
                .filter(|f| f.counts_from(FollowerStage::Active));
            if voter == id {
                u64::MAX
            } else {
                follower.map_or(0, |f| f.pong)
            }
        };
        let mut confirmed = self.membership.agreed(heard).min(leader.ping_seq);
        if planted!(self, SyncWithoutQuorum) {
            confirmed = u64::MAX;
        }
        let count = leader
            .syncs
            .iter()
            .take_while(|sync| sync.seq <= confirmed)
            .count();
        let done: Vec<PendingSync> = leader.syncs.drain(..count).collect();
        let another = leader
            .syncs
            .front()
            .is_some_and(|sync| sync.seq > leader.ping_seq);
        for PendingSync {
            origin,
            request,
            zxid,
            ..
        } in done
        {
            if origin == self.id {
                self.waiting.answered(request, zxid, self.delivered, out);
            } else {
                self.to_origin(origin, Message::SyncReply { request, zxid }, out);
            }
        }
        if another {
            self.ping(out);
        }
    }

    pub(super) fn touch(&mut self, touches: Bytes) {
        if self.touches.len() == TOUCHES_MAX {
            self.touches.remove(0);
        }
        self.touches.push(touches);
    }
}
