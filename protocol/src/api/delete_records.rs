//! DeleteRecords: moves the start of a log forward.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DeleteRecords.flexible_from();

    /// The offset before which each partition's records go; -1 is the high watermark.
    pub struct DeleteRecordsRequest {
        pub topics: Vec<DeleteRecordsTopic>,
        pub timeout_ms: i32,
    }

    /// An element of [`DeleteRecordsRequest::topics`].
    pub struct DeleteRecordsTopic {
        pub name: Str,
        pub partitions: Vec<DeleteRecordsPartition>,
    }

    /// An element of [`DeleteRecordsTopic::partitions`].
    pub struct DeleteRecordsPartition {
        pub partition_index: i32,
        pub offset: i64,
    }

    /// The new start of each log.
    pub struct DeleteRecordsResponse {
        pub throttle_time_ms: i32,
        pub topics: Vec<DeleteRecordsTopicResult>,
    }

    /// An element of [`DeleteRecordsResponse::topics`].
    pub struct DeleteRecordsTopicResult {
        pub name: Str,
        pub partitions: Vec<DeleteRecordsPartitionResult>,
    }

    /// An element of [`DeleteRecordsTopicResult::partitions`].
    pub struct DeleteRecordsPartitionResult {
        pub partition_index: i32,
        pub low_watermark: i64,
        pub error_code: i16,
    }
}
