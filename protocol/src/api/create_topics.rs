//! CreateTopics: new topics, with counts or an explicit assignment.

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::CreateTopics.flexible_from();

    /// Topics to create.
    pub struct CreateTopicsRequest {
        pub topics: Vec<CreatableTopic>,
        pub timeout_ms: i32 = 60_000,
        pub validate_only: bool,
    }

    /// An element of [`CreateTopicsRequest::topics`].
    pub struct CreatableTopic {
        pub name: Str,
        pub num_partitions: i32,
        pub replication_factor: i16,
        pub assignments: Vec<CreatableReplicaAssignment>,
        pub configs: Vec<CreatableTopicConfig>,
    }

    /// An element of [`CreatableTopic::assignments`].
    pub struct CreatableReplicaAssignment {
        pub partition_index: i32,
        pub broker_ids: Vec<i32>,
    }

    /// An element of [`CreatableTopic::configs`].
    pub struct CreatableTopicConfig {
        pub name: Str,
        pub value: Option<Str> = Some(Str::new()),
    }

    /// An error code for each topic and, from version 5 on, what was created (KIP-525).
    pub struct CreateTopicsResponse {
        pub throttle_time_ms: i32,
        pub topics: Vec<CreatableTopicResult>,
    }

    /// An element of [`CreateTopicsResponse::topics`].
    pub struct CreatableTopicResult {
        pub name: Str,
        pub topic_id: Uuid { 7.. },
        pub error_code: i16,
        pub error_message: Option<Str>,
        pub topic_config_error_code: i16 { 5.., tag 0 },
        pub num_partitions: i32 { 5.. } = -1,
        pub replication_factor: i16 { 5.. } = -1,
        pub configs: Option<Vec<CreatableTopicConfigs>> { 5.. } = Some(Vec::new()),
    }

    /// An element of [`CreatableTopicResult::configs`].
    pub struct CreatableTopicConfigs {
        pub name: Str,
        pub value: Option<Str> = Some(Str::new()),
        pub read_only: bool,
        pub config_source: i8 = -1,
        pub is_sensitive: bool,
    }
}
