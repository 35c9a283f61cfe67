//! A Kafka client: [`Producer`], [`Consumer`], [`Admin`] and [`stage`].
//!
//! It speaks Kafka's wire protocol and knows nothing of any broker's insides, so it works
//! against Milena and against Apache Kafka alike. It is asynchronous, on tokio.

mod admin;
mod client;
mod config;
mod connection;
mod consumer;
mod coordinator;
mod error;
mod metadata;
mod offsets;
mod producer;
mod record;
pub mod stage;

pub use admin::{
    Admin, ClusterDescription, ConfigChange, ConfigEntry, ConfigResource, ConfigSynonym,
    CreatedTopic, GroupDescription, GroupListing, GroupMember, LogDir, NewTopic, ReplicaSize,
};
pub use client::Client;
pub use config::ClientConfig;
pub use connection::{Answer, Backoff, Connection, ConnectionError, ConnectionOptions};
pub use consumer::{Assignor, ConsumeError, Consumer, ConsumerConfig, Event, Reset};
pub use coordinator::Committed;
pub use error::ClientError;
pub use metadata::{Broker, Cluster, Partition, Topic};
pub use offsets::{FoundOffset, OffsetSpec};
pub use producer::{
    Acks, Delivered, Delivery, ProduceError, Producer, ProducerConfig, partition_for_key,
};
pub use protocol::records::Compression;
pub use record::{ConsumerRecord, Header, ProducerRecord, TimestampType, TopicPartition};
