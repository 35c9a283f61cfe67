//! DescribeGroups: the state and members of classic groups.

use bytes::Bytes;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DescribeGroups.flexible_from();

    /// Groups to describe.
    pub struct DescribeGroupsRequest {
        pub groups: Vec<Str>,
        pub include_authorized_operations: bool { 3.. },
    }

    /// The groups as their coordinator knows them.
    pub struct DescribeGroupsResponse {
        pub throttle_time_ms: i32 { 1.. },
        pub groups: Vec<DescribedGroup>,
    }

    /// An element of [`DescribeGroupsResponse::groups`].
    pub struct DescribedGroup {
        pub error_code: i16,
        pub error_message: Option<Str> { 6.. },
        pub group_id: Str,
        pub group_state: Str,
        pub protocol_type: Str,
        pub protocol_data: Str,
        pub members: Vec<DescribedGroupMember>,
        pub authorized_operations: i32 { 3.. } = i32::MIN,
    }

    /// An element of [`DescribedGroup::members`].
    pub struct DescribedGroupMember {
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 4.. },
        pub client_id: Str,
        pub client_host: Str,
        pub member_metadata: Bytes,
        pub member_assignment: Bytes,
    }
}
