//! AlterConfigs: replaces all configs of a resource.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::AlterConfigs.flexible_from();

    /// Resources with the whole of their new configs.
    pub struct AlterConfigsRequest {
        pub resources: Vec<AlterConfigsResource>,
        pub validate_only: bool,
    }

    /// An element of [`AlterConfigsRequest::resources`].
    pub struct AlterConfigsResource {
        pub resource_type: i8,
        pub resource_name: Str,
        pub configs: Vec<AlterableConfig>,
    }

    /// An element of [`AlterConfigsResource::configs`].
    pub struct AlterableConfig {
        pub name: Str,
        pub value: Option<Str> = Some(Str::new()),
    }

    /// An error code for each resource.
    pub struct AlterConfigsResponse {
        pub throttle_time_ms: i32,
        pub responses: Vec<AlterConfigsResourceResponse>,
    }

    /// An element of [`AlterConfigsResponse::responses`].
    pub struct AlterConfigsResourceResponse {
        pub error_code: i16,
        pub error_message: Option<Str>,
        pub resource_type: i8,
        pub resource_name: Str,
    }
}
