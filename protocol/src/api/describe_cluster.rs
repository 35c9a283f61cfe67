//! DescribeCluster: the cluster's id, controller and brokers (KIP-700).

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DescribeCluster.flexible_from();

    /// What to describe: brokers or controllers.
    pub struct DescribeClusterRequest {
        pub include_cluster_authorized_operations: bool,
        pub endpoint_type: i8 { 1.. } = 1,
        pub include_fenced_brokers: bool { 2.. },
    }

    /// The cluster as this broker sees it.
    pub struct DescribeClusterResponse {
        pub throttle_time_ms: i32,
        pub error_code: i16,
        pub error_message: Option<Str>,
        pub endpoint_type: i8 { 1.. } = 1,
        pub cluster_id: Str,
        pub controller_id: i32 = -1,
        pub brokers: Vec<DescribeClusterBroker>,
        pub cluster_authorized_operations: i32 = i32::MIN,
    }

    /// An element of [`DescribeClusterResponse::brokers`].
    pub struct DescribeClusterBroker {
        pub broker_id: i32,
        pub host: Str,
        pub port: i32,
        pub rack: Option<Str>,
        pub is_fenced: bool { 2.. },
    }
}
