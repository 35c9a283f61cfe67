//! ListOffsets: the first offset at or after a timestamp, or one of the ends of a log.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::ListOffsets.flexible_from();

    /// Timestamps to look up; -1 is the latest offset, -2 the earliest, -3 that of the greatest timestamp.
    pub struct ListOffsetsRequest {
        pub replica_id: i32,
        pub isolation_level: i8 { 2.. },
        pub topics: Vec<ListOffsetsTopic>,
        pub timeout_ms: i32 { 10.. },
    }

    /// An element of [`ListOffsetsRequest::topics`].
    pub struct ListOffsetsTopic {
        pub name: Str,
        pub partitions: Vec<ListOffsetsPartition>,
    }

    /// An element of [`ListOffsetsTopic::partitions`].
    pub struct ListOffsetsPartition {
        pub partition_index: i32,
        pub current_leader_epoch: i32 { 4.. } = -1,
        pub timestamp: i64,
    }

    /// The offset found for each partition, or -1.
    pub struct ListOffsetsResponse {
        pub throttle_time_ms: i32 { 2.. },
        pub topics: Vec<ListOffsetsTopicResponse>,
    }

    /// An element of [`ListOffsetsResponse::topics`].
    pub struct ListOffsetsTopicResponse {
        pub name: Str,
        pub partitions: Vec<ListOffsetsPartitionResponse>,
    }

    /// An element of [`ListOffsetsTopicResponse::partitions`].
    pub struct ListOffsetsPartitionResponse {
        pub partition_index: i32,
        pub error_code: i16,
        pub timestamp: i64 = -1,
        pub offset: i64 = -1,
        pub leader_epoch: i32 { 4.. } = -1,
    }
}
