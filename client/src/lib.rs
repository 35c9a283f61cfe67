//! A Kafka client: [`Producer`], [`Consumer`], [`Admin`] and [`stage`].
//!
//! It speaks Kafka's wire protocol and knows nothing of any broker's insides, so it works
//! against Milena and against Apache Kafka alike. It is asynchronous, on tokio.

mod record;
pub mod stage;

pub use record::{ConsumerRecord, Header, ProducerRecord, TimestampType, TopicPartition};
