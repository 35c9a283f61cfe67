//! ApiVersions: what a broker serves, and the first request of most clients.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::ApiVersions.flexible_from();

    /// A client's name and version (KIP-511).
    pub struct ApiVersionsRequest {
        pub client_software_name: Str { 3.. },
        pub client_software_version: Str { 3.. },
    }

    /// Served APIs with their version ranges, and features (KIP-584).
    pub struct ApiVersionsResponse {
        pub error_code: i16,
        pub api_keys: Vec<ApiVersion>,
        pub throttle_time_ms: i32 { 1.. },
        pub supported_features: Vec<SupportedFeatureKey> { 3.., tag 0 },
        pub finalized_features_epoch: i64 { 3.., tag 1 } = -1,
        pub finalized_features: Vec<FinalizedFeatureKey> { 3.., tag 2 },
        pub zk_migration_ready: bool { 3.., tag 3 },
    }

    /// An element of [`ApiVersionsResponse::api_keys`].
    pub struct ApiVersion {
        pub api_key: i16,
        pub min_version: i16,
        pub max_version: i16,
    }

    /// An element of [`ApiVersionsResponse::supported_features`].
    pub struct SupportedFeatureKey {
        pub name: Str,
        pub min_version: i16,
        pub max_version: i16,
    }

    /// An element of [`ApiVersionsResponse::finalized_features`].
    pub struct FinalizedFeatureKey {
        pub name: Str,
        pub max_version_level: i16,
        pub min_version_level: i16,
    }
}
