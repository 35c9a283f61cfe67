//! DescribeTopicPartitions: topics page by page (KIP-966).

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DescribeTopicPartitions.flexible_from();

    /// Topics to describe, from a cursor on.
    pub struct DescribeTopicPartitionsRequest {
        pub topics: Vec<TopicRequest>,
        pub response_partition_limit: i32 = 2000,
        pub cursor: Option<Cursor>,
    }

    /// An element of [`DescribeTopicPartitionsRequest::topics`].
    pub struct TopicRequest {
        pub name: Str,
    }

    /// What [`DescribeTopicPartitionsRequest::cursor`] holds.
    pub struct Cursor {
        pub topic_name: Str,
        pub partition_index: i32,
    }

    /// One page, with the cursor of the next.
    pub struct DescribeTopicPartitionsResponse {
        pub throttle_time_ms: i32,
        pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
        pub next_cursor: Option<Cursor>,
    }

    /// An element of [`DescribeTopicPartitionsResponse::topics`].
    pub struct DescribeTopicPartitionsResponseTopic {
        pub error_code: i16,
        pub name: Option<Str> = Some(Str::new()),
        pub topic_id: Uuid,
        pub is_internal: bool,
        pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
        pub topic_authorized_operations: i32 = i32::MIN,
    }

    /// An element of [`DescribeTopicPartitionsResponseTopic::partitions`].
    pub struct DescribeTopicPartitionsResponsePartition {
        pub error_code: i16,
        pub partition_index: i32,
        pub leader_id: i32,
        pub leader_epoch: i32 = -1,
        pub replica_nodes: Vec<i32>,
        pub isr_nodes: Vec<i32>,
        pub eligible_leader_replicas: Option<Vec<i32>>,
        pub last_known_elr: Option<Vec<i32>>,
        pub offline_replicas: Vec<i32>,
    }
}
