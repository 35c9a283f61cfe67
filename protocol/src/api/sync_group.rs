//! SyncGroup: the second step of a rebalance, in which the leader hands out assignments.

use bytes::Bytes;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::SyncGroup.flexible_from();

    /// The leader's assignments; empty from all others.
    pub struct SyncGroupRequest {
        pub group_id: Str,
        pub generation_id: i32,
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 3.. },
        pub protocol_type: Option<Str> { 5.. },
        pub protocol_name: Option<Str> { 5.. },
        pub assignments: Vec<SyncGroupRequestAssignment>,
    }

    /// An element of [`SyncGroupRequest::assignments`].
    pub struct SyncGroupRequestAssignment {
        pub member_id: Str,
        pub assignment: Bytes,
    }

    /// The asking member's assignment.
    pub struct SyncGroupResponse {
        pub throttle_time_ms: i32 { 1.. },
        pub error_code: i16,
        pub protocol_type: Option<Str> { 5.. },
        pub protocol_name: Option<Str> { 5.. },
        pub assignment: Bytes,
    }
}
