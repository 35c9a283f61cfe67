//! The step of a stage, as its author sees it: a trait, and where outputs go.

use std::future::{Future, ready};
use std::sync::Arc;

use bytes::Bytes;

use crate::{ConsumerRecord, Header, TopicPartition};

/// One step of a stage. `apply` is called for every record, in order within each partition.
///
/// Effects go to `out` only: the loop sends them and commits the input's offset once they are
/// acked. What is not committed is applied again after a restart, so a step must bear that.
///
/// ```
/// use client::ConsumerRecord;
/// use client::stage::{Output, Outputs, Step, StepError};
///
/// /// Lets through what is not empty.
/// struct NotEmpty;
///
/// impl Step for NotEmpty {
///     async fn apply(&mut self, record: &ConsumerRecord, out: &mut Outputs) -> Result<(), StepError> {
///         if record.value.as_ref().is_some_and(|value| !value.is_empty()) {
///             out.push(Output::from(record));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Step: Send {
    /// Applies the step to one record.
    fn apply(
        &mut self,
        record: &ConsumerRecord,
        out: &mut Outputs,
    ) -> impl Future<Output = Result<(), StepError>> + Send;

    /// Called about once a second and at each pause of the input, with the wall clock in
    /// milliseconds since 1970: windows that ended by the clock can be emitted here.
    fn tick(
        &mut self,
        now_ms: i64,
        out: &mut Outputs,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let _ = (now_ms, out);
        ready(Ok(()))
    }

    /// Called when the input has ended (a stage that stops at the end) or the stage is asked to
    /// stop: what should be emitted before the last commit goes to `out`.
    fn finish(&mut self, out: &mut Outputs) -> impl Future<Output = Result<(), StepError>> + Send {
        let _ = out;
        ready(Ok(()))
    }

    /// The lowest input offset of `partition` that state not yet emitted still depends on. The
    /// loop commits no further than that, so a restart reads those records again and rebuilds
    /// the state. `None` when the step holds nothing back.
    fn holds(&self, partition: &TopicPartition) -> Option<i64> {
        let _ = partition;
        None
    }

    /// These partitions are now this stage's: their records follow.
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }

    /// Called before a tick with those of this stage's partitions whose brokers have not answered for
    /// seconds: that no records come of them does not mean that they have none.
    fn unheard(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }

    /// These partitions are no longer this stage's: state that came from them is dropped, as
    /// whoever reads them next rebuilds it. Called after their offsets were committed.
    fn revoked(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }
}

/// Why a step could not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// This record cannot be processed, others can: the stage stops or skips it, as it is told.
    #[error("{0}")]
    Record(String),
    /// The step cannot go on at all: the stage stops.
    #[error("{0}")]
    Fatal(String),
}

/// A record that a step emits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The topic, or `None` for the one that the stage writes to.
    pub topic: Option<Arc<str>>,
    /// The partition, or `None` for the partitioner's choice, by the key.
    pub partition: Option<i32>,
    /// Milliseconds since 1970, or `None` for the time of sending.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<Header>,
}

/// A copy of an input: its key, value, headers and timestamp, for the stage's own topic.
impl From<&ConsumerRecord> for Output {
    fn from(record: &ConsumerRecord) -> Self {
        Self {
            topic: None,
            partition: None,
            timestamp: Some(record.timestamp),
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        }
    }
}

/// Where a step puts what it emits. The loop sends it, in order.
#[derive(Debug, Default)]
pub struct Outputs {
    records: Vec<Output>,
}

impl Outputs {
    /// An empty one; a step under test is handed this.
    pub fn new() -> Self {
        Self::default()
    }

    /// Emits a record.
    pub fn push(&mut self, output: Output) {
        self.records.push(output);
    }

    /// What was emitted since the last take, in order.
    pub fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.records)
    }

    /// Whether nothing was emitted.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
