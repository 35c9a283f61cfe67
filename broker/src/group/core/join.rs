//! JoinGroup: who may be a member, and what the arrival of each kind of member does to the group.

use protocol::Str;
use protocol::api::join_group::JoinGroupResponse;
use protocol::error::ErrorCode;

use super::config::{ID_BYTES_MAX, PROTOCOLS_MAX};
use super::group::{Group, Member, State};
use super::step::{Replaced, Step, Then};
use super::{Config, JoinRequest, Record, ReplyTo};

/// What can be said of a request without looking at its group.
pub(super) fn check(request: &JoinRequest, config: &Config) -> Result<(), ErrorCode> {
    if request.group.is_empty() || request.group.len() > ID_BYTES_MAX {
        return Err(ErrorCode::InvalidGroupId);
    }
    let sessions = config.session_timeout_ms_min..=config.session_timeout_ms_max;
    if !sessions.contains(&request.session_timeout_ms) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    let mut ids = [&request.member_id, &request.protocol_type]
        .into_iter()
        .chain(&request.group_instance_id)
        .chain(request.protocols.iter().map(|(name, _)| name));
    if request.protocols.len() > PROTOCOLS_MAX || ids.any(|id| id.len() > ID_BYTES_MAX) {
        return Err(ErrorCode::InvalidRequest);
    }
    if metadata_bytes(request) > config.member_metadata_bytes_max {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}

fn metadata_bytes(request: &JoinRequest) -> usize {
    request
        .protocols
        .iter()
        .map(|(name, metadata)| name.len() + metadata.len())
        .sum()
}

impl Group {
    pub(super) fn join(&mut self, step: &mut Step<'_>, request: JoinRequest, to: ReplyTo) {
        let member_id = request.member_id.clone();
        if self.state == State::Dead {
            return step.refuse_join(to, member_id, ErrorCode::CoordinatorNotAvailable);
        }
        if !self.has_room_for(step.config, &request) {
            let was_member = self.members.contains_key(&member_id);
            self.drop_member(step, &member_id);
            step.refuse_join(to, "", ErrorCode::GroupMaxSizeReached);
            if was_member {
                // It grew past the group's bytes, whatever the group's state.
                self.rebalance_or_complete(step);
            } else {
                self.complete_if_all_joined(step);
            }
            return;
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return step.refuse_join(to, member_id, ErrorCode::InconsistentGroupProtocol);
        }
        if member_id.is_empty() {
            self.join_new(step, request, to);
        } else if request.group_instance_id.is_none() && self.pending_joins.contains_key(&member_id)
        {
            self.add_and_rebalance(step, request, member_id, to);
        } else {
            self.join_again(step, request, to);
        }
    }

    /// Kafka's rule for `group.max.size`: whoever waits already stays; in a rebalance the last to
    /// come are left out. The same error guards the group's bytes.
    fn has_room_for(&self, config: &Config, request: &JoinRequest) -> bool {
        let known = self.members.get(&request.member_id);
        let others = self.metadata_bytes() - known.map_or(0, Member::metadata_bytes);
        if others + metadata_bytes(request) > config.group_metadata_bytes_max {
            return false;
        }
        let max = config.group_members_max;
        match self.state {
            State::Empty | State::Dead => {
                self.pending_joins.contains_key(&request.member_id)
                    || self.pending_joins.len() < max
            }
            State::PreparingRebalance { .. } => {
                known.is_some_and(|member| member.awaiting_join.is_some())
                    || self.joins_waiting() < max
            }
            State::CompletingRebalance { .. } | State::Stable => {
                known.is_some() || self.members.len() < max
            }
        }
    }

    fn join_new(&mut self, step: &mut Step<'_>, request: JoinRequest, to: ReplyTo) {
        let prefix = request
            .group_instance_id
            .as_deref()
            .unwrap_or(&request.client_id);
        let new_id = format!("{prefix}-{}", request.new_id);
        if let Some(instance) = &request.group_instance_id {
            match self.static_members.get(instance).cloned() {
                Some(old_id) => self.replace_static_member(step, request, &old_id, new_id, to),
                None => self.add_and_rebalance(step, request, new_id, to),
            }
        } else if request.member_id_required {
            if self.pending_joins.len() >= step.config.group_members_max {
                return step.refuse_join(to, "", ErrorCode::GroupMaxSizeReached);
            }
            self.pending_joins
                .insert(new_id.clone(), step.after_ms(request.session_timeout_ms));
            step.refuse_join(to, new_id, ErrorCode::MemberIdRequired);
        } else {
            self.add_and_rebalance(step, request, new_id, to);
        }
    }

    fn join_again(&mut self, step: &mut Step<'_>, request: JoinRequest, to: ReplyTo) {
        let id = request.member_id.clone();
        if let Err(error) = self.check_member(&id, request.group_instance_id.as_deref()) {
            return step.refuse_join(to, id, error);
        }
        let same = self.members[&id].protocols == request.protocols;
        match self.state {
            State::PreparingRebalance { .. } => self.update_and_rebalance(step, request, to),
            // The answer to its first join may have been lost.
            State::CompletingRebalance { .. } if same => step.join(to, self.joined(&id)),
            // A leader joins again when something changed that metadata does not tell, such as a
            // topic's partitions.
            State::Stable if same && !self.is_leader(&id) => step.join(to, self.joined(&id)),
            State::CompletingRebalance { .. } | State::Stable => {
                self.update_and_rebalance(step, request, to);
            }
            State::Empty | State::Dead => step.refuse_join(to, id, ErrorCode::UnknownMemberId),
        }
    }

    /// The answer that makes someone a member of the present generation.
    pub(super) fn joined(&self, id: &str) -> JoinGroupResponse {
        JoinGroupResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::None.code(),
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone().map(Str::from),
            protocol_name: self.protocol_name.clone().map(Str::from),
            leader: self.leader.clone().unwrap_or_default().into(),
            skip_assignment: false,
            member_id: id.to_owned().into(),
            members: if self.is_leader(id) {
                self.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    fn add_and_rebalance(
        &mut self,
        step: &mut Step<'_>,
        request: JoinRequest,
        id: String,
        to: ReplyTo,
    ) {
        if let State::PreparingRebalance {
            first: Some(first), ..
        } = &mut self.state
        {
            first.grew = true;
        }
        let member = Member {
            group_instance_id: request.group_instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            is_new: true,
            deadline_ms: Some(step.after_ms(step.config.new_member_join_timeout_ms)),
            awaiting_join: Some(to),
            awaiting_sync: None,
        };
        self.add(id, member, &request.protocol_type);
        self.rebalance_or_complete(step);
    }

    fn update_and_rebalance(&mut self, step: &mut Step<'_>, request: JoinRequest, to: ReplyTo) {
        let id = request.member_id.clone();
        self.update(step, &id, request, to);
        self.rebalance_or_complete(step);
    }

    fn update(&mut self, step: &mut Step<'_>, id: &str, request: JoinRequest, to: ReplyTo) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        if let Some(earlier) = member.awaiting_join.replace(to) {
            // The client has given up on that request, or it would not have sent another.
            step.refuse_join(earlier, id, ErrorCode::RebalanceInProgress);
        }
    }

    /// A static member came back under no id: its former self is fenced, its assignment stays with
    /// it.
    fn replace_static_member(
        &mut self,
        step: &mut Step<'_>,
        request: JoinRequest,
        old_id: &str,
        new_id: String,
        to: ReplyTo,
    ) {
        let Some(old) = self.members.get(old_id).cloned() else {
            return step.refuse_join(to, "", ErrorCode::UnknownMemberId);
        };
        if let Some(waiting) = old.awaiting_join {
            step.refuse_join(waiting, old_id, ErrorCode::FencedInstanceId);
        }
        if let Some(waiting) = old.awaiting_sync {
            step.refuse_sync(waiting, ErrorCode::FencedInstanceId);
        }
        let old = Member {
            awaiting_join: None,
            awaiting_sync: None,
            ..old
        };
        let was_led_by = self.leader.clone();
        let renewed = Member {
            is_new: false,
            deadline_ms: Some(step.after_ms(old.session_timeout_ms)),
            ..old.clone()
        };
        self.rename(old_id, &new_id, renewed);
        let can_skip_assignment = request.can_skip_assignment;
        self.update(step, &new_id, request, to);

        match self.state {
            State::Stable if self.select_protocol() == self.protocol_name => {
                let record = Record::Group {
                    group: self.id.clone(),
                    value: Some(self.record(None)),
                };
                let old = Box::new(old);
                let replaced = Replaced {
                    member_id: new_id,
                    old_id: old_id.to_owned(),
                    old,
                    can_skip_assignment,
                    was_led_by,
                };
                self.append(step, vec![record], Then::Replace(replaced));
            }
            State::Stable => {
                self.rebalance_or_complete(step);
            }
            // The leader may be assigning to the old id at this moment, so nothing less than a new
            // generation will do.
            State::CompletingRebalance { .. } => {
                self.prepare_rebalance(step);
            }
            _ => {
                self.complete_if_all_joined(step);
            }
        }
    }

    /// The write of a static member's new id has ended.
    pub(super) fn replaced(
        &mut self,
        step: &mut Step<'_>,
        replaced: Replaced,
        result: Result<(), ErrorCode>,
    ) {
        let Replaced {
            member_id,
            old_id,
            old,
            can_skip_assignment,
            was_led_by,
        } = replaced;
        // If a rebalance has begun meanwhile, the member joins by that.
        if self.state != State::Stable {
            return;
        }
        let Some(member) = self.members.get_mut(&member_id) else {
            return;
        };
        let Some(to) = member.awaiting_join.take() else {
            return;
        };
        // Its session may have ended while it waited for the log.
        member.deadline_ms = Some(step.after_ms(member.session_timeout_ms));
        match result {
            Ok(()) if can_skip_assignment => {
                let skip_assignment = self.is_leader(&member_id);
                step.join(
                    to,
                    JoinGroupResponse {
                        skip_assignment,
                        ..self.joined(&member_id)
                    },
                );
            }
            // Told that it leads, an old client would assign anew. So it is told of the leader as
            // it was, who is gone.
            Ok(()) => {
                let leader = was_led_by.unwrap_or_default().into();
                step.join(
                    to,
                    JoinGroupResponse {
                        leader,
                        members: Vec::new(),
                        ..self.joined(&member_id)
                    },
                );
            }
            Err(error) => {
                let deadline_ms = Some(step.after_ms(old.session_timeout_ms));
                self.rename(
                    &member_id,
                    &old_id,
                    Member {
                        deadline_ms,
                        ..*old
                    },
                );
                step.refuse_join(to, "", error);
            }
        }
    }
}
