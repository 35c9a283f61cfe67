//! DescribeLogDirs: sizes of logs and of the volumes they lie on (KIP-827).

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DescribeLogDirs.flexible_from();

    /// Partitions to look for; null means all.
    pub struct DescribeLogDirsRequest {
        pub topics: Option<Vec<DescribableLogDirTopic>> = Some(Vec::new()),
    }

    /// An element of [`DescribeLogDirsRequest::topics`].
    pub struct DescribableLogDirTopic {
        pub topic: Str,
        pub partitions: Vec<i32>,
    }

    /// Log directories with what they hold.
    pub struct DescribeLogDirsResponse {
        pub throttle_time_ms: i32,
        pub error_code: i16 { 3.. },
        pub results: Vec<DescribeLogDirsResult>,
    }

    /// An element of [`DescribeLogDirsResponse::results`].
    pub struct DescribeLogDirsResult {
        pub error_code: i16,
        pub log_dir: Str,
        pub topics: Vec<DescribeLogDirsTopic>,
        pub total_bytes: i64 { 4.. } = -1,
        pub usable_bytes: i64 { 4.. } = -1,
        pub is_cordoned: bool { 5.. },
    }

    /// An element of [`DescribeLogDirsResult::topics`].
    pub struct DescribeLogDirsTopic {
        pub name: Str,
        pub partitions: Vec<DescribeLogDirsPartition>,
    }

    /// An element of [`DescribeLogDirsTopic::partitions`].
    pub struct DescribeLogDirsPartition {
        pub partition_index: i32,
        pub partition_size: i64,
        pub offset_lag: i64,
        pub is_future_key: bool,
    }
}
