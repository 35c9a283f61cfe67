//! IncrementalAlterConfigs: sets, deletes, appends to or subtracts from single configs (KIP-339).

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::IncrementalAlterConfigs.flexible_from();

    /// Operations on the configs of resources.
    pub struct IncrementalAlterConfigsRequest {
        pub resources: Vec<AlterConfigsResource>,
        pub validate_only: bool,
    }

    /// An element of [`IncrementalAlterConfigsRequest::resources`].
    pub struct AlterConfigsResource {
        pub resource_type: i8,
        pub resource_name: Str,
        pub configs: Vec<AlterableConfig>,
    }

    /// An element of [`AlterConfigsResource::configs`].
    pub struct AlterableConfig {
        pub name: Str,
        pub config_operation: i8,
        pub value: Option<Str> = Some(Str::new()),
    }

    /// An error code for each resource.
    pub struct IncrementalAlterConfigsResponse {
        pub throttle_time_ms: i32,
        pub responses: Vec<AlterConfigsResourceResponse>,
    }

    /// An element of [`IncrementalAlterConfigsResponse::responses`].
    pub struct AlterConfigsResourceResponse {
        pub error_code: i16,
        pub error_message: Option<Str>,
        pub resource_type: i8,
        pub resource_name: Str,
    }
}
