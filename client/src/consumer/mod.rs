//! The consumer: partitions by hand or by a group, records by polling.
//!
//! `positions` decides what to fetch and what to hand out, `fetcher` fetches; `membership` and
//! `assignor` decide what a group's member does, `group` does it. Here is what a user sees.
//! A rebalance happens within a poll: what earlier polls returned is processed then, so that
//! it can be committed before the partitions go.

mod assignor;
mod config;
mod error;
mod fetcher;
mod group;
mod membership;
mod positions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use assignor::Assignor;
pub use config::{ConsumerConfig, Reset};
pub use error::ConsumeError;

use crate::coordinator::{Committer, Coordinator};
use crate::offsets::{self, FoundOffset, OffsetSpec};
use crate::{Client, ClientError, ConsumerRecord, TopicPartition};
use fetcher::Shared;
use group::{Group, Joined, Rejoin};

/// Reads topics.
///
/// ```no_run
/// use std::time::Duration;
/// use client::{Consumer, ConsumerConfig, Reset};
///
/// # async fn example() -> Result<(), client::ConsumeError> {
/// let mut consumer = Consumer::new(ConsumerConfig {
///     reset: Reset::Earliest,
///     ..ConsumerConfig::in_group("127.0.0.1:9092", "readers")
/// })?;
/// consumer.subscribe(["article"])?;
/// for record in consumer.poll(Duration::from_secs(1)).await? {
///     println!("{}@{}: {:?}", record.topic, record.offset, record.value);
/// }
/// consumer.commit().await?;
/// consumer.close().await
/// # }
/// ```
pub struct Consumer {
    shared: Arc<Shared>,
    director: JoinHandle<()>,
    group: Option<Membership>,
    /// For commits of partitions assigned by hand.
    coordinator: Option<Arc<Coordinator>>,
    /// What `next` has not handed out yet of a poll.
    polled: VecDeque<ConsumerRecord>,
    last_commit: Instant,
    committing: Option<JoinHandle<()>>,
    committed: BTreeMap<TopicPartition, i64>,
}

/// What happens to a consumer, as [`Consumer::poll_event`] tells it.
#[derive(Clone, Debug)]
pub enum Event {
    /// Records, in order within each partition; none when the time was up.
    Records(Vec<ConsumerRecord>),
    /// The group gave us these partitions.
    Assigned(Vec<TopicPartition>),
    /// The group is about to take these back. They are ours until the next poll: what is
    /// processed can be committed now.
    Revoked(Vec<TopicPartition>),
    /// The group has given these to others already; committing will fail.
    Lost(Vec<TopicPartition>),
}

/// How many partitions topics have.
type Counts = BTreeMap<Arc<str>, usize>;

struct Membership {
    group: Arc<Group>,
    heartbeats: JoinHandle<()>,
    topics: BTreeSet<Arc<str>>,
    phase: Phase,
    led: Option<Counts>,
    counted: Instant,
    counting: Option<JoinHandle<Option<Counts>>>,
}

enum Phase {
    /// Not in the group, or told that the partitions go: the next poll joins.
    Out,
    Joining(
        JoinHandle<()>,
        oneshot::Receiver<Result<Start, ConsumeError>>,
    ),
    In,
}

/// An assignment, and where to start in it.
struct Start {
    joined: Joined,
    offsets: Vec<(TopicPartition, Option<i64>)>,
}

/// How often the group's leader looks whether topics have grown.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

impl Consumer {
    /// A consumer; it connects when it has something to read. Must be called within a tokio
    /// runtime.
    pub fn new(config: ConsumerConfig) -> Result<Self, ConsumeError> {
        let client = Client::new(config.client.clone())?;
        let coordinator = config
            .group_id
            .as_deref()
            .map(|group| Arc::new(Coordinator::new(client.clone(), group)));
        let shared = Arc::new(Shared::new(client, config));
        Ok(Self {
            director: tokio::spawn(fetcher::run(Arc::clone(&shared))),
            shared,
            group: None,
            coordinator,
            polled: VecDeque::new(),
            last_commit: Instant::now(),
            committing: None,
            committed: BTreeMap::new(),
        })
    }

    /// Reads these partitions, and no others. With a group they start at its committed offsets,
    /// but the group does not know of this consumer.
    pub async fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<(), ConsumeError> {
        self.unsubscribe().await;
        let partitions: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        let topics: BTreeSet<Arc<str>> = partitions.iter().map(|p| p.topic.clone()).collect();
        self.shared.client.want_only(&topics);
        for topic in &topics {
            self.shared.client.topic(topic).await?;
        }
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        let committed = match &self.coordinator {
            Some(coordinator) => coordinator.committed(Some(&partitions)).await?,
            None => BTreeMap::new(),
        };
        let starts = partitions.into_iter().map(|partition| {
            let offset = committed.get(&partition).map(|committed| committed.offset);
            (partition, offset)
        });
        // Whoever assigns by hand may seek next: without a place to start, polling tells.
        let reset = self.shared.reset();
        self.shared.positions.lock().assign(starts, reset);
        self.shared.wake();
        Ok(())
    }

    /// Reads these topics, together with the other members of the group.
    pub fn subscribe<T: Into<Arc<str>>>(
        &mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), ConsumeError> {
        let topics: BTreeSet<Arc<str>> = topics.into_iter().map(Into::into).collect();
        let Some(name) = self.shared.config.group_id.clone() else {
            return Err(ConsumeError::NoGroup("subscribing"));
        };
        self.shared.client.want_only(&topics);
        if let Some(membership) = &mut self.group {
            membership.topics = topics;
            membership.group.ask_to_rejoin(Rejoin::InOrder);
            return Ok(());
        }
        self.shared.positions.lock().assign([], None);
        let coordinator = Coordinator::new(self.shared.client.clone(), name);
        let config = self.shared.config.clone();
        let group = Arc::new(Group::new(coordinator, config, Arc::new(Notify::new())));
        self.group = Some(Membership {
            heartbeats: tokio::spawn(heartbeats(
                Arc::clone(&group),
                self.shared.config.heartbeat_interval,
            )),
            group,
            topics,
            phase: Phase::Out,
            led: None,
            counted: Instant::now(),
            counting: None,
        });
        Ok(())
    }

    /// Leaves the group and gives up all partitions, without a commit.
    pub async fn unsubscribe(&mut self) {
        self.polled.clear();
        self.shared.positions.lock().assign([], None);
        if let Some(membership) = self.group.take() {
            membership.group.leave().await;
        }
    }

    /// The partitions it reads at present.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.positions.lock().list()
    }

    /// Records as soon as there are some; none when `timeout` is over. What earlier polls
    /// returned counts as processed, where positions are committed automatically.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Event::Records(records) = self.poll_event(left).await? {
                return Ok(records);
            }
        }
    }

    /// The next record, however long it takes.
    pub async fn next(&mut self) -> Result<ConsumerRecord, ConsumeError> {
        loop {
            if let Some(record) = self.polled.pop_front() {
                return Ok(record);
            }
            self.polled = self.poll(Duration::from_secs(3600)).await?.into();
        }
    }

    /// As [`poll`](Self::poll), and tells of partitions that come and go.
    pub async fn poll_event(&mut self, timeout: Duration) -> Result<Event, ConsumeError> {
        let deadline = Instant::now() + timeout;
        if !self.polled.is_empty() {
            return Ok(Event::Records(std::mem::take(&mut self.polled).into()));
        }
        loop {
            if let Some(event) = self.attend_group().await? {
                return Ok(event);
            }
            self.auto_commit();
            let most = self.shared.config.max_poll_records.max(1);
            let records = self.shared.positions.lock().take(most)?;
            if !records.is_empty() {
                self.shared.wake_fetchers();
                return Ok(Event::Records(records));
            }
            if Instant::now() >= deadline {
                return Ok(Event::Records(records));
            }
            self.wait(deadline).await;
        }
    }

    async fn wait(&self, deadline: Instant) {
        let shared = Arc::clone(&self.shared);
        let commit_at = match shared.config.auto_commit {
            Some(interval) if self.coordinator.is_some() => self.last_commit + interval,
            _ => deadline,
        };
        let until = deadline.min(commit_at.max(Instant::now() + Duration::from_millis(10)));
        let news = self
            .group
            .as_ref()
            .map(|membership| Arc::clone(&membership.group.news));
        let group = async {
            match news {
                Some(news) => news.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.data.notified() => {}
            () = group => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// What the group needs at a poll; perhaps something to tell.
    async fn attend_group(&mut self) -> Result<Option<Event>, ConsumeError> {
        let Some(membership) = &mut self.group else {
            return Ok(None);
        };
        membership.group.polled();
        if let Some(error) = membership.group.take_failure() {
            membership.phase = Phase::Out;
            return Err(error.into());
        }
        match &mut membership.phase {
            Phase::In => {
                membership.watch_growth(&self.shared).await;
                let Some(why) = membership.group.rejoin() else {
                    return Ok(None);
                };
                let partitions = self.shared.positions.lock().list();
                membership.phase = Phase::Out;
                if partitions.is_empty() {
                    return Ok(None);
                }
                self.polled.clear();
                if why == Rejoin::Lost {
                    self.shared.positions.lock().assign([], None);
                    return Ok(Some(Event::Lost(partitions)));
                }
                if self.shared.config.auto_commit.is_some()
                    && let Err(error) = self.commit().await
                {
                    tracing::warn!(%error, "the commit before a rebalance failed");
                }
                Ok(Some(Event::Revoked(partitions)))
            }
            Phase::Out => {
                self.shared.positions.lock().assign([], None);
                membership.start_to_join(&self.shared);
                Ok(None)
            }
            Phase::Joining(_, joined) => {
                let result = match joined.try_recv() {
                    Ok(result) => result,
                    Err(oneshot::error::TryRecvError::Empty) => return Ok(None),
                    Err(oneshot::error::TryRecvError::Closed) => {
                        membership.phase = Phase::Out;
                        return Ok(None);
                    }
                };
                membership.phase = Phase::Out;
                let start = result?;
                membership.phase = Phase::In;
                membership.led = start.joined.led;
                membership.counted = Instant::now();
                let partitions = start.joined.partitions;
                self.committed = start
                    .offsets
                    .iter()
                    .filter_map(|(partition, offset)| Some((partition.clone(), (*offset)?)))
                    .collect();
                self.last_commit = Instant::now();
                let reset = self.shared.reset();
                self.shared.positions.lock().assign(start.offsets, reset);
                self.shared.wake();
                Ok(Some(Event::Assigned(partitions)))
            }
        }
    }

    /// Goes on at `offset`, which need not be there: then `reset` says where.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ConsumeError> {
        self.forget_polled(partition);
        self.found(partition, |shared| {
            shared.positions.lock().seek(partition, offset)
        })
    }

    /// Goes on at the first record that is there.
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.forget_polled(partition);
        self.found(partition, |shared| {
            shared
                .positions
                .lock()
                .seek_to(partition, OffsetSpec::Earliest)
        })
    }

    /// Goes on behind the last record.
    pub fn seek_to_end(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.forget_polled(partition);
        self.found(partition, |shared| {
            shared
                .positions
                .lock()
                .seek_to(partition, OffsetSpec::Latest)
        })
    }

    /// Goes on, in all assigned partitions, at the first record of this time (in milliseconds
    /// since 1970) or later; at the end where there is none.
    pub async fn seek_to_time(&mut self, timestamp_ms: i64) -> Result<(), ConsumeError> {
        let partitions = self.assignment();
        let found = self.offsets_for_time(&partitions, timestamp_ms).await?;
        let later: Vec<_> = partitions
            .iter()
            .filter(|partition| !matches!(found.get(partition), Some(Some(_))))
            .cloned()
            .collect();
        let ends = self.end_offsets(&later).await?;
        for partition in &partitions {
            let found = found.get(partition).copied().flatten();
            let at = found.map(|at| at.offset).or(ends.get(partition).copied());
            if let Some(offset) = at {
                self.seek(partition, offset)?;
            }
        }
        Ok(())
    }

    /// Stops handing out records of these partitions, until [`resume`](Self::resume).
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumeError> {
        self.set_paused(partitions, true)
    }

    /// Hands out records of these partitions again.
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumeError> {
        self.set_paused(partitions, false)
    }

    fn set_paused(&self, partitions: &[TopicPartition], paused: bool) -> Result<(), ConsumeError> {
        for partition in partitions {
            self.found(partition, |shared| {
                shared.positions.lock().pause(partition, paused)
            })?;
        }
        self.shared.wake();
        self.shared.data.notify_one();
        Ok(())
    }

    fn found(
        &self,
        partition: &TopicPartition,
        change: impl FnOnce(&Shared) -> bool,
    ) -> Result<(), ConsumeError> {
        if !change(&self.shared) {
            return Err(ConsumeError::NotAssigned(partition.clone()));
        }
        self.shared.wake();
        Ok(())
    }

    fn forget_polled(&mut self, partition: &TopicPartition) {
        self.polled.retain(|record| {
            record.partition != partition.partition || record.topic != partition.topic
        });
    }

    /// The offset of the next record that will be handed out, once it is known.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let waiting = self.polled.iter().find(|record| {
            record.partition == partition.partition && record.topic == partition.topic
        });
        match waiting {
            Some(record) => Some(record.offset),
            None => self.shared.positions.lock().position(partition),
        }
    }

    /// The positions of all assigned partitions, where they are known.
    pub fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        let mut positions = self.shared.positions.lock().all();
        // Backwards, so that the first record of each partition stays.
        for record in self.polled.iter().rev() {
            positions.insert(record.topic_partition(), record.offset);
        }
        positions
    }

    /// The partition's end as of the last fetch: what is between it and the position is its lag.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        self.shared.positions.lock().high_watermark(partition)
    }

    /// Commits the positions: all that was handed out counts as processed.
    pub async fn commit(&mut self) -> Result<(), ConsumeError> {
        let positions = self.positions();
        self.commit_offsets(&positions).await
    }

    /// Commits these offsets: for each partition that of the next record to read.
    pub async fn commit_offsets(
        &mut self,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ConsumeError> {
        // One after the other, or an older commit could overtake a newer one.
        if let Some(committing) = self.committing.take() {
            let _ = committing.await;
        }
        self.last_commit = Instant::now();
        let changed: BTreeMap<TopicPartition, i64> = offsets
            .iter()
            .filter(|(partition, offset)| self.committed.get(partition) != Some(offset))
            .map(|(partition, offset)| (partition.clone(), *offset))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let result = match (&self.group, &self.coordinator) {
            (Some(membership), _) => {
                let group = &membership.group;
                group.coordinator.commit(&group.committer(), &changed).await
            }
            (None, Some(coordinator)) => coordinator.commit(&Committer::outside(), &changed).await,
            (None, None) => return Err(ConsumeError::NoGroup("committing")),
        };
        match result {
            Ok(()) => {
                self.committed.extend(changed);
                Ok(())
            }
            Err(error) => Err(self.commit_failed(error)),
        }
    }

    fn commit_failed(&self, error: ClientError) -> ConsumeError {
        match (&self.group, error.code()) {
            (Some(membership), Some(code)) if membership.group.commit_failed(code) => {
                ConsumeError::Fenced {
                    group: membership.group.coordinator.group().to_string(),
                    code,
                }
            }
            _ => error.into(),
        }
    }

    /// Starts a commit of the positions when one is due, without waiting for it.
    fn auto_commit(&mut self) {
        let (Some(interval), Some(coordinator)) =
            (self.shared.config.auto_commit, &self.coordinator)
        else {
            return;
        };
        if self.last_commit.elapsed() < interval
            || self
                .committing
                .as_ref()
                .is_some_and(|task| !task.is_finished())
        {
            return;
        }
        self.last_commit = Instant::now();
        let mut positions = self.positions();
        positions.retain(|partition, offset| self.committed.get(partition) != Some(offset));
        if positions.is_empty() {
            return;
        }
        // Should it fail, the next one commits what has moved on since, and the one at the end all.
        let task = match &self.group {
            Some(membership) if !matches!(membership.phase, Phase::In) => return,
            Some(membership) => {
                let group = Arc::clone(&membership.group);
                tokio::spawn(async move {
                    let committer = group.committer();
                    if let Err(error) = group.coordinator.commit(&committer, &positions).await {
                        tracing::warn!(%error, "an automatic commit failed");
                        if let Some(code) = error.code() {
                            group.commit_failed(code);
                        }
                    }
                })
            }
            None => {
                let coordinator = Arc::clone(coordinator);
                tokio::spawn(async move {
                    let outside = Committer::outside();
                    if let Err(error) = coordinator.commit(&outside, &positions).await {
                        tracing::warn!(%error, "an automatic commit failed");
                    }
                })
            }
        };
        self.committing = Some(task);
    }

    /// The group's committed offsets of these partitions; one that has none is missing.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumeError> {
        let Some(coordinator) = &self.coordinator else {
            return Err(ConsumeError::NoGroup("asking for committed offsets"));
        };
        let committed = coordinator.committed(Some(partitions)).await?;
        Ok(committed.into_iter().map(|(p, c)| (p, c.offset)).collect())
    }

    /// The offset behind the last record of each partition. Reading until the position is there
    /// reads all that is there now.
    pub async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumeError> {
        let found = self.look_up(partitions, OffsetSpec::Latest).await?;
        Ok(found
            .into_iter()
            .filter_map(|(p, at)| Some((p, at?.offset)))
            .collect())
    }

    /// The offset of the first record of each partition.
    pub async fn beginning_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumeError> {
        let found = self.look_up(partitions, OffsetSpec::Earliest).await?;
        Ok(found
            .into_iter()
            .filter_map(|(p, at)| Some((p, at?.offset)))
            .collect())
    }

    /// The first record of each partition with this timestamp (in milliseconds since 1970) or a
    /// later one; `None` where there is none.
    pub async fn offsets_for_time(
        &self,
        partitions: &[TopicPartition],
        timestamp_ms: i64,
    ) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ConsumeError> {
        self.look_up(partitions, OffsetSpec::At(timestamp_ms)).await
    }

    async fn look_up(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ConsumeError> {
        let wanted = partitions
            .iter()
            .map(|partition| (partition.clone(), spec))
            .collect();
        Ok(offsets::list(&self.shared.client, &wanted).await?)
    }

    /// The partitions of a topic.
    pub async fn partitions_of(&self, topic: &str) -> Result<Vec<TopicPartition>, ConsumeError> {
        let name: Arc<str> = topic.into();
        let topic = self.shared.client.topic(topic).await?;
        let partitions = topic.partitions.iter();
        Ok(partitions
            .map(|p| TopicPartition::new(name.clone(), p.index))
            .collect())
    }

    /// The cluster that it reads from.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Commits, where positions are committed automatically, and leaves the group.
    pub async fn close(mut self) -> Result<(), ConsumeError> {
        let commits = self.shared.config.auto_commit.is_some() && self.coordinator.is_some();
        let mut result = Ok(());
        if commits && !self.shared.positions.lock().is_empty() {
            if let Some(committing) = self.committing.take() {
                let _ = committing.await;
            }
            result = self.commit().await;
        }
        self.unsubscribe().await;
        result
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.director.abort();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.heartbeats.abort();
        if let Phase::Joining(task, _) = &self.phase {
            task.abort();
        }
    }
}

impl Membership {
    fn start_to_join(&mut self, shared: &Arc<Shared>) {
        let group = Arc::clone(&self.group);
        let shared = Arc::clone(shared);
        let topics = self.topics.clone();
        self.led = None;
        self.counting = None;
        let (tell, told) = oneshot::channel();
        let task = tokio::spawn(async move {
            let started = start(&group, &shared, &topics).await;
            if tell.send(started).is_ok() {
                group.news.notify_one();
            }
        });
        self.phase = Phase::Joining(task, told);
    }

    /// A leader looks now and then whether topics have grown or appeared: then all join again.
    async fn watch_growth(&mut self, shared: &Shared) {
        let Some(led) = &self.led else { return };
        if let Some(counting) = &self.counting {
            if !counting.is_finished() {
                return;
            }
            let counted = self.counting.take().expect("it was there");
            if let Ok(Some(counts)) = counted.await
                && counts != *led
            {
                self.group.ask_to_rejoin(Rejoin::InOrder);
            }
            return;
        }
        let missing = led.values().any(|count| *count == 0);
        let every = if missing {
            COUNT_INTERVAL / 5
        } else {
            COUNT_INTERVAL.max(shared.config.client.metadata_max_age / 10)
        };
        if self.counted.elapsed() < every {
            return;
        }
        self.counted = Instant::now();
        let topics: BTreeSet<Arc<str>> = led.keys().cloned().collect();
        let group = Arc::clone(&self.group);
        self.counting = Some(tokio::spawn(async move {
            group.count_partitions(&topics).await.ok()
        }));
    }
}

async fn start(
    group: &Group,
    shared: &Shared,
    topics: &BTreeSet<Arc<str>>,
) -> Result<Start, ConsumeError> {
    let joined = group.join(topics).await?;
    let committed = if joined.partitions.is_empty() {
        BTreeMap::new()
    } else {
        group
            .coordinator
            .committed(Some(&joined.partitions))
            .await?
    };
    for partition in &joined.partitions {
        shared.client.want(&partition.topic);
    }
    let offsets = joined
        .partitions
        .iter()
        .map(|partition| {
            let offset = committed.get(partition).map(|committed| committed.offset);
            (partition.clone(), offset)
        })
        .collect();
    Ok(Start { joined, offsets })
}

async fn heartbeats(group: Arc<Group>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        group.heartbeat().await;
    }
}
