//! The way back to an election: what was ordered from the disk is waited for, and what is in doubt is read back.

use super::events::Action;
use super::learner::LearnerStage;
use super::member::{Member, Phase};
use super::types::Role;

impl Member {
    /// The disk is full. What was ordered is void, and only the disk knows what it holds.
    pub(super) fn refused(&mut self, out: &mut Vec<Action>) {
        out.push(Action::Resume);
        self.tokens.durable = self.tokens.issued;
        self.abstains_until_ms = self.now_ms.saturating_add(self.settings.room_retry_ms);
        self.leave_and_reload(out);
    }

    /// Ends with a sentence.
    pub(super) fn die(&mut self, sentence: String, out: &mut Vec<Action>) {
        self.phase = Phase::Dead;
        self.set_role(Role::Looking, out);
        out.push(Action::Fatal(sentence));
    }

    /// Goes looking, whatever the phase was.
    pub(super) fn leave(&mut self, out: &mut Vec<Action>) {
        let reload = match &self.phase {
            Phase::Learning(learner) => {
                learner.stage == LearnerStage::AwaitingSnapshot
                    || learner
                        .disturbed
                        .is_some_and(|token| token > self.tokens.durable)
            }
            Phase::Draining { reload } => *reload,
            _ => false,
        };
        self.step_down(reload, out);
    }

    pub(super) fn leave_and_reload(&mut self, out: &mut Vec<Action>) {
        self.step_down(true, out);
    }

    /// Links on which a leader and a learner have spoken are dropped: on a new one, nothing of the old reign follows.
    fn step_down(&mut self, reload: bool, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Reloading | Phase::Dead) {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Draining { reload }) {
            Phase::Learning(learner) => {
                if learner.stage == LearnerStage::AwaitingSnapshot {
                    out.push(Action::DiscardSnapshot { link: learner.link });
                }
                self.drop_link(learner.leader, learner.link, out);
            }
            Phase::Leading(leader) => {
                for (peer, follower) in &leader.followers {
                    self.drop_link(*peer, follower.link, out);
                }
            }
            _ => {}
        }
        self.waiting.give_up(out);
        self.set_role(Role::Looking, out);
        self.drained(out);
    }

    pub(super) fn drained(&mut self, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Draining { reload } if self.tokens.all_durable() => {
                if reload {
                    self.phase = Phase::Reloading;
                    out.push(Action::Reload);
                } else {
                    self.look(out);
                }
            }
            _ => {}
        }
    }
}
