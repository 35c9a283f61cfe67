//! Why a record was not delivered.

use std::sync::Arc;
use std::time::Duration;

use protocol::ErrorCode;

use crate::{ClientError, ConnectionError, TopicPartition};

/// Why a record was not delivered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// It is larger than the producer may send; nothing was sent.
    #[error("a record of {size} bytes for topic {topic}; the limit is {limit} (max_record_bytes)")]
    TooLarge {
        /// The topic it was for.
        topic: Arc<str>,
        /// The record's size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Its topic is not known; nothing was sent.
    #[error(transparent)]
    Topic(#[from] ClientError),
    /// It names a partition that its topic does not have; nothing was sent.
    #[error("topic {} has {count} partitions, none with index {}", partition.topic, partition.partition)]
    NoSuchPartition {
        /// What it names.
        partition: TopicPartition,
        /// How many partitions there are.
        count: usize,
    },
    /// The broker refused it, for good.
    #[error("{partition}: {}", match detail { Some(detail) => format!("{detail} ({})", code.name()), None => code.to_string() })]
    Refused {
        /// Where it was to go.
        partition: TopicPartition,
        /// Kafka's code.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        detail: Option<Arc<str>>,
    },
    /// It was not acknowledged in time. If it was under way, it may be in the log nevertheless.
    #[error("{partition}: not acknowledged within {} ms{}", after.as_millis(), match last { Some(last) => format!("; the last try: {last}"), None => String::new() })]
    Expired {
        /// Where it was to go.
        partition: TopicPartition,
        /// The delivery time-out.
        after: Duration,
        /// Why the last try failed, if there was one.
        last: Option<Arc<str>>,
    },
    /// The brokers and this client have no version in common.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed,
}
