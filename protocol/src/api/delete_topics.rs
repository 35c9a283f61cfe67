//! DeleteTopics: removes topics by name, from version 6 on also by id.

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DeleteTopics.flexible_from();

    /// Topics to delete.
    pub struct DeleteTopicsRequest {
        pub topics: Vec<DeleteTopicState> { 6.. },
        pub topic_names: Vec<Str> { ..=5 },
        pub timeout_ms: i32,
    }

    /// An element of [`DeleteTopicsRequest::topics`].
    pub struct DeleteTopicState {
        pub name: Option<Str>,
        pub topic_id: Uuid,
    }

    /// An error code for each topic.
    pub struct DeleteTopicsResponse {
        pub throttle_time_ms: i32,
        pub responses: Vec<DeletableTopicResult>,
    }

    /// An element of [`DeleteTopicsResponse::responses`].
    pub struct DeletableTopicResult {
        pub name: Option<Str> { null 6.. } = Some(Str::new()),
        pub topic_id: Uuid { 6.. },
        pub error_code: i16,
        pub error_message: Option<Str> { 5.. },
    }
}
