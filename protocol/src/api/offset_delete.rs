//! OffsetDelete: removes a group's committed offsets for partitions (KIP-496).

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::OffsetDelete.flexible_from();

    /// Offsets to delete.
    pub struct OffsetDeleteRequest {
        pub group_id: Str,
        pub topics: Vec<OffsetDeleteRequestTopic>,
    }

    /// An element of [`OffsetDeleteRequest::topics`].
    pub struct OffsetDeleteRequestTopic {
        pub name: Str,
        pub partitions: Vec<OffsetDeleteRequestPartition>,
    }

    /// An element of [`OffsetDeleteRequestTopic::partitions`].
    pub struct OffsetDeleteRequestPartition {
        pub partition_index: i32,
    }

    /// An error code for each partition.
    pub struct OffsetDeleteResponse {
        pub error_code: i16,
        pub throttle_time_ms: i32,
        pub topics: Vec<OffsetDeleteResponseTopic>,
    }

    /// An element of [`OffsetDeleteResponse::topics`].
    pub struct OffsetDeleteResponseTopic {
        pub name: Str,
        pub partitions: Vec<OffsetDeleteResponsePartition>,
    }

    /// An element of [`OffsetDeleteResponseTopic::partitions`].
    pub struct OffsetDeleteResponsePartition {
        pub partition_index: i32,
        pub error_code: i16,
    }
}
