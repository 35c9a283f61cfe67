//! A node: a broker and a coordination service in one process, with their configuration,
//! the HTTP port for metrics and health, and start and stop in order.
//!
//! Nothing here knows Kafka's protocol or the log's files. The programs `milena serve` and
//! `milena dev` are thin over it; `milena coord` over `zookeeper`, a coordination service without a broker.

pub mod config;
mod error;
mod http;
mod limits;
pub mod logging;
mod metrics;
mod run;
mod start;
pub mod zookeeper;

pub use config::Config;
pub use coord::zoo_cfg::ZooCfg;
pub use coord::{ImportError, Imported};
pub use error::NodeError;
pub use run::run;
pub use start::Node;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
