//! InitProducerId: a producer id and epoch for idempotent and transactional producers.

use crate::{
    ApiKey,
    wire::{Str, messages},
};

messages! {
    flexible from ApiKey::InitProducerId.flexible_from();

    /// Who asks; the id and epoch it already has are -1 at first (KIP-360).
    pub struct InitProducerIdRequest {
        pub transactional_id: Option<Str> = Some(Str::new()),
        pub transaction_timeout_ms: i32,
        pub producer_id: i64 { 3.. } = -1,
        pub producer_epoch: i16 { 3.. } = -1,
    }

    /// The id and epoch to write with.
    pub struct InitProducerIdResponse {
        pub throttle_time_ms: i32,
        pub error_code: i16,
        pub producer_id: i64 = -1,
        pub producer_epoch: i16,
    }
}
