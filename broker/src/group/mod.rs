//! Consumer groups of the classic protocol, and the offsets that they commit.
//!
//! [`core`] decides (a pure state machine, one [`core::Shard`] to a partition of
//! `__consumer_offsets`); [`records`] turns its records into Kafka's schemas and back;
//! [`GroupCoordinator`] runs it: clocks, waiting requests, writes to the log. What lies in a log,
//! and which partitions this broker leads, is not known here: see [`OffsetsLog`]. Called by
//! `broker::api` (one method to an API) and by whoever moves leadership (`load`, `unload`,
//! `topic_deleted`).

mod coordinator;
pub(crate) mod core;
mod describe;
mod fetch;
mod log;
mod membership;
mod offsets;
mod partition;
pub(crate) mod records;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::{GroupCoordinator, partition_of};
pub(crate) use core::Config as GroupConfig;
pub(crate) use log::OffsetsLog;
