//! Fetch: batches from an offset on, with sessions (KIP-227) and long polling.

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Records, Str, messages},
};

messages! {
    flexible from ApiKey::Fetch.flexible_from();

    /// Which partitions to read, from where, and how long to wait for how much.
    pub struct FetchRequest {
        pub cluster_id: Option<Str> { 12.., tag 0 },
        pub replica_id: i32 { ..=14 } = -1,
        pub replica_state: ReplicaState { 15.., tag 1 },
        pub max_wait_ms: i32,
        pub min_bytes: i32,
        pub max_bytes: i32 = i32::MAX,
        pub isolation_level: i8,
        pub session_id: i32 { 7.. },
        pub session_epoch: i32 { 7.. } = -1,
        pub topics: Vec<FetchTopic>,
        pub forgotten_topics_data: Vec<ForgottenTopic> { 7.. },
        pub rack_id: Str { 11.. },
    }

    /// What [`FetchRequest::replica_state`] holds.
    pub struct ReplicaState {
        pub replica_id: i32 = -1,
        pub replica_epoch: i64 = -1,
    }

    /// An element of [`FetchRequest::topics`].
    pub struct FetchTopic {
        pub topic: Str { ..=12 },
        pub topic_id: Uuid { 13.. },
        pub partitions: Vec<FetchPartition>,
    }

    /// An element of [`FetchTopic::partitions`].
    pub struct FetchPartition {
        pub partition: i32,
        pub current_leader_epoch: i32 { 9.. } = -1,
        pub fetch_offset: i64,
        pub last_fetched_epoch: i32 { 12.. } = -1,
        pub log_start_offset: i64 { 5.. } = -1,
        pub partition_max_bytes: i32,
        pub replica_directory_id: Uuid { 17.., tag 0 },
        pub high_watermark: i64 { 18.., tag 1 } = i64::MAX,
    }

    /// An element of [`FetchRequest::forgotten_topics_data`].
    pub struct ForgottenTopic {
        pub topic: Str { ..=12 },
        pub topic_id: Uuid { 13.. },
        pub partitions: Vec<i32>,
    }

    /// The batches found, as they lie in the log.
    pub struct FetchResponse {
        pub throttle_time_ms: i32,
        pub error_code: i16 { 7.. },
        pub session_id: i32 { 7.. },
        pub responses: Vec<FetchableTopicResponse>,
        pub node_endpoints: Vec<NodeEndpoint> { 16.., tag 0 },
    }

    /// An element of [`FetchResponse::responses`].
    pub struct FetchableTopicResponse {
        pub topic: Str { ..=12 },
        pub topic_id: Uuid { 13.. },
        pub partitions: Vec<PartitionData>,
    }

    /// An element of [`FetchableTopicResponse::partitions`].
    pub struct PartitionData {
        pub partition_index: i32,
        pub error_code: i16,
        pub high_watermark: i64,
        pub last_stable_offset: i64 = -1,
        pub log_start_offset: i64 { 5.. } = -1,
        pub diverging_epoch: EpochEndOffset { 12.., tag 0 },
        pub current_leader: LeaderIdAndEpoch { 12.., tag 1 },
        pub snapshot_id: SnapshotId { 12.., tag 2 },
        pub aborted_transactions: Option<Vec<AbortedTransaction>> = Some(Vec::new()),
        pub preferred_read_replica: i32 { 11.. } = -1,
        pub records: Option<Records>,
    }

    /// What [`PartitionData::diverging_epoch`] holds.
    pub struct EpochEndOffset {
        pub epoch: i32 = -1,
        pub end_offset: i64 = -1,
    }

    /// What [`PartitionData::current_leader`] holds.
    pub struct LeaderIdAndEpoch {
        pub leader_id: i32 = -1,
        pub leader_epoch: i32 = -1,
    }

    /// What [`PartitionData::snapshot_id`] holds.
    pub struct SnapshotId {
        pub end_offset: i64 = -1,
        pub epoch: i32 = -1,
    }

    /// An element of [`PartitionData::aborted_transactions`].
    pub struct AbortedTransaction {
        pub producer_id: i64,
        pub first_offset: i64,
    }

    /// An element of [`FetchResponse::node_endpoints`].
    pub struct NodeEndpoint {
        pub node_id: i32,
        pub host: Str,
        pub port: i32,
        pub rack: Option<Str>,
    }
}
