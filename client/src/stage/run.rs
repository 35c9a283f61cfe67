//! The loop: consume, apply, produce, commit.
//!
//! A checkpoint is a set of input positions with the outputs that were handed to the producer
//! before it. It is committed once those are acked; reading goes on meanwhile. Before a
//! rebalance takes partitions away, and at the end, the loop waits for its last checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::error::StageError;
use super::{Outputs, Step, StepError};
use crate::{
    ClientConfig, Consumer, ConsumerConfig, ConsumerRecord, Event, ProduceError, Producer,
    ProducerConfig, ProducerRecord, Reset, TopicPartition,
};

/// How often a step ticks.
const TICK: Duration = Duration::from_secs(1);

/// How long an answer to a fetch may take, beyond what the broker may hold it, before the step is told.
const UNHEARD_AFTER: Duration = Duration::from_secs(2);

/// What to do with a record that the step cannot process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRecords {
    /// The stage stops with [`StageError::Record`].
    #[default]
    Stop,
    /// It is counted, told in the log, and passed over.
    Skip,
}

/// What a stage reads and writes.
#[derive(Clone, Debug)]
pub struct StageConfig {
    /// The topics to read.
    pub from: Vec<String>,
    /// The topic that outputs go to which name none; without one, they are dropped as an error.
    pub to: Option<String>,
    /// The group in which stages of the same kind share the partitions, and its offsets.
    pub group: String,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// What to do with a record that the step cannot process.
    pub bad_records: BadRecords,
    /// Stop once everything is processed that is in the topics when the stage gets its
    /// partitions.
    pub until_end: bool,
    /// How to read; group and committing are set by the stage.
    pub consumer: ConsumerConfig,
    /// How to write.
    pub producer: ProducerConfig,
}

impl StageConfig {
    /// From one topic, in a group of that name, at the cluster with these brokers. Starts at
    /// the earliest record.
    pub fn new(
        brokers: impl AsRef<str>,
        group: impl Into<String>,
        from: impl Into<String>,
    ) -> Self {
        let client = ClientConfig::new(brokers);
        Self {
            from: vec![from.into()],
            to: None,
            group: group.into(),
            commit_interval: Duration::from_secs(1),
            bad_records: BadRecords::Stop,
            until_end: false,
            consumer: ConsumerConfig {
                client: ClientConfig {
                    auto_create_topics: false,
                    ..client.clone()
                },
                reset: Reset::Earliest,
                ..ConsumerConfig::default()
            },
            producer: ProducerConfig {
                client,
                ..ProducerConfig::default()
            },
        }
    }

    /// Sets the topic that outputs go to.
    #[must_use]
    pub fn to(mut self, topic: impl Into<String>) -> Self {
        self.to = Some(topic.into());
        self
    }
}

/// What a stage did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageReport {
    /// Records read and applied.
    pub consumed: u64,
    /// Records written and acked.
    pub produced: u64,
    /// Records passed over, see [`BadRecords::Skip`].
    pub skipped: u64,
    /// Commits of offsets.
    pub commits: u64,
}

/// Runs a stage until `shutdown` completes (then it finishes the record it is at, commits, and
/// leaves its group), the input ends, or something fails. At least once: an offset is committed
/// after all outputs of the records before it were acked.
///
/// ```no_run
/// use client::ConsumerRecord;
/// use client::stage::{self, Output, Outputs, StageConfig, Step, StepError};
///
/// struct Shout;
///
/// impl Step for Shout {
///     async fn apply(&mut self, record: &ConsumerRecord, out: &mut Outputs) -> Result<(), StepError> {
///         let mut output = Output::from(record);
///         output.value = record.value.as_ref().map(|value| value.to_ascii_uppercase().into());
///         out.push(output);
///         Ok(())
///     }
/// }
///
/// # async fn example() -> Result<(), stage::StageError> {
/// let config = StageConfig::new("127.0.0.1:9092", "shouters", "whispers").to("shouts");
/// let report = stage::run(config, &mut Shout, async { tokio::signal::ctrl_c().await.ok(); }).await?;
/// println!("{} records", report.consumed);
/// # Ok(())
/// # }
/// ```
pub async fn run<S: Step>(
    config: StageConfig,
    step: &mut S,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<StageReport, StageError> {
    if config.from.is_empty() {
        return Err(StageError::Config(
            "a stage needs a topic to read".to_owned(),
        ));
    }
    if config
        .to
        .as_ref()
        .is_some_and(|to| config.from.contains(to))
    {
        let told = "a stage that writes to the topic it reads would never end";
        return Err(StageError::Config(told.to_owned()));
    }
    let mut consumer = Consumer::new(ConsumerConfig {
        group_id: Some(config.group.clone()),
        auto_commit: None,
        ..config.consumer.clone()
    })?;
    consumer.subscribe(config.from.iter().map(String::as_str))?;
    let producer = Producer::new(config.producer.clone())?;
    let mut stage = Stage {
        to: config.to.as_deref().map(Into::into),
        applied: BTreeMap::new(),
        ends: None,
        checkpoint: None,
        out: Outputs::new(),
        report: StageReport::default(),
        config,
        consumer,
        producer,
        step,
    };
    let result = stage.drive(shutdown).await;
    let closed = stage.consumer.close().await;
    result?;
    closed?;
    Ok(stage.report)
}

struct Stage<'a, S> {
    config: StageConfig,
    to: Option<Arc<str>>,
    consumer: Consumer,
    producer: Producer,
    step: &'a mut S,
    /// For each partition the offset behind the last record applied.
    applied: BTreeMap<TopicPartition, i64>,
    /// Where the input ends, if the stage ends there.
    ends: Option<BTreeMap<TopicPartition, i64>>,
    checkpoint: Option<Checkpoint>,
    out: Outputs,
    report: StageReport,
}

struct Checkpoint {
    offsets: BTreeMap<TopicPartition, i64>,
    acked: JoinHandle<Result<(), ProduceError>>,
}

impl<S: Step> Stage<'_, S> {
    async fn drive(&mut self, shutdown: impl Future<Output = ()> + Send) -> Result<(), StageError> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut next_tick = Instant::now() + TICK;
        let mut next_commit = Instant::now() + self.config.commit_interval;
        'reading: loop {
            let timeout = next_tick
                .min(next_commit)
                .saturating_duration_since(Instant::now());
            // A poll that is given up loses nothing: what was not returned is polled next.
            let event = tokio::select! {
                biased;
                () = &mut shutdown => break,
                event = self.consumer.poll_event(timeout) => event?,
            };
            match event {
                Event::Records(records) => {
                    for record in records {
                        // A step may take long for each. What is left here is not committed.
                        if has_completed(shutdown.as_mut()).await {
                            break 'reading;
                        }
                        self.apply(record).await?;
                    }
                }
                Event::Assigned(partitions) => {
                    if self.config.until_end {
                        self.ends = Some(self.consumer.end_offsets(&partitions).await?);
                    }
                    self.step.assigned(&partitions);
                }
                Event::Revoked(partitions) => {
                    self.commit_all().await?;
                    self.revoked(&partitions);
                }
                Event::Lost(partitions) => {
                    self.abandon_checkpoint().await?;
                    self.revoked(&partitions);
                }
            }
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick().await?;
            }
            self.commit_if_acked().await?;
            if now >= next_commit && self.checkpoint.is_none() {
                next_commit = now + self.config.commit_interval;
                self.start_checkpoint();
            }
            if self.is_at_end() {
                break;
            }
        }
        let finished = self.step.finish(&mut self.out).await;
        self.judge(finished, None)?;
        self.send().await?;
        self.commit_all().await
    }

    async fn apply(&mut self, record: ConsumerRecord) -> Result<(), StageError> {
        let applied = self.step.apply(&record, &mut self.out).await;
        self.judge(applied, Some(&record))?;
        self.send().await?;
        self.report.consumed += 1;
        match self.applied.get_mut(&record.topic_partition()) {
            Some(offset) => *offset = record.offset + 1,
            None => {
                self.applied
                    .insert(record.topic_partition(), record.offset + 1);
            }
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), StageError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = since.map_or(0, |since| since.as_millis() as i64);
        let within = self.config.consumer.fetch_max_wait + UNHEARD_AFTER;
        let unheard = self.consumer.unheard(within);
        if !unheard.is_empty() {
            self.step.unheard(&unheard);
        }
        let ticked = self.step.tick(now_ms, &mut self.out).await;
        self.judge(ticked, None)?;
        self.send().await
    }

    fn judge(
        &mut self,
        result: Result<(), StepError>,
        record: Option<&ConsumerRecord>,
    ) -> Result<(), StageError> {
        match (result, record) {
            (Ok(()), _) => Ok(()),
            (Err(StepError::Record(message)), Some(record)) => {
                let partition = record.topic_partition();
                if self.config.bad_records == BadRecords::Stop {
                    return Err(StageError::Record {
                        partition,
                        offset: record.offset,
                        message,
                    });
                }
                tracing::warn!(%partition, offset = record.offset, message, "a record was skipped");
                self.report.skipped += 1;
                // Half of its outputs would be worse than none.
                self.out.take();
                Ok(())
            }
            (Err(StepError::Record(message) | StepError::Fatal(message)), _) => {
                Err(StageError::Step(message))
            }
        }
    }

    async fn send(&mut self) -> Result<(), StageError> {
        if self.out.is_empty() {
            return Ok(());
        }
        for output in self.out.take() {
            let Some(topic) = output.topic.or_else(|| self.to.clone()) else {
                let told = "the step emitted a record, and the stage has no topic to write to";
                return Err(StageError::Config(told.to_owned()));
            };
            let record = ProducerRecord {
                topic,
                partition: output.partition,
                timestamp: output.timestamp,
                key: output.key,
                value: output.value,
                headers: output.headers,
            };
            // The outcome is asked of the flush before each commit.
            self.producer.send(record).await?;
            self.report.produced += 1;
        }
        Ok(())
    }

    /// What may be committed once all outputs so far are acked.
    fn offsets(&self) -> BTreeMap<TopicPartition, i64> {
        let applied = self.applied.iter();
        applied
            .map(|(partition, offset)| {
                let held = self.step.holds(partition);
                (
                    partition.clone(),
                    held.map_or(*offset, |held| held.min(*offset)),
                )
            })
            .collect()
    }

    fn start_checkpoint(&mut self) {
        let offsets = self.offsets();
        if offsets.is_empty() {
            return;
        }
        let producer = self.producer.clone();
        self.checkpoint = Some(Checkpoint {
            offsets,
            acked: tokio::spawn(async move { producer.flush().await }),
        });
    }

    async fn commit_if_acked(&mut self) -> Result<(), StageError> {
        match self.checkpoint.take() {
            Some(checkpoint) if checkpoint.acked.is_finished() => self.commit(checkpoint).await,
            checkpoint => {
                self.checkpoint = checkpoint;
                Ok(())
            }
        }
    }

    /// Waits for all outputs and commits all that was applied.
    async fn commit_all(&mut self) -> Result<(), StageError> {
        if let Some(checkpoint) = self.checkpoint.take() {
            self.commit(checkpoint).await?;
        }
        self.start_checkpoint();
        match self.checkpoint.take() {
            Some(checkpoint) => self.commit(checkpoint).await,
            // Without inputs there may be outputs, from a tick.
            None => Ok(self.producer.flush().await?),
        }
    }

    async fn commit(&mut self, checkpoint: Checkpoint) -> Result<(), StageError> {
        let acked = checkpoint.acked.await;
        acked.expect("a flush does not panic")?;
        match self.consumer.commit_offsets(&checkpoint.offsets).await {
            Ok(()) => {
                self.report.commits += 1;
                Ok(())
            }
            // Others have the partitions and will read these records again: at least once.
            Err(error) if error.retriable() => {
                tracing::warn!(%error, "offsets were not committed");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Its flush must not go on unheard: it would take the failure of a later output with it.
    async fn abandon_checkpoint(&mut self) -> Result<(), StageError> {
        if let Some(checkpoint) = self.checkpoint.take() {
            checkpoint.acked.abort();
            if let Ok(flushed) = checkpoint.acked.await {
                flushed?;
            }
        }
        Ok(())
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        let gone: BTreeSet<&TopicPartition> = partitions.iter().collect();
        self.applied
            .retain(|partition, _| !gone.contains(partition));
        self.ends = None;
        self.step.revoked(partitions);
    }

    /// Positions count, not records: an end may lie behind what no consumer sees.
    fn is_at_end(&self) -> bool {
        let Some(ends) = &self.ends else { return false };
        let mut ends = ends.iter();
        ends.all(|(partition, end)| self.consumer.position(partition) >= Some(*end))
    }
}

/// A step that never waits must not keep whoever completes it from running.
async fn has_completed(mut future: Pin<&mut impl Future<Output = ()>>) -> bool {
    tokio::task::consume_budget().await;
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}
