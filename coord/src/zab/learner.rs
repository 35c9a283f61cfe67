//! What a member with a leader knows of it: followers and observers alike.

use super::events::Action;
use super::member::{Member, Phase};
use super::messages::Message;
use super::types::{LinkId, MemberId, Role, Token};

/// How far a learner has come with its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LearnerStage {
    /// Has said how it stands.
    Informed,
    /// Has promised the epoch.
    Promised,
    /// Takes in what it misses.
    Synchronizing,
    AwaitingSnapshot,
    /// Has it all, and has said so (or will, as soon as it is on disk).
    Synchronized,
    /// Serves its clients.
    Serving,
}

/// A member that has turned to a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Learner {
    pub(super) leader: MemberId,
    pub(super) link: LinkId,
    pub(super) stage: LearnerStage,
    pub(super) epoch: u32,
    /// This member's amnesia ends with this synchronization.
    pub(super) heals: bool,
    pub(super) heard_at_ms: u64,
    /// Before it serves.
    pub(super) deadline_ms: u64,
    /// When it says again that it is here, as long as there is no answer.
    pub(super) repeats_at_ms: u64,
    /// A cut of the log or a snapshot that has taken the place of what was in memory. Until it is durable, nobody
    /// knows what the disk would have after a crash.
    pub(super) disturbed: Option<Token>,
}

impl Member {
    /// Turns to a leader.
    pub(super) fn follow(&mut self, leader: MemberId, link: LinkId, out: &mut Vec<Action>) {
        let turned_to = matches!(self.phase, Phase::Looking(_));
        self.phase = Phase::Learning(Learner {
            leader,
            link,
            stage: LearnerStage::Informed,
            epoch: 0,
            heals: false,
            heard_at_ms: self.now_ms,
            deadline_ms: self.now_ms.saturating_add(self.settings.init_limit_ms),
            repeats_at_ms: self.now_ms.saturating_add(self.settings.notify_ms),
            disturbed: None,
        });
        if turned_to {
            // Who has turned to this member in vain need not wait.
            self.notify_all(false, out);
        }
        self.inform(out);
    }

    pub(super) fn to_leader(&self, message: Message, after: Option<Token>, out: &mut Vec<Action>) {
        if let Phase::Learning(learner) = &self.phase {
            out.push(Action::Send {
                link: learner.link,
                to: learner.leader,
                message,
                after,
            });
        }
    }

    pub(super) fn hear_leader(&mut self, message: Message, out: &mut Vec<Action>) {
        let now_ms = self.now_ms;
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        learner.heard_at_ms = now_ms;
        match message {
            Message::LeaderInfo { epoch, heals } => self.leader_info(epoch, heals, out),
            Message::Synchronize {
                truncate_to,
                snapshot,
            } => self.synchronize_to(truncate_to, snapshot, out),
            Message::NewLeader {
                epoch,
                last,
                config,
            } => self.new_leader(epoch, last, &config, out),
            Message::UpToDate { committed, digest } => self.up_to_date(committed, digest, out),
            Message::Propose { previous, txns } => {
                self.proposed(previous, txns, out);
            }
            Message::Inform { previous, txns } => self.informed(previous, txns, out),
            Message::Commit { up_to } => self.told_committed(up_to, out),
            Message::Ping { seq, digest } => {
                let touches = std::mem::take(&mut self.touches);
                self.to_leader(Message::Pong { seq, touches }, None, out);
                if self.is_serving() {
                    self.expect(digest, out);
                }
            }
            Message::Renew => self.renewed(out),
            Message::Refusal {
                request,
                after,
                reason,
            } => {
                self.waiting
                    .refused(request, after, reason, self.delivered, out);
            }
            Message::NotProposed { request, reason } => {
                out.push(Action::NotProposed { request, reason });
            }
            Message::SyncReply { request, zxid } => {
                self.waiting.answered(request, zxid, self.delivered, out);
            }
            _ => {}
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(&self.phase, Phase::Learning(learner) if learner.stage == LearnerStage::Serving)
    }

    /// What a learner that serves is called.
    pub(super) fn learner_role(&self, leader: MemberId) -> Role {
        if self.membership.committed.is_voter(self.id) {
            Role::Following(leader)
        } else {
            Role::Observing(leader)
        }
    }

    pub(super) fn learner_durable(&mut self) {
        let durable = self.tokens.durable;
        if let Phase::Learning(learner) = &mut self.phase {
            learner.disturbed = learner.disturbed.filter(|token| *token > durable);
        }
    }

    pub(super) fn tick_learning(&mut self, out: &mut Vec<Action>) {
        let now_ms = self.now_ms;
        let settings = self.settings;
        let Phase::Learning(learner) = &mut self.phase else {
            return;
        };
        let is_over = if learner.stage == LearnerStage::Serving {
            now_ms.saturating_sub(learner.heard_at_ms) > settings.sync_limit_ms
        } else {
            learner.deadline_ms <= now_ms
        };
        if is_over {
            self.leave(out);
        } else if learner.stage == LearnerStage::Informed && learner.repeats_at_ms <= now_ms {
            learner.repeats_at_ms = now_ms.saturating_add(settings.notify_ms);
            self.inform(out);
        }
    }
}
