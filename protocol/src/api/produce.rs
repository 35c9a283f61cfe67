//! Produce: record batches for any number of partitions (KIP-98, KIP-516 for topic ids).

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::Produce.flexible_from();

    /// Batches to append; `acks` is 0, 1 or -1 for all in-sync replicas.
    pub struct ProduceRequest {
        pub transactional_id: Option<Str>,
        pub acks: i16,
        pub timeout_ms: i32,
        pub topic_data: Vec<TopicProduceData>,
    }

    /// An element of [`ProduceRequest::topic_data`].
    pub struct TopicProduceData {
        pub name: Str { ..=12 },
        pub topic_id: Uuid { 13.. },
        pub partition_data: Vec<PartitionProduceData>,
    }

    /// An element of [`TopicProduceData::partition_data`].
    pub struct PartitionProduceData {
        pub index: i32,
        pub records: Option<Bytes>,
    }

    /// What became of each partition's batch.
    pub struct ProduceResponse {
        pub responses: Vec<TopicProduceResponse>,
        pub throttle_time_ms: i32,
        pub node_endpoints: Vec<NodeEndpoint> { 10.., tag 0 },
    }

    /// An element of [`ProduceResponse::responses`].
    pub struct TopicProduceResponse {
        pub name: Str { ..=12 },
        pub topic_id: Uuid { 13.. },
        pub partition_responses: Vec<PartitionProduceResponse>,
    }

    /// An element of [`TopicProduceResponse::partition_responses`].
    pub struct PartitionProduceResponse {
        pub index: i32,
        pub error_code: i16,
        pub base_offset: i64,
        pub log_append_time_ms: i64 = -1,
        pub log_start_offset: i64 { 5.. } = -1,
        pub record_errors: Vec<BatchIndexAndErrorMessage> { 8.. },
        pub error_message: Option<Str> { 8.. },
        pub current_leader: LeaderIdAndEpoch { 10.., tag 0 },
    }

    /// An element of [`PartitionProduceResponse::record_errors`].
    pub struct BatchIndexAndErrorMessage {
        pub batch_index: i32,
        pub batch_index_error_message: Option<Str>,
    }

    /// What [`PartitionProduceResponse::current_leader`] holds.
    pub struct LeaderIdAndEpoch {
        pub leader_id: i32 = -1,
        pub leader_epoch: i32 = -1,
    }

    /// An element of [`ProduceResponse::node_endpoints`].
    pub struct NodeEndpoint {
        pub node_id: i32,
        pub host: Str,
        pub port: i32,
        pub rack: Option<Str>,
    }
}
