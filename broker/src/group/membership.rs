//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup: from the wire's types to the core and back.
//! Whatever outlives a request is copied out of its frame here.

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::Str;
use protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};
use protocol::api::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};
use protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use protocol::error::ErrorCode;
use uuid::Uuid;

use super::core::{
    Event, JoinRequest, LeaveRequest, Leaver, Reply, SyncRequest, refused_join, refused_sync,
};
use super::{GroupCoordinator, OffsetsLog};

/// The longest part of a client id that becomes part of member ids, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 1024;

impl<L: OffsetsLog> GroupCoordinator<L> {
    /// JoinGroup; waits until the group's next generation begins. `client_host` is Kafka's form of
    /// an address, `/1.2.3.4`.
    pub(crate) async fn join(
        &self,
        version: i16,
        client_id: &str,
        client_host: &str,
        request: JoinGroupRequest,
    ) -> JoinGroupResponse {
        let request = join_request(version, client_id, client_host, &request);
        let (group, member_id) = (request.group.clone(), request.member_id.clone());
        let mut response = match self.ask(&group, |to| Event::Join(request, to)).await {
            Ok(Reply::Join(response)) => response,
            other => refused_join(member_id, error_of(other)),
        };
        if version < 7 {
            // There was no null for "none chosen" then.
            response.protocol_name.get_or_insert_default();
        }
        response
    }

    /// SyncGroup; waits until the leader's assignment is in the log.
    pub(crate) async fn sync(&self, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
        if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            return refused_sync(ErrorCode::InconsistentGroupProtocol);
        }
        let assignments = request.assignments.iter();
        let assignments = assignments.map(|one| {
            (
                one.member_id.to_string(),
                Bytes::copy_from_slice(&one.assignment),
            )
        });
        let request = SyncRequest {
            group: request.group_id.to_string(),
            generation: request.generation_id,
            member_id: request.member_id.to_string(),
            group_instance_id: text(request.group_instance_id.as_ref()),
            protocol_type: text(request.protocol_type.as_ref()),
            protocol_name: text(request.protocol_name.as_ref()),
            assignments: assignments.collect(),
        };
        let group = request.group.clone();
        match self.ask(&group, |to| Event::Sync(request, to)).await {
            Ok(Reply::Sync(response)) => response,
            other => refused_sync(error_of(other)),
        }
    }

    /// Heartbeat.
    pub(crate) async fn heartbeat(&self, request: HeartbeatRequest) -> HeartbeatResponse {
        let heartbeat = |reply_to| Event::Heartbeat {
            group: request.group_id.to_string(),
            generation: request.generation_id,
            member_id: request.member_id.to_string(),
            group_instance_id: text(request.group_instance_id.as_ref()),
            reply_to,
        };
        let error = match self.ask(&request.group_id, heartbeat).await {
            Ok(Reply::Heartbeat(error)) => error,
            // Sessions begin anew when loading ends, so this member is as good as heard.
            Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
            other => error_of(other),
        };
        HeartbeatResponse {
            throttle_time_ms: 0,
            error_code: error as i16,
        }
    }

    /// LeaveGroup.
    pub(crate) async fn leave(
        &self,
        version: i16,
        request: LeaveGroupRequest,
    ) -> LeaveGroupResponse {
        let members = if version < 3 {
            vec![MemberIdentity {
                member_id: request.member_id,
                group_instance_id: None,
                reason: None,
            }]
        } else {
            request.members
        };
        let leavers = members.iter().map(|member| Leaver {
            member_id: member.member_id.to_string(),
            group_instance_id: text(member.group_instance_id.as_ref()),
        });
        let leave = LeaveRequest {
            group: request.group_id.to_string(),
            members: leavers.collect(),
        };
        let codes = match self
            .ask(&request.group_id, |to| Event::Leave(leave, to))
            .await
        {
            Ok(Reply::Leave(codes)) => codes,
            other => Err(error_of(other)),
        };
        let mut response = LeaveGroupResponse::default();
        match codes {
            Err(error) => response.error_code = error as i16,
            Ok(codes) if version < 3 => {
                response.error_code = codes.first().copied().unwrap_or(ErrorCode::None) as i16;
            }
            Ok(codes) => {
                let answer = |(member, code): (MemberIdentity, ErrorCode)| MemberResponse {
                    member_id: copied(&member.member_id),
                    group_instance_id: member.group_instance_id.as_ref().map(copied),
                    error_code: code as i16,
                };
                response.members = members.into_iter().zip(codes).map(answer).collect();
            }
        }
        response
    }
}

fn join_request(
    version: i16,
    client_id: &str,
    client_host: &str,
    request: &JoinGroupRequest,
) -> JoinRequest {
    let mut names = BTreeSet::new();
    // Of two protocols of one name the first counts.
    let protocols = request
        .protocols
        .iter()
        .filter(|protocol| names.insert(&*protocol.name));
    let protocols = protocols.map(|protocol| {
        (
            protocol.name.to_string(),
            Bytes::copy_from_slice(&protocol.metadata),
        )
    });
    let protocols = protocols.collect();
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        // Version 0 had one time-out for both.
        ms if version == 0 || ms < 0 => request.session_timeout_ms,
        ms => ms,
    };
    JoinRequest {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: text(request.group_instance_id.as_ref()),
        client_id: head(client_id, CLIENT_ID_BYTES_MAX).to_owned(),
        client_host: client_host.to_owned(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols,
        member_id_required: version >= 4,
        can_skip_assignment: version >= 9,
        new_id: Uuid::new_v4(),
    }
}

/// The longest head of a text that is whole and not over `max` bytes.
fn head(text: &str, max: usize) -> &str {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    &text[..ends.take_while(|end| *end <= max).last().unwrap_or(0)]
}

fn text(text: Option<&Str>) -> Option<String> {
    text.map(std::string::ToString::to_string)
}

fn copied(text: &Str) -> Str {
    text.to_string().into()
}

/// The error of an answer that is none; an answer of another kind would be a fault of ours.
pub(super) fn error_of(reply: Result<Reply, ErrorCode>) -> ErrorCode {
    reply.err().unwrap_or(ErrorCode::UnknownServerError)
}
