//! CreatePartitions: raises topics' partition counts.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::CreatePartitions.flexible_from();

    /// Topics with the count they shall have.
    pub struct CreatePartitionsRequest {
        pub topics: Vec<CreatePartitionsTopic>,
        pub timeout_ms: i32,
        pub validate_only: bool,
    }

    /// An element of [`CreatePartitionsRequest::topics`].
    pub struct CreatePartitionsTopic {
        pub name: Str,
        pub count: i32,
        pub assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()),
    }

    /// An element of [`CreatePartitionsTopic::assignments`].
    pub struct CreatePartitionsAssignment {
        pub broker_ids: Vec<i32>,
    }

    /// An error code for each topic.
    pub struct CreatePartitionsResponse {
        pub throttle_time_ms: i32,
        pub results: Vec<CreatePartitionsTopicResult>,
    }

    /// An element of [`CreatePartitionsResponse::results`].
    pub struct CreatePartitionsTopicResult {
        pub name: Str,
        pub error_code: i16,
        pub error_message: Option<Str>,
    }
}
