//! LeaveGroup: members leave a classic group, several at once from version 3 on (KIP-345).

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::LeaveGroup.flexible_from();

    /// The members that leave.
    pub struct LeaveGroupRequest {
        pub group_id: Str,
        pub member_id: Str { ..=2 },
        pub members: Vec<MemberIdentity> { 3.. },
    }

    /// An element of [`LeaveGroupRequest::members`].
    pub struct MemberIdentity {
        pub member_id: Str,
        pub group_instance_id: Option<Str>,
        pub reason: Option<Str> { 5.. },
    }

    /// An error code for each member.
    pub struct LeaveGroupResponse {
        pub throttle_time_ms: i32 { 1.. },
        pub error_code: i16,
        pub members: Vec<MemberResponse> { 3.. },
    }

    /// An element of [`LeaveGroupResponse::members`].
    pub struct MemberResponse {
        pub member_id: Str,
        pub group_instance_id: Option<Str> = Some(Str::new()),
        pub error_code: i16,
    }
}
