//! Kafka's wire protocol and record batches as Rust types.
