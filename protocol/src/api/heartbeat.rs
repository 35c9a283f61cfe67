//! Heartbeat: a classic group's member says that it lives.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::Heartbeat.flexible_from();

    /// One member's sign of life.
    pub struct HeartbeatRequest {
        pub group_id: Str,
        pub generation_id: i32,
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 3.. },
    }

    /// Whether the member still belongs, or has to rejoin.
    pub struct HeartbeatResponse {
        pub throttle_time_ms: i32 { 1.. },
        pub error_code: i16,
    }
}
