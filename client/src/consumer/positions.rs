//! A consumer's partitions: where each is read, what was fetched ahead, what is to be fetched
//! next. No I/O and no clock: times and answers are passed in.
//!
//! Each assignment and seek gives a partition a new epoch; what was asked under an older one
//! is dropped when it arrives.

mod heard;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use protocol::records::{self, BatchView};
use tokio::time::Instant;

use super::ConsumeError;
use super::buffered::{Buffered, corrupt};
use crate::metadata::Cluster;
use crate::offsets::OffsetSpec;
use crate::{ConsumerRecord, TopicPartition};

#[derive(Default)]
pub(super) struct Positions {
    partitions: BTreeMap<TopicPartition, Assigned>,
    /// Those with something fetched, in the order of their turn.
    ready: VecDeque<TopicPartition>,
    next_epoch: u64,
    buffered: usize,
    /// Counts the times that `take` made room.
    takes: u64,
    errors: VecDeque<ConsumeError>,
}

struct Assigned {
    epoch: u64,
    start: Start,
    /// The next offset to fetch.
    fetch_from: i64,
    paused: bool,
    fetching: bool,
    /// Fetches in a row that came to nothing.
    failures: u32,
    /// Nothing is asked before this.
    not_before: Option<Instant>,
    buffered: Buffered,
    /// What came behind all that is buffered cannot be read.
    damage: Option<ConsumeError>,
    /// The log's end at the last fetch.
    high_watermark: Option<i64>,
    /// When a fetch was answered last.
    heard: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Start {
    /// To be found out.
    At(OffsetSpec),
    /// The next offset to hand out.
    Known(i64),
    /// Nowhere to start: an error was reported, and only a seek helps.
    Stuck,
}

/// What to fetch of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) partition: TopicPartition,
    pub(super) epoch: u64,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
}

/// What to fetch of a broker.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) wanted: Vec<Wanted>,
    /// Some partition is left out for now, as enough of it waits to be polled: the broker must
    /// not hold the answer for the others long.
    pub(super) withheld: bool,
    /// How often room was made until now.
    pub(super) takes: u64,
}

impl Positions {
    /// Replaces all partitions. `None` starts where `default` says.
    pub(super) fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = (TopicPartition, Option<i64>)>,
        default: Option<OffsetSpec>,
    ) {
        self.partitions.clear();
        self.ready.clear();
        self.buffered = 0;
        self.errors.clear();
        for (partition, offset) in partitions {
            let start = match (offset, default) {
                (Some(offset), _) => Start::Known(offset),
                (None, Some(spec)) => Start::At(spec),
                (None, None) => {
                    let error = ConsumeError::NoOffset(partition.clone());
                    self.errors.push_back(error);
                    Start::Stuck
                }
            };
            self.next_epoch += 1;
            let assigned = Assigned::new(self.next_epoch, start);
            self.partitions.insert(partition, assigned);
        }
    }

    pub(super) fn list(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The next offset that `take` hands out, where it is known.
    pub(super) fn position(&self, partition: &TopicPartition) -> Option<i64> {
        match self.partitions.get(partition)?.start {
            Start::Known(offset) => Some(offset),
            _ => None,
        }
    }

    /// The log's end as of the last fetch.
    pub(super) fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition)?.high_watermark
    }

    pub(super) fn all(&self) -> BTreeMap<TopicPartition, i64> {
        self.partitions
            .iter()
            .filter_map(|(partition, assigned)| match assigned.start {
                Start::Known(offset) => Some((partition.clone(), offset)),
                _ => None,
            })
            .collect()
    }

    /// Goes on elsewhere. Whether the partition is assigned.
    pub(super) fn seek(&mut self, partition: &TopicPartition, offset: i64) -> bool {
        self.restart(partition, Start::Known(offset))
    }

    fn restart(&mut self, partition: &TopicPartition, start: Start) -> bool {
        let Some(assigned) = self.partitions.get_mut(partition) else {
            return false;
        };
        self.next_epoch += 1;
        self.buffered -= assigned.buffered.bytes();
        let paused = assigned.paused;
        *assigned = Assigned::new(self.next_epoch, start);
        assigned.paused = paused;
        self.ready.retain(|ready| ready != partition);
        true
    }

    /// Whether the partition is assigned.
    pub(super) fn pause(&mut self, partition: &TopicPartition, paused: bool) -> bool {
        let Some(assigned) = self.partitions.get_mut(partition) else {
            return false;
        };
        assigned.paused = paused;
        true
    }

    /// Partitions whose place is still to be looked up.
    pub(super) fn unresolved(&self, now: Instant) -> Vec<(TopicPartition, u64, OffsetSpec)> {
        self.partitions
            .iter()
            .filter(|(_, assigned)| assigned.not_before.is_none_or(|at| at <= now))
            .filter_map(|(partition, assigned)| match assigned.start {
                Start::At(spec) => Some((partition.clone(), assigned.epoch, spec)),
                _ => None,
            })
            .collect()
    }

    /// The answer to `unresolved`.
    pub(super) fn resolve(&mut self, partition: &TopicPartition, epoch: u64, offset: i64) {
        if let Some(assigned) = self.current_epoch(partition, epoch) {
            assigned.start = Start::Known(offset);
            assigned.fetch_from = offset;
        }
    }

    fn current_epoch(&mut self, partition: &TopicPartition, epoch: u64) -> Option<&mut Assigned> {
        let assigned = self.partitions.get_mut(partition)?;
        (assigned.epoch == epoch).then_some(assigned)
    }

    /// The brokers that lead some assigned partition.
    pub(super) fn leaders(&self, cluster: &Cluster) -> Vec<i32> {
        let mut leaders: Vec<i32> = self
            .partitions
            .keys()
            .filter_map(|partition| cluster.leader(&partition.topic, partition.partition))
            .collect();
        leaders.sort_unstable();
        leaders.dedup();
        leaders
    }

    /// Whether some partition has no leader that is known.
    pub(super) fn misses_leaders(&self, cluster: &Cluster) -> bool {
        self.partitions.keys().any(|partition| {
            cluster
                .leader(&partition.topic, partition.partition)
                .is_none()
        })
    }

    /// What to fetch of `broker` now; it counts as under way until `arrived` or `failed`.
    pub(super) fn plan(
        &mut self,
        now: Instant,
        cluster: &Cluster,
        broker: i32,
        partition_bytes: usize,
        prefetch_bytes: usize,
    ) -> Plan {
        let mut plan = Plan {
            takes: self.takes,
            ..Plan::default()
        };
        for (partition, assigned) in &mut self.partitions {
            let topic = cluster.topics.get(&partition.topic);
            let Some(known) = topic.and_then(|topic| topic.partition(partition.partition)) else {
                continue;
            };
            let resolved = matches!(assigned.start, Start::Known(_));
            if known.leader != Some(broker)
                || !resolved
                || assigned.paused
                || assigned.fetching
                || assigned.damage.is_some()
            {
                continue;
            }
            if assigned.not_before.is_some_and(|at| at > now)
                || assigned.buffered.bytes() >= partition_bytes
                || self.buffered >= prefetch_bytes
            {
                plan.withheld = true;
                continue;
            }
            assigned.fetching = true;
            plan.wanted.push(Wanted {
                partition: partition.clone(),
                epoch: assigned.epoch,
                offset: assigned.fetch_from,
                leader_epoch: known.leader_epoch,
            });
        }
        plan
    }

    /// Whole batches arrived for `wanted`; `bytes` may be empty, and end inside a batch.
    pub(super) fn arrived(
        &mut self,
        wanted: &Wanted,
        bytes: Bytes,
        high_watermark: i64,
        check_crcs: bool,
    ) {
        let Some(assigned) = self.current_epoch(&wanted.partition, wanted.epoch) else {
            return;
        };
        assigned.fetching = false;
        assigned.failures = 0;
        assigned.not_before = None;
        assigned.high_watermark = Some(high_watermark);
        let mut whole = 0;
        let mut damage = None;
        while whole < bytes.len() {
            let batch = match BatchView::parse(&bytes[whole..]) {
                Ok(batch) => batch,
                // The last one may be cut off, the first may not.
                Err(records::BatchError::Truncated { .. }) if whole > 0 => break,
                Err(error) => {
                    damage = Some(error);
                    break;
                }
            };
            if check_crcs && !batch.crc_ok() {
                damage = Some(records::BatchError::Invalid("its checksum is wrong"));
                break;
            }
            if batch.last_offset() < assigned.fetch_from && whole > 0 {
                damage = Some(records::BatchError::Invalid("its offsets go backwards"));
                break;
            }
            whole += batch.size();
            assigned.fetch_from = assigned.fetch_from.max(batch.last_offset() + 1);
        }
        if let Some(source) = damage
            && whole == 0
        {
            // What is buffered lies before it and is handed out first.
            assigned.damage = Some(corrupt(&wanted.partition, assigned.fetch_from, source));
        }
        if whole > 0 {
            assigned.buffered.push(bytes.slice(..whole));
        }
        let has_news = assigned.has_news();
        self.buffered += whole;
        if has_news && !self.ready.contains(&wanted.partition) {
            self.ready.push_back(wanted.partition.clone());
        }
    }

    /// The fetch of `wanted` came to nothing; `not_before` says from when on another may be
    /// sent, by the number of failures in a row.
    pub(super) fn failed(&mut self, wanted: &Wanted, not_before: impl FnOnce(u32) -> Instant) {
        if let Some(assigned) = self.current_epoch(&wanted.partition, wanted.epoch) {
            assigned.fetching = false;
            assigned.failures += 1;
            assigned.not_before = Some(not_before(assigned.failures));
        }
    }

    /// What was asked for is not in the log any more, or not yet.
    pub(super) fn out_of_range(
        &mut self,
        wanted: &Wanted,
        reset: Option<OffsetSpec>,
        not_before: Instant,
    ) {
        let Some(assigned) = self.current_epoch(&wanted.partition, wanted.epoch) else {
            return;
        };
        assigned.fetching = false;
        // What is still buffered is before it, and is handed out first.
        if assigned.has_news() {
            assigned.not_before = Some(not_before);
            return;
        }
        match reset {
            Some(spec) => assigned.start = Start::At(spec),
            None => {
                assigned.start = Start::Stuck;
                let error = ConsumeError::NoOffset(wanted.partition.clone());
                self.errors.push_back(error);
            }
        }
    }

    /// An error that the next poll reports.
    pub(super) fn report(&mut self, error: ConsumeError) {
        // One that nobody polls for must not grow without end.
        if self.errors.len() < 100 {
            self.errors.push_back(error);
        }
    }

    /// Up to `most` records, partition by partition in turn, or the first error.
    pub(super) fn take(&mut self, most: usize) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        let mut taken = Vec::new();
        for _ in 0..self.ready.len() {
            if taken.len() >= most {
                break;
            }
            let Some(partition) = self.ready.pop_front() else {
                break;
            };
            let Some(assigned) = self.partitions.get_mut(&partition) else {
                continue;
            };
            if assigned.paused {
                self.ready.push_back(partition);
                continue;
            }
            let before = assigned.buffered.bytes();
            let result = assigned.take(&partition, most, &mut taken);
            self.buffered -= before - assigned.buffered.bytes();
            self.takes += 1;
            if assigned.has_news() {
                // It had its turn, if it was cut short by `most`.
                self.ready.push_back(partition);
            }
            if let Err(error) = result {
                if taken.is_empty() {
                    return Err(error);
                }
                self.errors.push_back(error);
                break;
            }
        }
        Ok(taken)
    }
}

impl Assigned {
    fn new(epoch: u64, start: Start) -> Self {
        Self {
            epoch,
            start,
            fetch_from: match start {
                Start::Known(offset) => offset,
                _ => 0,
            },
            paused: false,
            fetching: false,
            failures: 0,
            not_before: None,
            buffered: Buffered::default(),
            damage: None,
            high_watermark: None,
            heard: None,
        }
    }

    /// Whether `take` has something to do here.
    fn has_news(&self) -> bool {
        !self.buffered.is_empty() || self.damage.is_some()
    }

    fn take(
        &mut self,
        partition: &TopicPartition,
        most: usize,
        taken: &mut Vec<ConsumerRecord>,
    ) -> Result<(), ConsumeError> {
        let Start::Known(mut position) = self.start else {
            return Ok(());
        };
        let mut result = self.buffered.take(partition, &mut position, most, taken);
        self.start = Start::Known(position);
        if result.is_ok() && self.buffered.is_empty() {
            result = self.damage.take().map_or(Ok(()), Err);
        }
        if result.is_err() {
            // Nothing behind the damage is handed out before somebody seeks.
            self.start = Start::Stuck;
            self.buffered = Buffered::default();
        }
        result
    }
}

#[cfg(test)]
mod tests;
