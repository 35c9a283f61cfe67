//! A Kafka client: [`Producer`], [`Consumer`], [`Admin`] and [`stage`].
//!
//! It speaks Kafka's wire protocol and knows nothing of any broker's insides, so it works
//! against Milena and against Apache Kafka alike. It is asynchronous, on tokio.
//!
//! ```no_run
//! use client::{Consumer, ConsumerConfig, Producer, ProducerConfig, ProducerRecord, Reset};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::new(ProducerConfig::new("127.0.0.1:9092"))?;
//! for n in 0..1000 {
//!     producer.send(ProducerRecord::new("numbers").value(n.to_string())).await?;
//! }
//! producer.close().await?; // an error, if any of them was not delivered
//!
//! let mut consumer = Consumer::new(ConsumerConfig {
//!     reset: Reset::Earliest,
//!     ..ConsumerConfig::in_group("127.0.0.1:9092", "adders")
//! })?;
//! consumer.subscribe(["numbers"])?;
//! for _ in 0..1000 {
//!     let record = consumer.next().await?;
//!     println!("{:?} at offset {}", record.value, record.offset);
//! }
//! consumer.close().await?; // commits, and leaves the group
//! # Ok(())
//! # }
//! ```

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
mod random;
mod record;
pub mod stage;

pub use admin::{
    Admin, ConfigChange, ConfigEntry, ConfigResource, CreatedTopic, GroupDescription, GroupListing,
    GroupMember, NewTopic,
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
