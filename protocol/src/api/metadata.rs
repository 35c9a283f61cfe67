//! Metadata: brokers, topics, partitions and who leads them.

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::Metadata.flexible_from();

    /// Topics to describe; null means all (in version 0, an empty list does).
    pub struct MetadataRequest {
        pub topics: Option<Vec<MetadataRequestTopic>> { null 1.. } = Some(Vec::new()),
        pub allow_auto_topic_creation: bool { 4.. } = true,
        pub include_cluster_authorized_operations: bool { 8..=10 },
        pub include_topic_authorized_operations: bool { 8.. },
    }

    /// An element of [`MetadataRequest::topics`].
    pub struct MetadataRequestTopic {
        pub topic_id: Uuid { 10.. },
        pub name: Option<Str> { null 10.. } = Some(Str::new()),
    }

    /// The cluster as this broker sees it.
    pub struct MetadataResponse {
        pub throttle_time_ms: i32 { 3.. },
        pub brokers: Vec<MetadataResponseBroker>,
        pub cluster_id: Option<Str> { 2.. },
        pub controller_id: i32 { 1.. } = -1,
        pub topics: Vec<MetadataResponseTopic>,
        pub cluster_authorized_operations: i32 { 8..=10 } = i32::MIN,
        pub error_code: i16 { 13.. },
    }

    /// An element of [`MetadataResponse::brokers`].
    pub struct MetadataResponseBroker {
        pub node_id: i32,
        pub host: Str,
        pub port: i32,
        pub rack: Option<Str> { 1.. },
    }

    /// An element of [`MetadataResponse::topics`].
    pub struct MetadataResponseTopic {
        pub error_code: i16,
        pub name: Option<Str> { null 12.. } = Some(Str::new()),
        pub topic_id: Uuid { 10.. },
        pub is_internal: bool { 1.. },
        pub partitions: Vec<MetadataResponsePartition>,
        pub topic_authorized_operations: i32 { 8.. } = i32::MIN,
    }

    /// An element of [`MetadataResponseTopic::partitions`].
    pub struct MetadataResponsePartition {
        pub error_code: i16,
        pub partition_index: i32,
        pub leader_id: i32,
        pub leader_epoch: i32 { 7.. } = -1,
        pub replica_nodes: Vec<i32>,
        pub isr_nodes: Vec<i32>,
        pub offline_replicas: Vec<i32> { 5.. },
    }
}
