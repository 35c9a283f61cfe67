//! The consumer: partitions by hand or by a group, records by polling.
//!
//! `positions` decides what to fetch and what to hand out, `buffered` unpacks it, `fetcher`
//! fetches. `verdict` and `assignor` decide what a group's member does, `group` asks the
//! coordinator, `membership` attends to it at each poll. `commit` and `seek` are the rest of what
//! a user sees, as is what stands here.
//! A rebalance happens within a poll: what earlier polls returned is processed then, so that
//! it can be committed before the partitions go.

mod assignor;
mod buffered;
mod commit;
mod config;
mod error;
mod fetcher;
mod group;
mod membership;
mod positions;
mod seek;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use assignor::Assignor;
pub use config::{ConsumerConfig, Reset};
pub use error::ConsumeError;

use crate::coordinator::Coordinator;
use crate::{Client, ConsumerRecord, TopicPartition};
use fetcher::Shared;
use group::{Group, Rejoin};
use membership::Membership;

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
    /// That of the group, if the configuration names one.
    coordinator: Option<Arc<Coordinator>>,
    /// What `next` has not handed out yet of a poll.
    polled: VecDeque<ConsumerRecord>,
    last_commit: Instant,
    /// An automatic commit; it ends with what was stored.
    committing: Option<JoinHandle<BTreeMap<TopicPartition, i64>>>,
    /// What the group has for sure, so that it need not be committed again.
    committed: BTreeMap<TopicPartition, i64>,
}

/// How often a waiting poll looks after the group.
const GROUP_INTERVAL: Duration = Duration::from_secs(1);

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
        self.committed = committed.into_iter().map(|(p, c)| (p, c.offset)).collect();
        let starts = partitions.into_iter().map(|partition| {
            let offset = self.committed.get(&partition).copied();
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
        let Some(coordinator) = self.coordinator.clone() else {
            return Err(ConsumeError::NoGroup("subscribing"));
        };
        self.shared.client.want_only(&topics);
        if let Some(membership) = &mut self.group {
            membership.topics = topics;
            membership.group.ask_to_rejoin(Rejoin::InOrder);
            return Ok(());
        }
        self.forget_partitions();
        let group = Arc::new(Group::new(coordinator, self.shared.config.clone()));
        let interval = self.shared.config.heartbeat_interval;
        self.group = Some(Membership::new(group, topics, interval));
        Ok(())
    }

    /// Leaves the group and gives up all partitions, without a commit.
    pub async fn unsubscribe(&mut self) {
        self.forget_partitions();
        if let Some(mut membership) = self.group.take() {
            membership.stop_joining();
            membership.group.leave().await;
        }
    }

    fn forget_partitions(&mut self) {
        self.polled.clear();
        self.shared.positions.lock().assign([], None);
        self.committed.clear();
        if let Some(committing) = self.committing.take() {
            committing.abort();
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

    /// The next record, however long it takes. Those handed out before count as processed, where
    /// positions are committed automatically.
    pub async fn next(&mut self) -> Result<ConsumerRecord, ConsumeError> {
        loop {
            if self.may_hand_out_polled() {
                self.auto_commit().await;
                if let Some(record) = self.polled.pop_front() {
                    return Ok(record);
                }
            }
            self.polled = self.poll(Duration::from_secs(3600)).await?.into();
        }
    }

    /// As [`poll`](Self::poll), and tells of partitions that come and go.
    pub async fn poll_event(&mut self, timeout: Duration) -> Result<Event, ConsumeError> {
        let deadline = Instant::now() + timeout;
        if self.may_hand_out_polled() {
            return Ok(Event::Records(std::mem::take(&mut self.polled).into()));
        }
        loop {
            if let Some(event) = self.attend_group().await? {
                return Ok(event);
            }
            self.auto_commit().await;
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

    /// Whether there is something that `next` polled, and the group does not mind. This is a
    /// poll to the group, too.
    fn may_hand_out_polled(&self) -> bool {
        let undisturbed = || match &self.group {
            Some(membership) => {
                membership.group.polled();
                !membership.group.has_news()
            }
            None => true,
        };
        !self.polled.is_empty() && undisturbed()
    }

    async fn wait(&self, deadline: Instant) {
        let shared = Arc::clone(&self.shared);
        let commit_at = match shared.config.auto_commit {
            Some(interval) if self.coordinator.is_some() => self.last_commit + interval,
            _ => deadline,
        };
        let until = deadline.min(commit_at.max(Instant::now() + Duration::from_millis(10)));
        // A member looks after its group also while there is nothing to read.
        let until = match self.group {
            Some(_) => until.min(Instant::now() + GROUP_INTERVAL),
            None => until,
        };
        let group = async {
            match &self.group {
                Some(membership) => membership.group.news.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.data.notified() => {}
            () = group => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// Stops handing out records of these partitions, until [`resume`](Self::resume).
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumeError> {
        for partition in partitions {
            // What `next` was going to hand out comes after the pause.
            let position = self.position(partition);
            if self.forget_polled(partition)
                && let Some(offset) = position
            {
                self.shared.positions.lock().seek(partition, offset);
            }
        }
        self.set_paused(partitions, true)
    }

    /// Hands out records of these partitions again.
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumeError> {
        self.set_paused(partitions, false)
    }

    fn set_paused(&self, partitions: &[TopicPartition], paused: bool) -> Result<(), ConsumeError> {
        for partition in partitions {
            self.change_assigned(partition, |shared| {
                shared.positions.lock().pause(partition, paused)
            })?;
        }
        self.shared.wake();
        self.shared.data.notify_one();
        Ok(())
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
