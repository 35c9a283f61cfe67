//! OffsetCommit: a group's positions.

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::OffsetCommit.flexible_from();

    /// Positions to store for a group's partitions.
    pub struct OffsetCommitRequest {
        pub group_id: Str,
        pub generation_id_or_member_epoch: i32 = -1,
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 7.. },
        pub retention_time_ms: i64 { ..=4 } = -1,
        pub topics: Vec<OffsetCommitRequestTopic>,
    }

    /// An element of [`OffsetCommitRequest::topics`].
    pub struct OffsetCommitRequestTopic {
        pub name: Str { ..=9 },
        pub topic_id: Uuid { 10.. },
        pub partitions: Vec<OffsetCommitRequestPartition>,
    }

    /// An element of [`OffsetCommitRequestTopic::partitions`].
    pub struct OffsetCommitRequestPartition {
        pub partition_index: i32,
        pub committed_offset: i64,
        pub committed_leader_epoch: i32 { 6.. } = -1,
        pub committed_metadata: Option<Str> = Some(Str::new()),
    }

    /// An error code for each partition.
    pub struct OffsetCommitResponse {
        pub throttle_time_ms: i32 { 3.. },
        pub topics: Vec<OffsetCommitResponseTopic>,
    }

    /// An element of [`OffsetCommitResponse::topics`].
    pub struct OffsetCommitResponseTopic {
        pub name: Str { ..=9 },
        pub topic_id: Uuid { 10.. },
        pub partitions: Vec<OffsetCommitResponsePartition>,
    }

    /// An element of [`OffsetCommitResponseTopic::partitions`].
    pub struct OffsetCommitResponsePartition {
        pub partition_index: i32,
        pub error_code: i16,
    }
}
