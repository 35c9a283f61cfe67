//! Why a stage stopped.

use crate::{ConsumeError, ProduceError, TopicPartition};

/// Why a stage stopped. What it had not committed is applied again by the next one.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Its input could not be read, or an offset not committed.
    #[error("reading the input: {0}")]
    Input(#[from] ConsumeError),
    /// An output was not delivered.
    #[error("writing the output: {0}")]
    Output(#[from] ProduceError),
    /// The step failed on a record.
    #[error("{partition} at offset {offset}: {message}")]
    Record {
        /// Where the record is.
        partition: TopicPartition,
        /// Its offset.
        offset: i64,
        /// What the step said.
        message: String,
    },
    /// The step failed.
    #[error("{0}")]
    Step(String),
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
}
