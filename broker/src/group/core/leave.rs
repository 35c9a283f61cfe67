//! LeaveGroup, and the deletion of a whole group.

use protocol::error::ErrorCode;
use tracing::info;

use super::group::{Group, State};
use super::step::{Step, Then};
use super::{LeaveRequest, Leaver, Record, Reply, ReplyTo};

impl Group {
    pub(super) fn leave(&mut self, step: &mut Step<'_>, request: LeaveRequest, to: ReplyTo) {
        if self.state == State::Dead {
            return step.reply(to, Reply::Leave(Err(ErrorCode::CoordinatorNotAvailable)));
        }
        let codes: Vec<ErrorCode> = request
            .members
            .iter()
            .map(|leaver| self.leave_one(step, leaver))
            .collect();
        let token = match self.state {
            _ if !codes.contains(&ErrorCode::None) => None,
            State::Stable | State::CompletingRebalance { .. } => self.prepare_rebalance(step),
            State::PreparingRebalance { .. } => self.complete_if_all_joined(step),
            State::Empty | State::Dead => None,
        };
        step.reply_after(token, to, Reply::Leave(Ok(codes)));
    }

    fn leave_one(&mut self, step: &mut Step<'_>, leaver: &Leaver) -> ErrorCode {
        let instance = leaver.group_instance_id.as_deref();
        let id = if leaver.member_id.is_empty() {
            let holder = instance.and_then(|instance| self.static_members.get(instance));
            let Some(holder) = holder else {
                return ErrorCode::UnknownMemberId;
            };
            holder.clone()
        } else if self.pending_joins.contains_key(&leaver.member_id) {
            leaver.member_id.clone()
        } else {
            if let Err(error) = self.check_member(&leaver.member_id, instance) {
                return error;
            }
            leaver.member_id.clone()
        };
        info!(group = self.id, member = id, "the member leaves");
        self.drop_member(step, &id);
        ErrorCode::None
    }

    /// Deletes a group without members, with all its offsets.
    pub(super) fn delete(&mut self, step: &mut Step<'_>, to: ReplyTo) {
        match self.state {
            State::Dead => step.reply(to, Reply::DeleteGroup(ErrorCode::GroupIdNotFound)),
            State::Empty => {
                let mut records = self.offset_tombstones(|_| true);
                records.push(Record::Group {
                    group: self.id.clone(),
                    value: None,
                });
                self.state = State::Dead;
                self.pending_joins.clear();
                let token = self.forget(step, records, Then::Delete);
                step.reply_after(Some(token), to, Reply::DeleteGroup(ErrorCode::None));
            }
            State::PreparingRebalance { .. }
            | State::CompletingRebalance { .. }
            | State::Stable => {
                step.reply(to, Reply::DeleteGroup(ErrorCode::NonEmptyGroup));
            }
        }
    }

    /// The last write of a deletion has ended; the shard removes what is dead. Where that write or
    /// one before it never reached the log, the group stays with what is left of it.
    pub(super) fn deleted(&mut self, placed: bool) -> Result<(), ErrorCode> {
        if placed && self.offsets.is_empty() {
            return Ok(());
        }
        self.state = State::Empty;
        Err(ErrorCode::CoordinatorNotAvailable)
    }
}
