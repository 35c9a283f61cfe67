//! SyncGroup and Heartbeat: the leader's assignment on its way to the members, and their signs of
//! life.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::Str;
use protocol::api::sync_group::SyncGroupResponse;
use protocol::error::ErrorCode;

use super::group::{Group, State};
use super::step::{Step, Then};
use super::{Record, Reply, ReplyTo, SyncRequest, Token};

impl Group {
    pub(super) fn sync(&mut self, step: &mut Step<'_>, request: SyncRequest, to: ReplyTo) {
        if let Err(error) = self.check_sync(&request) {
            return step.refuse_sync(to, error);
        }
        let id = request.member_id;
        match self.state {
            State::Empty => step.refuse_sync(to, ErrorCode::UnknownMemberId),
            State::Dead => step.refuse_sync(to, ErrorCode::CoordinatorNotAvailable),
            State::PreparingRebalance { .. } => {
                step.refuse_sync(to, ErrorCode::RebalanceInProgress);
            }
            State::Stable => {
                self.has_synced(&id);
                let assignment = self.members[&id].assignment.clone();
                step.reply(to, Reply::Sync(self.synced(assignment)));
            }
            State::CompletingRebalance { saving } => {
                let assignments: BTreeMap<String, Bytes> = request
                    .assignments
                    .into_iter()
                    .filter(|(id, _)| self.members.contains_key(id))
                    .collect();
                let bytes: usize = assignments.values().map(Bytes::len).sum();
                if bytes > step.config.group_metadata_bytes_max {
                    return step.refuse_sync(to, ErrorCode::InvalidRequest);
                }
                let earlier = self
                    .members
                    .get_mut(&id)
                    .and_then(|member| member.awaiting_sync.replace(to));
                if let Some(earlier) = earlier {
                    step.refuse_sync(earlier, ErrorCode::RebalanceInProgress);
                }
                self.has_synced(&id);
                // What is written is what will be: a leader that repeats itself waits for its first
                // word.
                if self.is_leader(&id) && saving.is_none() {
                    let value = Some(self.record(Some(&assignments)));
                    let record = Record::Group {
                        group: self.id.clone(),
                        value,
                    };
                    let token = self.append(step, vec![record], Then::Stabilise { assignments });
                    self.state = State::CompletingRebalance {
                        saving: Some(token),
                    };
                }
            }
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |theirs: &Option<String>, ours: &Option<String>| {
            theirs.is_some() && ours.is_some() && theirs != ours
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn has_synced(&mut self, id: &str) {
        self.pending_syncs.remove(id);
        if self.pending_syncs.is_empty() {
            self.sync_deadline_ms = None;
        }
    }

    fn synced(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::None.code(),
            protocol_type: self.protocol_type.clone().map(Str::from),
            protocol_name: self.protocol_name.clone().map(Str::from),
            assignment,
        }
    }

    /// The write of a leader's assignment has ended. It counts if the group still waits for that
    /// very write.
    pub(super) fn stabilise(
        &mut self,
        step: &mut Step<'_>,
        token: Token,
        mut assignments: BTreeMap<String, Bytes>,
        result: Result<(), ErrorCode>,
    ) {
        if self.state
            != (State::CompletingRebalance {
                saving: Some(token),
            })
        {
            return;
        }
        if let Err(error) = result {
            self.reset_assignments(step, error);
            self.prepare_rebalance(step);
            return;
        }
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.answer_syncs(step, ErrorCode::None);
        self.enter(State::Stable, step.now.wall_ms);
    }

    /// Takes back what was assigned, and sends away the members that wait for it.
    pub(super) fn reset_assignments(&mut self, step: &mut Step<'_>, error: ErrorCode) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(step, error);
    }

    fn answer_syncs(&mut self, step: &mut Step<'_>, error: ErrorCode) {
        let fine = self.synced(Bytes::new());
        for member in self.members.values_mut() {
            let Some(to) = member.awaiting_sync.take() else {
                continue;
            };
            // Its session may have ended while it waited here.
            member.deadline_ms = Some(step.after_ms(member.session_timeout_ms));
            if error == ErrorCode::None {
                let assignment = member.assignment.clone();
                step.reply(
                    to,
                    Reply::Sync(SyncGroupResponse {
                        assignment,
                        ..fine.clone()
                    }),
                );
            } else {
                step.refuse_sync(to, error);
            }
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        step: &Step<'_>,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> ErrorCode {
        if self.state == State::Dead {
            return ErrorCode::CoordinatorNotAvailable;
        }
        if let Err(error) = self.check_member(member_id, instance) {
            return error;
        }
        if generation != self.generation {
            return ErrorCode::IllegalGeneration;
        }
        self.renew_session(step, member_id);
        if self.state.preparing() {
            ErrorCode::RebalanceInProgress
        } else {
            ErrorCode::None
        }
    }

    pub(super) fn renew_session(&mut self, step: &Step<'_>, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.deadline_ms = Some(step.after_ms(member.session_timeout_ms));
        }
    }
}
