//! ListGroups: the groups that a broker coordinates.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::ListGroups.flexible_from();

    /// Which states and types of groups to list; empty lists mean all.
    pub struct ListGroupsRequest {
        pub states_filter: Vec<Str> { 4.. },
        pub types_filter: Vec<Str> { 5.. },
    }

    /// The groups found.
    pub struct ListGroupsResponse {
        pub throttle_time_ms: i32 { 1.. },
        pub error_code: i16,
        pub groups: Vec<ListedGroup>,
    }

    /// An element of [`ListGroupsResponse::groups`].
    pub struct ListedGroup {
        pub group_id: Str,
        pub protocol_type: Str,
        pub group_state: Str { 4.. },
        pub group_type: Str { 5.. },
    }
}
