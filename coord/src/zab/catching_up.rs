//! Synchronization, the learner's side: the log is cut, or the tree replaced, as the leader says; what is missing
//! comes as proposals; and when all of it is on disk, the leader's epoch becomes the current one.

use std::sync::Arc;

use super::digests::Digests;
use super::events::Action;
use super::learner::LearnerStage;
use super::member::{Member, Phase};
use super::membership::Config;
use super::messages::Message;
use super::planted::planted;
use super::types::{Digest, LinkId, Token};
use crate::Zxid;

impl Member {
    /// The leader says how the synchronization begins.
    pub(super) fn synchronize_to(
        &mut self,
        truncate_to: Option<Zxid>,
        snapshot: bool,
        out: &mut Vec<Action>,
    ) {
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        if learner.stage != LearnerStage::Promised {
            return self.leave(out);
        }
        learner.stage = if snapshot {
            LearnerStage::AwaitingSnapshot
        } else {
            LearnerStage::Synchronizing
        };
        if planted!(self, CurrentEpochBeforeHistory) {
            let epoch = learner.epoch;
            self.enter_epoch(epoch, out);
        }
        let Some(to) = truncate_to else { return };
        if to >= self.history.last() {
            return self.leave(out);
        }
        if to < self.committed.min(self.history.last()) {
            let committed = self.committed;
            return self.die(
                format!(
                    "the leader would cut the log to {to}, but it is committed up to {committed}"
                ),
                out,
            );
        }
        if self.history.common(to).is_some_and(|common| common != to) {
            self.wants_snapshot = true;
            return self.leave(out);
        }
        let token = self.tokens.issue();
        out.push(Action::Truncate { to, token });
        self.history.truncate(to);
        if let Phase::Learning(learner) = &mut self.phase {
            learner.disturbed = Some(token);
        }
        if self.membership.cut(to) {
            self.config_changed(out);
        }
    }

    fn enter_epoch(&mut self, epoch: u32, out: &mut Vec<Action>) -> Token {
        let token = self.tokens.issue();
        out.push(Action::PersistCurrentEpoch { epoch, token });
        self.current_epoch = epoch;
        token
    }

    /// A snapshot has come in whole.
    pub(super) fn snapshot_received(
        &mut self,
        link: LinkId,
        zxid: Zxid,
        config: &Arc<Config>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        if learner.link != link || learner.stage != LearnerStage::AwaitingSnapshot {
            return;
        }
        // A log that reaches beyond the snapshot is this member's word for what it has acknowledged: it stays.
        let keep_log = zxid <= self.history.last();
        let token = self.tokens.issue();
        out.push(Action::InstallSnapshot {
            link,
            zxid,
            keep_log,
            token,
        });
        learner.stage = LearnerStage::Synchronizing;
        learner.disturbed = Some(token);
        self.wants_snapshot = false;
        self.digests = Digests::default();
        self.delivered = zxid;
        let mut changed = self.membership.learn(config);
        if keep_log {
            self.history.redeliver(zxid, token);
        } else {
            changed |= self.membership.cut(zxid);
            self.history.reset(zxid, token);
        }
        self.commit(zxid, out);
        if changed {
            self.config_changed(out);
        }
    }

    /// NEWLEADER: everything has come. It is on its way to the disk already, so the epoch comes to the disk after it,
    /// and the acknowledgement leaves after both.
    pub(super) fn new_leader(
        &mut self,
        epoch: u32,
        last: Zxid,
        config: &Arc<Config>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        let complete = self.history.last() == last
            || planted!(self, GapAccepted)
            || planted!(self, NoTruncation);
        if learner.stage != LearnerStage::Synchronizing || epoch != learner.epoch || !complete {
            return self.leave(out);
        }
        learner.stage = LearnerStage::Synchronized;
        let token = self.enter_epoch(epoch, out);
        if self.membership.learn(config) {
            self.config_changed(out);
        }
        let last = self.history.last();
        let after = if planted!(self, NewLeaderAckBeforeFsync) {
            None
        } else {
            Some(token)
        };
        self.to_leader(Message::AckNewLeader { epoch, last }, after, out);
    }

    /// UPTODATE: a quorum has what this member has.
    pub(super) fn up_to_date(
        &mut self,
        committed: Zxid,
        digest: Option<Digest>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        // With a tree that has diverged it must not serve; now the leader can give it another.
        if learner.stage != LearnerStage::Synchronized || self.wants_snapshot {
            return self.leave(out);
        }
        learner.stage = LearnerStage::Serving;
        let (leader, heals) = (learner.leader, learner.heals);
        if self.amnesiac && heals {
            let token = self.tokens.issue();
            out.push(Action::ClearAmnesia { token });
            self.amnesiac = false;
            self.to_leader(Message::Healed, Some(token), out);
        }
        self.expect(digest, out);
        if self.is_serving() {
            self.commit(committed, out);
            self.set_role(self.learner_role(leader), out);
        }
    }
}
