//! OffsetForLeaderEpoch: where a leader epoch ended, to find truncation (KIP-320).

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::OffsetForLeaderEpoch.flexible_from();

    /// The leader epochs to look up.
    pub struct OffsetForLeaderEpochRequest {
        pub replica_id: i32 { 3.. } = -2,
        pub topics: Vec<OffsetForLeaderTopic>,
    }

    /// An element of [`OffsetForLeaderEpochRequest::topics`].
    pub struct OffsetForLeaderTopic {
        pub topic: Str,
        pub partitions: Vec<OffsetForLeaderPartition>,
    }

    /// An element of [`OffsetForLeaderTopic::partitions`].
    pub struct OffsetForLeaderPartition {
        pub partition: i32,
        pub current_leader_epoch: i32 = -1,
        pub leader_epoch: i32,
    }

    /// The end of each epoch.
    pub struct OffsetForLeaderEpochResponse {
        pub throttle_time_ms: i32,
        pub topics: Vec<OffsetForLeaderTopicResult>,
    }

    /// An element of [`OffsetForLeaderEpochResponse::topics`].
    pub struct OffsetForLeaderTopicResult {
        pub topic: Str,
        pub partitions: Vec<EpochEndOffset>,
    }

    /// An element of [`OffsetForLeaderTopicResult::partitions`].
    pub struct EpochEndOffset {
        pub error_code: i16,
        pub partition: i32,
        pub leader_epoch: i32 = -1,
        pub end_offset: i64 = -1,
    }
}
