//! A consumer's dealings with its group, at each poll: giving partitions up, joining, taking
//! them over, and, as the group's leader, noticing that topics have grown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::fetcher::Shared;
use super::group::{Group, Joined, Rejoin};
use super::{ConsumeError, Consumer, Event};
use crate::TopicPartition;
use crate::client::Counts;

/// A consumer's place in its group.
pub(super) struct Membership {
    pub(super) group: Arc<Group>,
    heartbeats: JoinHandle<()>,
    pub(super) topics: BTreeSet<Arc<str>>,
    pub(super) phase: Phase,
    led: Option<Counts>,
    counted: Instant,
    counting: Option<JoinHandle<Option<Counts>>>,
}

pub(super) enum Phase {
    /// Not in the group, or told that the partitions go: the next poll joins.
    Out,
    Joining(
        JoinHandle<()>,
        oneshot::Receiver<Result<Start, ConsumeError>>,
    ),
    In,
}

/// An assignment, and where to start in it.
pub(super) struct Start {
    joined: Joined,
    offsets: Vec<(TopicPartition, Option<i64>)>,
}

/// How often the group's leader looks whether topics have grown.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

impl Consumer {
    /// What the group needs at a poll; perhaps something to tell.
    pub(super) async fn attend_group(&mut self) -> Result<Option<Event>, ConsumeError> {
        let Some(membership) = &mut self.group else {
            return Ok(None);
        };
        membership.group.polled();
        if membership.group.has_failed() {
            return self.leave_failed_group();
        }
        match &mut membership.phase {
            Phase::In => {
                membership.watch_growth(&self.shared).await;
                let Some(why) = membership.group.rejoin() else {
                    return Ok(None);
                };
                Ok(self.give_up(why).await)
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
                // What it commits is of an older generation.
                if let Some(committing) = self.committing.take() {
                    committing.abort();
                }
                let reset = self.shared.reset();
                self.shared.positions.lock().assign(start.offsets, reset);
                self.shared.wake();
                Ok(Some(Event::Assigned(partitions)))
            }
        }
    }

    /// Gives up the partitions: to be joined for again at the next poll.
    async fn give_up(&mut self, why: Rejoin) -> Option<Event> {
        self.put_back_polled();
        let partitions = self.assignment();
        let commits = why == Rejoin::InOrder && self.shared.config.auto_commit.is_some();
        if commits
            && !partitions.is_empty()
            && let Err(error) = self.commit().await
        {
            tracing::warn!(%error, "the commit before a rebalance failed");
        }
        // Not before the commit: a poll that is given up there is told of it at the next.
        let membership = self.group.as_mut()?;
        membership.phase = Phase::Out;
        // The commit may have found that they are gone.
        let lost = membership.group.rejoin() == Some(Rejoin::Lost);
        if lost {
            self.shared.positions.lock().assign([], None);
        }
        match (partitions.is_empty(), lost) {
            (true, _) => None,
            (false, true) => Some(Event::Lost(partitions)),
            (false, false) => Some(Event::Revoked(partitions)),
        }
    }

    /// The membership ended with an error: first the partitions are told to be gone.
    fn leave_failed_group(&mut self) -> Result<Option<Event>, ConsumeError> {
        let Some(membership) = &mut self.group else {
            return Ok(None);
        };
        let was_in = matches!(membership.phase, Phase::In);
        membership.phase = Phase::Out;
        let partitions = self.shared.positions.lock().list();
        if was_in && !partitions.is_empty() {
            self.polled.clear();
            self.shared.positions.lock().assign([], None);
            return Ok(Some(Event::Lost(partitions)));
        }
        match membership.group.take_failure() {
            Some(error) => Err(error.into()),
            None => Ok(None),
        }
    }

    /// What was polled and not handed out counts as not polled.
    fn put_back_polled(&mut self) {
        let back = self.positions();
        let mut positions = self.shared.positions.lock();
        for record in self.polled.drain(..) {
            let partition = record.topic_partition();
            if let Some(offset) = back.get(&partition) {
                positions.seek(&partition, *offset);
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.heartbeats.abort();
        self.stop_joining();
    }
}

impl Membership {
    pub(super) fn new(group: Arc<Group>, topics: BTreeSet<Arc<str>>, heartbeat: Duration) -> Self {
        Self {
            heartbeats: tokio::spawn(heartbeats(Arc::clone(&group), heartbeat)),
            group,
            topics,
            phase: Phase::Out,
            led: None,
            counted: Instant::now(),
            counting: None,
        }
    }

    pub(super) fn stop_joining(&mut self) {
        if let Phase::Joining(task, _) = &self.phase {
            task.abort();
        }
        self.phase = Phase::Out;
    }

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
        let client = shared.client.clone();
        self.counting = Some(tokio::spawn(async move {
            client.count_partitions(&topics).await.ok()
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
