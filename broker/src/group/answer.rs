//! From the core's plain answers to the protocol's.

use protocol::Str;
use protocol::api::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use protocol::api::sync_group::SyncGroupResponse;

use super::core::{JoinReply, SyncReply};

pub(super) fn str(text: impl Into<String>) -> Str {
    Str::from(text.into())
}

pub(super) fn join(reply: JoinReply, version: i16) -> JoinGroupResponse {
    // Before version 7 there was no null for "none chosen".
    let protocol_name = match reply.protocol_name {
        None if version < 7 => Some(Str::default()),
        name => name.map(str),
    };
    let members = reply
        .members
        .into_iter()
        .map(|member| JoinGroupResponseMember {
            member_id: str(member.member_id),
            group_instance_id: member.group_instance_id.map(str),
            metadata: member.metadata,
        });
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error as i16,
        generation_id: reply.generation,
        protocol_type: reply.protocol_type.map(str),
        protocol_name,
        leader: str(reply.leader),
        skip_assignment: reply.skip_assignment,
        member_id: str(reply.member_id),
        members: members.collect(),
    }
}

pub(super) fn sync(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error as i16,
        protocol_type: reply.protocol_type.map(str),
        protocol_name: reply.protocol_name.map(str),
        assignment: reply.assignment,
    }
}
