//! DeleteGroups: removes empty groups with their offsets.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DeleteGroups.flexible_from();

    /// Groups to delete.
    pub struct DeleteGroupsRequest {
        pub groups_names: Vec<Str>,
    }

    /// An error code for each group.
    pub struct DeleteGroupsResponse {
        pub throttle_time_ms: i32,
        pub results: Vec<DeletableGroupResult>,
    }

    /// An element of [`DeleteGroupsResponse::results`].
    pub struct DeletableGroupResult {
        pub group_id: Str,
        pub error_code: i16,
    }
}
