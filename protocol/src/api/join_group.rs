//! JoinGroup: the first step of a rebalance of the classic group protocol.

use bytes::Bytes;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::JoinGroup.flexible_from();

    /// A member's wish to join, with the assignment protocols it knows.
    pub struct JoinGroupRequest {
        pub group_id: Str,
        pub session_timeout_ms: i32,
        pub rebalance_timeout_ms: i32 { 1.. } = -1,
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 5.. },
        pub protocol_type: Str,
        pub protocols: Vec<JoinGroupRequestProtocol>,
        pub reason: Option<Str> { 8.. },
    }

    /// An element of [`JoinGroupRequest::protocols`].
    pub struct JoinGroupRequestProtocol {
        pub name: Str,
        pub metadata: Bytes,
    }

    /// The new generation; its leader also learns all members.
    pub struct JoinGroupResponse {
        pub throttle_time_ms: i32 { 2.. },
        pub error_code: i16,
        pub generation_id: i32 = -1,
        pub protocol_type: Option<Str> { 7.. },
        pub protocol_name: Option<Str> { null 7.. } = Some(Str::new()),
        pub leader: Str,
        pub skip_assignment: bool { 9.. },
        pub member_id: Str,
        pub members: Vec<JoinGroupResponseMember>,
    }

    /// An element of [`JoinGroupResponse::members`].
    pub struct JoinGroupResponseMember {
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 5.. },
        pub metadata: Bytes,
    }
}
