//! Kafka's APIs, one module each, with types and fields named as in Kafka's message definitions.
//!
//! Here stands only what lies on the wire. What a request means, and what answers it, is the
//! broker's and the client's affair.

pub mod alter_configs;
pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_topic_partitions;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;

use crate::{
    ApiKey,
    wire::{DecodeError, Message, Reader},
};

/// A message that is sent to a broker, and whose answer is known.
pub trait Request: Message {
    /// The API it belongs to.
    const KEY: ApiKey;
    /// What answers it.
    type Response: Message;
}

/// Hands the table of all APIs to a macro: here, in the tests and in the fuzz targets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_api {
    ($then:ident) => {
        $then! {
            Produce: produce::{ProduceRequest, ProduceResponse};
            Fetch: fetch::{FetchRequest, FetchResponse};
            ListOffsets: list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
            Metadata: metadata::{MetadataRequest, MetadataResponse};
            OffsetCommit: offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
            OffsetFetch: offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
            FindCoordinator: find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
            JoinGroup: join_group::{JoinGroupRequest, JoinGroupResponse};
            Heartbeat: heartbeat::{HeartbeatRequest, HeartbeatResponse};
            LeaveGroup: leave_group::{LeaveGroupRequest, LeaveGroupResponse};
            SyncGroup: sync_group::{SyncGroupRequest, SyncGroupResponse};
            DescribeGroups: describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
            ListGroups: list_groups::{ListGroupsRequest, ListGroupsResponse};
            ApiVersions: api_versions::{ApiVersionsRequest, ApiVersionsResponse};
            CreateTopics: create_topics::{CreateTopicsRequest, CreateTopicsResponse};
            DeleteTopics: delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
            DeleteRecords: delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
            InitProducerId: init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
            OffsetForLeaderEpoch: offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
            DescribeConfigs: describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
            AlterConfigs: alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
            DescribeLogDirs: describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
            CreatePartitions: create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
            DeleteGroups: delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
            IncrementalAlterConfigs: incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
            OffsetDelete: offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
            DescribeCluster: describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
            DescribeTopicPartitions: describe_topic_partitions::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
        }
    };
}

macro_rules! apis {
    ($($name:ident: $module:ident::{$request:ident, $response:ident};)*) => {
        $(
            pub use $module::{$request, $response};

            impl Request for $request {
                const KEY: ApiKey = ApiKey::$name;
                type Response = $response;
            }
        )*

        /// A request of any implemented API.
        #[derive(Debug, Clone, PartialEq)]
        pub enum AnyRequest {
            $($name($request),)*
        }

        impl AnyRequest {
            /// Reads a request's body; its header has told the API and the version.
            ///
            /// Bytes after it are left in the reader, as Kafka leaves them.
            pub fn decode(key: ApiKey, version: i16, r: &mut Reader) -> Result<Self, DecodeError> {
                if !key.versions().contains(&version) {
                    return Err(DecodeError::UnsupportedVersion { what: key.name(), version });
                }
                match key {
                    $(ApiKey::$name => Message::decode(r, version).map(Self::$name),)*
                }
            }

            /// The API it belongs to.
            pub fn key(&self) -> ApiKey {
                match self {
                    $(Self::$name(_) => ApiKey::$name,)*
                }
            }
        }
    };
}

for_each_api!(apis);
