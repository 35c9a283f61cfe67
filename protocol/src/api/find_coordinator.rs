//! FindCoordinator: which broker coordinates a group or a transactional id.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::FindCoordinator.flexible_from();

    /// Keys to look up: one up to version 3, several from version 4 on (KIP-699).
    pub struct FindCoordinatorRequest {
        pub key: Str { ..=3 },
        pub key_type: i8 { 1.. },
        pub coordinator_keys: Vec<Str> { 4.. },
    }

    /// A coordinator for each key.
    pub struct FindCoordinatorResponse {
        pub throttle_time_ms: i32 { 1.. },
        pub error_code: i16 { ..=3 },
        pub error_message: Option<Str> { 1..=3 },
        pub node_id: i32 { ..=3 },
        pub host: Str { ..=3 },
        pub port: i32 { ..=3 },
        pub coordinators: Vec<Coordinator> { 4.. },
    }

    /// An element of [`FindCoordinatorResponse::coordinators`].
    pub struct Coordinator {
        pub key: Str,
        pub node_id: i32,
        pub host: Str,
        pub port: i32,
        pub error_code: i16,
        pub error_message: Option<Str>,
    }
}
