//! The log broker: Kafka's protocol in front of logs on disk.
//!
//! A request comes in through `net`, is understood in `api`, and finds its `partition`,
//! which appends to or reads from its `log`. What topics there are is derived from the
//! coordination service's tree by `metadata`; groups live in `group`. Nobody outside the
//! crate reaches past [`Broker`].

mod api;
mod broker;
mod checkpoints;
mod cluster;
pub mod config;
mod controller;
mod error;
mod group;
mod log;
mod metadata;
mod metrics;
mod net;
mod observe;
mod offsets;
mod partition;
mod producer_ids;
mod storage;
mod time;

pub use broker::{Broker, BrokerOptions};
pub use error::StartError;
pub use metrics::{Counter, LATENCY_BOUNDS_US, Latency, Metrics, Requests};
pub use observe::{
    GroupObservation, Observation, Observer, OffsetObservation, PartitionObservation,
};
