//! What a producer can be told.

use std::time::Duration;

use protocol::records::Compression;

use super::accumulator::Settings;
use crate::ClientConfig;

/// Who must have a record before it counts as delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: the broker does not answer. Without idempotence only.
    None,
    /// The partition's leader. Without idempotence only.
    Leader,
    /// All in-sync replicas.
    #[default]
    All,
}

impl Acks {
    pub(super) fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a [`Producer`](super::Producer) works. The defaults lose nothing, duplicate nothing and
/// keep the order.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// The cluster.
    pub client: ClientConfig,
    /// Who must have a record before it counts as delivered.
    pub acks: Acks,
    /// Whether retries can neither duplicate nor reorder. Needs [`Acks::All`].
    pub idempotence: bool,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a record waits for others of its partition.
    pub linger: Duration,
    /// The size of a batch, in bytes before compression; no broker takes one larger than its
    /// `max.message.bytes` after.
    pub batch_bytes: usize,
    /// The size of a request, in bytes, unless one batch alone is larger.
    pub request_bytes: usize,
    /// The largest record, in bytes of key, value and headers.
    pub max_record_bytes: usize,
    /// Bytes of records that may wait or be under way; [`send`](super::Producer::send) waits
    /// when there are more.
    pub memory_bytes: usize,
    /// How long a record may take from `send` to its outcome, retries included.
    pub delivery_timeout: Duration,
}

impl ProducerConfig {
    /// The defaults, for the cluster with these brokers.
    pub fn new(brokers: impl AsRef<str>) -> Self {
        Self {
            client: ClientConfig::new(brokers),
            ..Self::default()
        }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            linger_ms: self.linger.as_millis() as u64,
            batch_bytes: self.batch_bytes,
            request_bytes: self.request_bytes,
            delivery_timeout_ms: self.delivery_timeout.as_millis() as u64,
            idempotent: self.idempotence,
            compression: self.compression,
            retry: self.client.retry,
        }
    }
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            client: ClientConfig::default(),
            acks: Acks::All,
            idempotence: true,
            compression: Compression::Lz4,
            linger: Duration::from_millis(5),
            batch_bytes: 256 << 10,
            request_bytes: 4 << 20,
            max_record_bytes: 1 << 20,
            memory_bytes: 64 << 20,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}
