//! How records come in: which partition, which batch, and whose task is to look.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::records::BatchBuilder;
use protocol::wire::Str;
use uuid::Uuid;

use super::{Accumulator, Slot};
use crate::metadata::Topic;
use crate::producer::ProduceError;
use crate::producer::batch::Batch;
use crate::producer::delivery::Outcome;
use crate::producer::partitioner::{Sticky, partition_for_key};
use crate::random::Random;
use crate::{ProducerRecord, TopicPartition};

pub(super) struct TopicQueues {
    id: Uuid,
    /// The cluster has it no more: whoever sends next looks for it, and may create it.
    gone: bool,
    sticky: Sticky,
    /// Indexes of partitions that have a leader.
    available: Vec<i32>,
    /// By partition.
    slots: Vec<usize>,
}

/// What `push` did.
pub(in crate::producer) enum Pushed {
    /// It is in a batch; `wake` names the broker whose task should look, if one should.
    Queued {
        outcome: Arc<Outcome>,
        index: u32,
        wake: Option<i32>,
    },
    /// The topic has to be told first, by `set_topic`.
    UnknownTopic(ProducerRecord),
    NoSuchPartition(ProduceError),
    /// Nothing is taken any more.
    Closed,
}

impl Accumulator {
    /// Tells a topic's partitions and their leaders. Only where another topic has taken the name
    /// are they fewer than before: what waits for the others then has nowhere to go, and expires.
    pub(in crate::producer) fn set_topic(&mut self, name: &Arc<str>, topic: &Topic) {
        if topic.partitions.is_empty() {
            return;
        }
        let (random, batch_bytes) = (&mut self.random, self.settings.batch_bytes);
        let queues = self
            .topics
            .entry(name.clone())
            .or_insert_with(|| TopicQueues {
                id: topic.id,
                gone: false,
                sticky: Sticky::new(Random::seeded(random.next()), batch_bytes),
                available: Vec::new(),
                slots: Vec::new(),
            });
        queues.available.clear();
        queues.gone = false;
        if queues.id != topic.id {
            queues.id = topic.id;
            for &slot in &queues.slots {
                self.slots[slot].leader = None;
                self.slots[slot].begun = false;
            }
            queues.slots.truncate(topic.partitions.len());
        }
        for partition in &topic.partitions {
            let index = partition.index as usize;
            if index == queues.slots.len() {
                queues.slots.push(self.slots.len());
                self.slots.push(Slot {
                    partition: TopicPartition::new(name.clone(), partition.index),
                    leader: None,
                    queue: VecDeque::new(),
                    in_flight: Vec::new(),
                    retrying: false,
                    identity: None,
                    begun: false,
                    next_sequence: 0,
                });
            }
            let Some(&slot) = queues.slots.get(index) else {
                continue;
            };
            self.slots[slot].leader = partition.leader;
            match partition.leader {
                Some(_) => queues.available.push(partition.index),
                None => queues.sticky.leave(partition.index),
            }
        }
    }

    /// Tells all topics that are there.
    pub(in crate::producer) fn set_topics(&mut self, topics: &BTreeMap<Arc<str>, Arc<Topic>>) {
        for queues in self.topics.values_mut() {
            queues.gone = true;
        }
        for (name, topic) in topics {
            self.set_topic(name, topic);
        }
    }

    /// Adds a record, which holds `memory` bytes of the producer's, at `now` and with the wall
    /// clock at `now_unix_ms`.
    pub(in crate::producer) fn push(
        &mut self,
        now: u64,
        now_unix_ms: i64,
        record: ProducerRecord,
        memory: usize,
    ) -> Pushed {
        if self.closed {
            return Pushed::Closed;
        }
        let topic = self.topics.get_mut(&record.topic);
        let Some(topic) = topic.filter(|topic| !topic.gone) else {
            return Pushed::UnknownTopic(record);
        };
        let count = topic.slots.len();
        let index = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, count),
            (None, None) => topic.sticky.choose(memory, &topic.available, count),
        };
        let known = usize::try_from(index).ok();
        let Some(&slot_at) = known.and_then(|index| topic.slots.get(index)) else {
            return Pushed::NoSuchPartition(ProduceError::NoSuchPartition {
                partition: TopicPartition::new(record.topic, index),
                count,
            });
        };
        let slot = &mut self.slots[slot_at];
        let full = self.settings.batch_bytes;
        let fits = slot.queue.back_mut().is_some_and(|batch| {
            batch.attempts == 0
                && batch
                    .builder()
                    .is_some_and(|builder| builder.estimated_size() + memory <= full)
        });
        let mut closed_one = false;
        if !fits {
            closed_one = slot.queue.back().is_some_and(|batch| batch.attempts == 0);
            let number = self.next_number;
            self.next_number += 1;
            self.open.insert(number);
            slot.queue.push_back(Batch::new(
                number,
                slot_at,
                now,
                BatchBuilder::new(self.settings.compression),
                Outcome::new(slot.partition.clone()),
            ));
        }
        let batch = slot
            .queue
            .back_mut()
            .expect("there is one, or one was added");
        let place = batch.count as u32;
        batch.count += 1;
        batch.memory += memory;
        let headers: Vec<(Str, Option<bytes::Bytes>)> = record
            .headers
            .into_iter()
            .map(|header| (Str::from(header.key), header.value))
            .collect();
        let due = batch.created + self.settings.linger_ms;
        let outcome = batch.outcome.clone();
        let builder = batch
            .builder()
            .expect("a batch that was never sent is not built");
        builder.push(
            record.timestamp.unwrap_or(now_unix_ms),
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
        let is_full = builder.estimated_size() >= full;
        let leader = slot.leader;
        let wake = leader.filter(|leader| {
            let armed = self.armed.get_mut(leader);
            let due = if closed_one || is_full { now } else { due };
            match armed {
                // It has looked at none yet, or looks too late: once is enough.
                Some(armed) if *armed > due => {
                    *armed = due;
                    true
                }
                Some(_) => false,
                None => true,
            }
        });
        if leader.is_none() {
            self.wants_metadata = true;
        }
        Pushed::Queued {
            outcome,
            index: place,
            wake,
        }
    }
}
