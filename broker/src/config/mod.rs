//! Configuration in Kafka's own words: which keys there are, and the values in force.
//! Where values come from (files, flags, the tree) is the business of others.

mod broker;
mod definition;
mod topic;

pub use broker::{BROKER_KEYS, BrokerConfig, key_meant};
pub use definition::{Check, ConfigError, Definition, Kind};
pub use topic::{
    StoredCompression, TOPIC_KEYS, TopicConfig, check_overrides, definition, in_force,
};
