//! The log broker: logs, groups, the Kafka listener.

pub mod group;
pub mod log;
