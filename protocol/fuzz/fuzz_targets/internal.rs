//! What is stored in `__consumer_offsets`, and what group members tell each other.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena_protocol::internal::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, CoordinatorKey, GroupMetadataValue,
    OffsetCommitValue,
};

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = CoordinatorKey::from_bytes(bytes.clone());
    let _ = OffsetCommitValue::from_bytes(bytes.clone());
    let _ = GroupMetadataValue::from_bytes(bytes.clone());
    let _ = ConsumerProtocolSubscription::from_bytes(bytes.clone());
    let _ = ConsumerProtocolAssignment::from_bytes(bytes);
});
