//! Consumer groups of the classic protocol, and the offsets that they commit.
//!
//! [`core`] decides (a pure state machine, one [`core::Shard`] to a partition of
//! `__consumer_offsets`); [`records`] turns its records into Kafka's schemas and back;
//! [`GroupCoordinator`] runs it: clocks, waiting requests, writes to the log. What lies in a log,
//! and which partitions this broker leads, is not known here: see [`OffsetsLog`]. Called by
//! `broker::api` (one method to an API) and by whoever moves leadership (`load`, `unload`,
//! `topic_deleted`).

mod coordinator;
pub mod core;
mod describe;
mod fetch;
mod log;
mod membership;
mod offsets;
mod partition;
pub mod records;
#[cfg(test)]
mod tests;

pub use coordinator::{GroupCoordinator, partition_of};
pub use core::Config as GroupConfig;
pub use log::OffsetsLog;
