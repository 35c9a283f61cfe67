//! Discovery: leader and learners agree on a new epoch.
//!
//! ```text
//! learner                                         leader
//!   FOLLOWERINFO(accepted epoch)        ─▶          a quorum: epoch = the greatest + 1, on disk
//!   accepted epoch on disk              ◀─        LEADERINFO(epoch)
//!   ACKEPOCH(current epoch, last zxid)  ─▶          a quorum, nobody newer than the leader: synchronization
//! ```

use super::events::Action;
use super::leader::{Follower, FollowerStage, Stage};
use super::learner::LearnerStage;
use super::member::{Member, Phase};
use super::messages::{FollowerInfo, Message};
use super::planted::planted;
use super::types::{LinkId, MemberId, Role};
use crate::Zxid;

impl Member {
    /// Says to the leader how this member stands.
    pub(super) fn inform(&self, out: &mut Vec<Action>) {
        let forgets = planted!(self, PromiseForgotten);
        let info = FollowerInfo {
            accepted_epoch: if forgets {
                self.current_epoch
            } else {
                self.accepted_epoch
            },
            amnesiac: self.amnesiac && !planted!(self, AmnesiacVotes),
            wants_snapshot: self.wants_snapshot,
        };
        self.to_leader(Message::FollowerInfo(info), None, out);
    }

    pub(super) fn follower_info(
        &mut self,
        from: MemberId,
        link: LinkId,
        info: FollowerInfo,
        out: &mut Vec<Action>,
    ) {
        let now_ms = self.now_ms;
        let leader = match &mut self.phase {
            Phase::Leading(leader) => leader,
            Phase::Looking(_) => return self.turned_to_early(from, link, info, out),
            _ => return self.notify(from, false, out),
        };
        // It has promised a newer epoch to somebody who did not come to lead. It could never follow this one; a new
        // epoch takes everybody in.
        if leader.stage != Stage::Discovery && info.accepted_epoch > leader.epoch {
            return self.leave(out);
        }
        match leader.followers.get_mut(&from) {
            Some(known) if known.link == link => {
                if known.stage > FollowerStage::Informed {
                    return;
                }
                let heals = known.heals;
                *known = Follower {
                    heals,
                    pong: known.pong,
                    ..Follower::new(link, info, now_ms)
                };
            }
            _ => {
                leader
                    .followers
                    .insert(from, Follower::new(link, info, now_ms));
            }
        }
        if leader.stage == Stage::Discovery {
            self.choose_epoch(out);
        } else {
            self.tell_epoch(from, out);
        }
    }

    /// As soon as a quorum has said what it has promised before, promises more than all of them.
    pub(super) fn choose_epoch(&mut self, out: &mut Vec<Action>) {
        if !matches!(&self.phase, Phase::Leading(leader) if leader.stage == Stage::Discovery)
            || !self.has_quorum(true, |f| f.counts_from(FollowerStage::Informed))
        {
            return;
        }
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let others = leader.followers.values().map(|f| f.accepted_epoch);
        let newest = others
            .chain([self.accepted_epoch])
            .max()
            .unwrap_or_default();
        let Some(epoch) = newest.checked_add(1) else {
            return self.die(
                "there is no epoch after the last: the ensemble must be made anew".to_owned(),
                out,
            );
        };
        self.accepted_epoch = epoch;
        let token = self.tokens.issue();
        out.push(Action::PersistAcceptedEpoch { epoch, token });
        leader.epoch = epoch;
        leader.stage = Stage::Promises;
        leader.token = Some(token);
        let mut informed = Vec::new();
        for (peer, follower) in &mut leader.followers {
            follower.heals = follower.amnesiac;
            if follower.stage == FollowerStage::Informed {
                informed.push(*peer);
            }
        }
        for peer in informed {
            self.tell_epoch(peer, out);
        }
    }

    fn tell_epoch(&self, peer: MemberId, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get(&peer) else {
            return;
        };
        let message = Message::LeaderInfo {
            epoch: leader.epoch,
            heals: follower.heals,
        };
        // The leader is one of its own quorum: it promises first.
        let after = leader.token.filter(|_| leader.stage == Stage::Promises);
        out.push(Action::Send {
            link: follower.link,
            to: peer,
            message,
            after,
        });
    }

    pub(super) fn leader_info(&mut self, epoch: u32, heals: bool, out: &mut Vec<Action>) {
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        if learner.stage != LearnerStage::Informed {
            return;
        }
        if epoch < self.accepted_epoch && !planted!(self, PromiseForgotten) {
            return self.leave(out);
        }
        learner.stage = LearnerStage::Promised;
        learner.epoch = epoch;
        learner.heals = heals;
        let counts = epoch > self.accepted_epoch || planted!(self, PromiseForgotten);
        let mut after = None;
        if counts {
            let token = self.tokens.issue();
            out.push(Action::PersistAcceptedEpoch { epoch, token });
            self.accepted_epoch = epoch;
            after = Some(token);
        }
        if planted!(self, PromiseBeforeFsync) {
            after = None;
        }
        let message = Message::AckEpoch {
            epoch,
            current_epoch: self.current_epoch,
            last: self.history.last(),
            counts,
        };
        self.to_leader(message, after, out);
    }

    pub(super) fn ack_epoch(
        &mut self,
        from: MemberId,
        epoch: u32,
        summary: (u32, Zxid),
        counts: bool,
        out: &mut Vec<Action>,
    ) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&from) else {
            return;
        };
        if leader.stage == Stage::Discovery
            || epoch != leader.epoch
            || follower.stage != FollowerStage::Informed
        {
            return;
        }
        // Every voter that this reign may come to stand on must have no more than the leader, also one that comes
        // after the first quorum: who acknowledges NEWLEADER need not be who promised first.
        let newer =
            summary > leader.summary && !follower.amnesiac && self.membership.is_voter(from);
        if newer && leader.stage < Stage::Broadcast && !planted!(self, NewerFollowerIgnored) {
            return self.leave(out);
        }
        follower.stage = FollowerStage::Promised;
        follower.last = summary.1;
        follower.counts = counts;
        if leader.stage == Stage::Promises {
            self.check_promises(out);
        } else {
            self.synchronize(from, out);
        }
    }

    /// As soon as a quorum has promised the epoch, begins to synchronize it.
    pub(super) fn check_promises(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &self.phase else {
            return;
        };
        let own = leader.is_ready(self.tokens.durable);
        if leader.stage != Stage::Promises
            || !self.has_quorum(own, |f| f.counts_from(FollowerStage::Promised) && f.counts)
        {
            return;
        }
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let epoch = leader.epoch;
        let token = self.tokens.issue();
        out.push(Action::PersistCurrentEpoch { epoch, token });
        self.current_epoch = epoch;
        leader.stage = Stage::Synchronization;
        leader.token = Some(token);
        let promised = leader
            .followers
            .iter()
            .filter(|(_, f)| f.stage == FollowerStage::Promised);
        let promised: Vec<MemberId> = promised.map(|(peer, _)| *peer).collect();
        for peer in promised {
            self.synchronize(peer, out);
        }
    }

    /// Begins a new epoch over the same links: the counter has come to its end, or a voter that has lost its disk
    /// needs an epoch that was chosen without it. No election is needed, as discovery sees to all that matters.
    pub(super) fn renew(&mut self, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        leader.stage = Stage::Discovery;
        leader.summary = (self.current_epoch, self.history.last());
        leader.token = None;
        leader.deadline_ms = self.now_ms.saturating_add(self.settings.init_limit_ms);
        leader.syncs.clear();
        let mut unfinished = Vec::new();
        for (peer, follower) in &mut leader.followers {
            if follower.stage == FollowerStage::Active {
                follower.stage = FollowerStage::Known;
                follower.send(*peer, Message::Renew, out);
            } else {
                unfinished.push(*peer);
            }
        }
        for peer in unfinished {
            self.drop_follower(peer, out);
        }
        self.waiting.give_up(out);
        self.set_role(Role::Looking, out);
        self.choose_epoch(out);
    }

    /// The leader begins a new epoch.
    pub(super) fn renewed(&mut self, out: &mut Vec<Action>) {
        let Phase::Learning(learner) = &self.phase else {
            return;
        };
        if learner.stage < LearnerStage::Synchronized {
            return self.leave(out);
        }
        let (leader, link) = (learner.leader, learner.link);
        self.waiting.give_up(out);
        self.set_role(Role::Looking, out);
        self.follow(leader, link, out);
    }
}
