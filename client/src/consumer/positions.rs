//! A consumer's partitions: where each is read, what was fetched ahead, what is to be fetched
//! next. No I/O and no clock: times and answers are passed in.
//!
//! Each assignment and seek gives a partition a new epoch; what was asked under an older one
//! is dropped when it arrives.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use protocol::records::{self, BatchView, Record, RecordIter};
use tokio::time::Instant;

use super::ConsumeError;
use crate::metadata::Cluster;
use crate::offsets::OffsetSpec;
use crate::{ConsumerRecord, Header, TimestampType, TopicPartition};

/// A batch may unpack to this much, in bytes: far more than any broker's limit for a batch, far
/// less than a hostile one could claim.
const UNPACKED_LIMIT: usize = 256 << 20;

#[derive(Default)]
pub(super) struct Positions {
    partitions: BTreeMap<TopicPartition, Assigned>,
    /// Those with something fetched, in the order of their turn.
    ready: VecDeque<TopicPartition>,
    next_epoch: u64,
    buffered: usize,
    errors: VecDeque<ConsumeError>,
}

struct Assigned {
    epoch: u64,
    start: Start,
    /// The next offset to fetch.
    fetch_from: i64,
    paused: bool,
    fetching: bool,
    /// Nothing is asked before this.
    not_before: Option<Instant>,
    /// Whole batches, in order.
    fetched: VecDeque<Bytes>,
    buffered: usize,
    current: Option<Current>,
    /// What came behind all that is buffered cannot be read.
    damage: Option<ConsumeError>,
    /// The log's end at the last fetch.
    high_watermark: Option<i64>,
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

/// The batch that is being handed out.
struct Current {
    records: RecordIter,
    timestamp_type: TimestampType,
    /// The offset behind the batch.
    end: i64,
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

    /// Goes on at a place that is looked up first. Whether the partition is assigned.
    pub(super) fn seek_to(&mut self, partition: &TopicPartition, spec: OffsetSpec) -> bool {
        self.restart(partition, Start::At(spec))
    }

    fn restart(&mut self, partition: &TopicPartition, start: Start) -> bool {
        let Some(assigned) = self.partitions.get_mut(partition) else {
            return false;
        };
        self.next_epoch += 1;
        self.buffered -= assigned.buffered;
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
        let mut plan = Plan::default();
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
                || assigned.buffered >= partition_bytes
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
            assigned.buffered += whole;
            assigned.fetched.push_back(bytes.slice(..whole));
        }
        let has_news = assigned.has_news();
        self.buffered += whole;
        if has_news && !self.ready.contains(&wanted.partition) {
            self.ready.push_back(wanted.partition.clone());
        }
    }

    /// The fetch of `wanted` came to nothing; another may be sent from `not_before` on.
    pub(super) fn failed(&mut self, wanted: &Wanted, not_before: Instant) {
        if let Some(assigned) = self.current_epoch(&wanted.partition, wanted.epoch) {
            assigned.fetching = false;
            assigned.not_before = Some(not_before);
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
            let before = assigned.buffered;
            let result = assigned.take(&partition, most, &mut taken);
            self.buffered -= before - assigned.buffered;
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
            not_before: None,
            fetched: VecDeque::new(),
            buffered: 0,
            current: None,
            damage: None,
            high_watermark: None,
        }
    }

    /// Whether `take` has something to do here.
    fn has_news(&self) -> bool {
        self.current.is_some() || !self.fetched.is_empty() || self.damage.is_some()
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
        let result = loop {
            if taken.len() >= most {
                break Ok(());
            }
            let Some(current) = &mut self.current else {
                match self.open_next() {
                    Ok(true) => continue,
                    Ok(false) => break self.damage.take().map_or(Ok(()), Err),
                    Err((offset, source)) => {
                        break Err(corrupt(partition, offset, source));
                    }
                }
            };
            match current.records.next() {
                Some(Ok(record)) if record.offset < position => {}
                Some(Ok(record)) => {
                    position = record.offset + 1;
                    taken.push(consumed(partition, record, current.timestamp_type));
                }
                Some(Err(source)) => {
                    break Err(corrupt(partition, position, source));
                }
                None => {
                    position = position.max(current.end);
                    self.current = None;
                }
            }
        };
        self.start = Start::Known(position);
        if result.is_err() {
            // Nothing behind the damage is handed out before somebody seeks.
            self.start = Start::Stuck;
            self.current = None;
            self.fetched.clear();
            self.buffered = 0;
        }
        result
    }

    /// Opens the next batch with records for users; whether there is one.
    fn open_next(&mut self) -> Result<bool, (i64, records::BatchError)> {
        let Some(bytes) = self.fetched.front_mut() else {
            return Ok(false);
        };
        let batch = BatchView::parse(bytes).map_err(|error| (self.fetch_from, error))?;
        let (size, base) = (batch.size(), batch.base_offset());
        let end = batch.last_offset() + 1;
        let timestamp_type = match batch.timestamp_type() {
            records::TimestampType::CreateTime => TimestampType::CreateTime,
            records::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        };
        let control = batch.is_control();
        let batch = bytes.split_to(size);
        self.buffered -= size;
        if bytes.is_empty() {
            self.fetched.pop_front();
        }
        if control {
            // Markers of transactions are not for users; the position moves past them.
            let Start::Known(position) = self.start else {
                return Ok(false);
            };
            self.start = Start::Known(position.max(end));
            return self.open_next();
        }
        let records = records::records(batch, UNPACKED_LIMIT).map_err(|error| (base, error))?;
        self.current = Some(Current {
            records,
            timestamp_type,
            end,
        });
        Ok(true)
    }
}

fn corrupt(partition: &TopicPartition, offset: i64, source: records::BatchError) -> ConsumeError {
    ConsumeError::Corrupt {
        partition: partition.clone(),
        offset,
        source,
    }
}

fn consumed(
    partition: &TopicPartition,
    record: Record,
    timestamp_type: TimestampType,
) -> ConsumerRecord {
    ConsumerRecord {
        topic: Arc::clone(&partition.topic),
        partition: partition.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type,
        key: record.key,
        value: record.value,
        headers: record
            .headers
            .into_iter()
            .map(|(key, value)| Header {
                key: key.to_string(),
                value,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
