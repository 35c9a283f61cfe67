//! OffsetFetch: a group's committed positions; from version 8 on for several groups at once.

use uuid::Uuid;

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::OffsetFetch.flexible_from();

    /// Groups and partitions to look up; null topics mean all that were committed.
    pub struct OffsetFetchRequest {
        pub group_id: Str { ..=7 },
        pub topics: Option<Vec<OffsetFetchRequestTopic>> { ..=7, null 2.. } = Some(Vec::new()),
        pub groups: Vec<OffsetFetchRequestGroup> { 8.. },
        pub require_stable: bool { 7.. },
    }

    /// An element of [`OffsetFetchRequest::topics`].
    pub struct OffsetFetchRequestTopic {
        pub name: Str,
        pub partition_indexes: Vec<i32>,
    }

    /// An element of [`OffsetFetchRequest::groups`].
    pub struct OffsetFetchRequestGroup {
        pub group_id: Str,
        pub member_id: Option<Str> { 9.. },
        pub member_epoch: i32 { 9.. } = -1,
        pub topics: Option<Vec<OffsetFetchRequestTopics>> = Some(Vec::new()),
    }

    /// An element of [`OffsetFetchRequestGroup::topics`].
    pub struct OffsetFetchRequestTopics {
        pub name: Str { ..=9 },
        pub topic_id: Uuid { 10.. },
        pub partition_indexes: Vec<i32>,
    }

    /// The committed offsets; -1 where there is none.
    pub struct OffsetFetchResponse {
        pub throttle_time_ms: i32 { 3.. },
        pub topics: Vec<OffsetFetchResponseTopic> { ..=7 },
        pub error_code: i16 { 2..=7 },
        pub groups: Vec<OffsetFetchResponseGroup> { 8.. },
    }

    /// An element of [`OffsetFetchResponse::topics`].
    pub struct OffsetFetchResponseTopic {
        pub name: Str,
        pub partitions: Vec<OffsetFetchResponsePartition>,
    }

    /// An element of [`OffsetFetchResponseTopic::partitions`].
    pub struct OffsetFetchResponsePartition {
        pub partition_index: i32,
        pub committed_offset: i64,
        pub committed_leader_epoch: i32 { 5.. } = -1,
        pub metadata: Option<Str> = Some(Str::new()),
        pub error_code: i16,
    }

    /// An element of [`OffsetFetchResponse::groups`].
    pub struct OffsetFetchResponseGroup {
        pub group_id: Str,
        pub topics: Vec<OffsetFetchResponseTopics>,
        pub error_code: i16,
    }

    /// An element of [`OffsetFetchResponseGroup::topics`].
    pub struct OffsetFetchResponseTopics {
        pub name: Str { ..=9 },
        pub topic_id: Uuid { 10.. },
        pub partitions: Vec<OffsetFetchResponsePartitions>,
    }

    /// An element of [`OffsetFetchResponseTopics::partitions`].
    pub struct OffsetFetchResponsePartitions {
        pub partition_index: i32,
        pub committed_offset: i64,
        pub committed_leader_epoch: i32 = -1,
        pub metadata: Option<Str> = Some(Str::new()),
        pub error_code: i16,
    }
}
