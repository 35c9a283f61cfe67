//! Why a consumer cannot go on.

use protocol::ErrorCode;
use protocol::records::BatchError;

use crate::{ClientError, TopicPartition};

/// Why a consumer cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no committed offset, or nothing at it any more, and the configuration names no
    /// place to start from instead.
    #[error(
        "{0}: no committed offset to start from, or nothing is left there; seek, or let the consumer start at the earliest or latest (auto.offset.reset)"
    )]
    NoOffset(TopicPartition),
    /// What was fetched is not what a producer wrote. Seek past it to go on.
    #[error("{partition}: the batch at offset {offset} is damaged: {source}")]
    Corrupt {
        /// Where.
        partition: TopicPartition,
        /// The first offset of the batch.
        offset: i64,
        /// What is wrong with it.
        source: BatchError,
    },
    /// It needs a group id, and the configuration has none.
    #[error("{0} needs a group: set group_id")]
    NoGroup(&'static str),
    /// A partition was named that is not assigned.
    #[error("{0} is not assigned to this consumer")]
    NotAssigned(TopicPartition),
    /// The group gave this member's partitions to others: what was to be committed is theirs to
    /// read again.
    #[error(
        "group {group}: the offsets were not committed, as the member's partitions have gone to others ({code}); poll more often, or raise rebalance_timeout"
    )]
    Fenced {
        /// The group.
        group: String,
        /// Kafka's code.
        code: ErrorCode,
    },
}

impl ConsumeError {
    /// Whether polling again may succeed.
    pub fn retriable(&self) -> bool {
        match self {
            Self::Client(error) => error.retriable(),
            Self::Fenced { .. } => true,
            _ => false,
        }
    }
}
