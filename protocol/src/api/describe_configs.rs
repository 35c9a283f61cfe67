//! DescribeConfigs: configs of topics and brokers with their sources and synonyms.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::DescribeConfigs.flexible_from();

    /// Resources to describe; null keys mean all of a resource's configs.
    pub struct DescribeConfigsRequest {
        pub resources: Vec<DescribeConfigsResource>,
        pub include_synonyms: bool,
        pub include_documentation: bool { 3.. },
    }

    /// An element of [`DescribeConfigsRequest::resources`].
    pub struct DescribeConfigsResource {
        pub resource_type: i8,
        pub resource_name: Str,
        pub configuration_keys: Option<Vec<Str>> = Some(Vec::new()),
    }

    /// The configs found.
    pub struct DescribeConfigsResponse {
        pub throttle_time_ms: i32,
        pub results: Vec<DescribeConfigsResult>,
    }

    /// An element of [`DescribeConfigsResponse::results`].
    pub struct DescribeConfigsResult {
        pub error_code: i16,
        pub error_message: Option<Str>,
        pub resource_type: i8,
        pub resource_name: Str,
        pub configs: Vec<DescribeConfigsResourceResult>,
    }

    /// An element of [`DescribeConfigsResult::configs`].
    pub struct DescribeConfigsResourceResult {
        pub name: Str,
        pub value: Option<Str> = Some(Str::new()),
        pub read_only: bool,
        pub config_source: i8 = -1,
        pub is_sensitive: bool,
        pub synonyms: Vec<DescribeConfigsSynonym>,
        pub config_type: i8 { 3.. },
        pub documentation: Option<Str> { 3.. } = Some(Str::new()),
    }

    /// An element of [`DescribeConfigsResourceResult::synonyms`].
    pub struct DescribeConfigsSynonym {
        pub name: Str,
        pub value: Option<Str> = Some(Str::new()),
        pub source: i8,
    }
}
