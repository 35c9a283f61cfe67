//! The producer's core: which records are together in a batch, which batch may go when, and
//! what an answer means. Pure: time, answers and the cluster are passed in. How records get into
//! batches is in `fill`.
//!
//! Order within a partition is kept over retries. With idempotence up to five batches of a
//! partition are under way, as many as a broker remembers; a batch that was sent before is
//! sent again alone, once all others under way have been answered. The first one goes alone, too:
//! a broker that does not know a producer lets it begin with any sequence, so the second would be
//! taken before a first that was refused. Without idempotence one batch of a partition is under
//! way at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::ErrorCode;
use protocol::records::Compression;

use super::ProduceError;
use super::batch::{Batch, ProducerId};
use super::delivery::Acked;
use crate::connection::Backoff;
use crate::random::Random;
use crate::{ConnectionError, TopicPartition};
pub(super) use fill::Pushed;
use fill::TopicQueues;

mod fill;

/// What the accumulator is told once.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) linger_ms: u64,
    pub(super) batch_bytes: usize,
    pub(super) request_bytes: usize,
    pub(super) delivery_timeout_ms: u64,
    pub(super) idempotent: bool,
    pub(super) compression: Compression,
    pub(super) retry: Backoff,
}

/// As many batches of an idempotent producer as a broker remembers for each partition.
const REMEMBERED: usize = 5;

pub(super) struct Accumulator {
    settings: Settings,
    topics: HashMap<Arc<str>, TopicQueues>,
    slots: Vec<Slot>,
    /// When the task of each broker looks at its partitions next.
    armed: BTreeMap<i32, u64>,
    identity: Option<ProducerId>,
    next_number: u64,
    /// Batches that have no outcome yet.
    open: BTreeSet<u64>,
    /// The first failure that no flush has told.
    failure: Option<ProduceError>,
    /// Nothing is taken any more.
    closed: bool,
    /// Batches up to this one go without lingering.
    flush_below: u64,
    /// Where the next drain begins, so that no partition starves.
    turn: usize,
    wants_metadata: bool,
    random: Random,
}

struct Slot {
    partition: TopicPartition,
    leader: Option<i32>,
    /// The last batch may still be filled; those before are closed.
    queue: VecDeque<Batch>,
    /// The numbers of batches under way.
    in_flight: Vec<u64>,
    /// A batch that was sent before is under way: a broker remembers five batches, so were
    /// others sent behind it and its answer lost again, it could be forgotten, and appended twice.
    retrying: bool,
    identity: Option<ProducerId>,
    /// The partition's leader has taken a batch under this identity.
    begun: bool,
    next_sequence: i32,
}

/// What a broker, or the way there, said to a batch.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Acked(Acked),
    Refused(ErrorCode, Option<Arc<str>>),
    Lost(ConnectionError),
}

/// A batch that has its outcome.
pub(super) struct Finished {
    pub(super) batch: Batch,
    pub(super) result: Result<Acked, ProduceError>,
}

/// What a broker's task is to send, and when to look again.
pub(super) struct Drained {
    pub(super) batches: Vec<Batch>,
    pub(super) next: u64,
}

impl Accumulator {
    pub(super) fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            topics: HashMap::new(),
            slots: Vec::new(),
            armed: BTreeMap::new(),
            identity: None,
            next_number: 0,
            open: BTreeSet::new(),
            failure: None,
            closed: false,
            flush_below: 0,
            turn: 0,
            wants_metadata: false,
            random,
        }
    }

    /// The brokers that lead some partition with records waiting.
    pub(super) fn brokers(&self) -> BTreeSet<i32> {
        let busy = self.slots.iter().filter(|slot| !slot.queue.is_empty());
        busy.filter_map(|slot| slot.leader).collect()
    }

    /// What the task of `broker` is to send now, at most one batch of each partition.
    /// `hurry` when someone waits for memory: then nothing lingers.
    pub(super) fn drain(&mut self, now: u64, broker: i32, hurry: bool) -> Drained {
        let mut drained = Drained {
            batches: Vec::new(),
            next: u64::MAX,
        };
        let mut bytes = 0;
        let count = self.slots.len();
        let first = self.turn.checked_rem(count).unwrap_or(0);
        for at in (first..count).chain(0..first) {
            if self.slots[at].leader != Some(broker) {
                continue;
            }
            let due = self.due(at, hurry);
            if due > now {
                drained.next = drained.next.min(due);
                continue;
            }
            let slot = &mut self.slots[at];
            let size = slot.queue.front().map_or(0, Batch::size);
            if !drained.batches.is_empty() && bytes + size > self.settings.request_bytes {
                self.turn = at;
                drained.next = now;
                break;
            }
            bytes += size;
            drained.batches.push(self.take(at));
        }
        if !drained.batches.is_empty() {
            // There may be more of the same partitions.
            drained.next = now;
        }
        self.armed.insert(broker, drained.next);
        drained
    }

    /// When the first batch of a slot may go: `u64::MAX` while something else must come first.
    fn due(&self, at: usize, hurry: bool) -> u64 {
        let slot = &self.slots[at];
        let Some(front) = slot.queue.front() else {
            return u64::MAX;
        };
        let limit = if self.settings.idempotent && slot.begun {
            REMEMBERED
        } else {
            1
        };
        if slot.retrying || slot.in_flight.len() >= limit {
            return u64::MAX;
        }
        if self.settings.idempotent {
            if self.identity.is_none() {
                return u64::MAX;
            }
            // A new identity's first sequence must not race with the old one's last.
            if front.sequence.is_none()
                && slot.identity != self.identity
                && !slot.in_flight.is_empty()
            {
                return u64::MAX;
            }
        }
        if front.attempts > 0 {
            return if slot.in_flight.is_empty() {
                front.retry_at
            } else {
                u64::MAX
            };
        }
        let closed = slot.queue.len() > 1
            || front.size() >= self.settings.batch_bytes
            || front.number < self.flush_below
            || hurry;
        if closed {
            0
        } else {
            front.created + self.settings.linger_ms
        }
    }

    fn take(&mut self, at: usize) -> Batch {
        let slot = &mut self.slots[at];
        let mut batch = slot.queue.pop_front().expect("what is due is there");
        batch.attempts += 1;
        slot.in_flight.push(batch.number);
        slot.retrying = batch.attempts > 1;
        if self.settings.idempotent && batch.sequence.is_none() {
            if slot.identity != self.identity {
                slot.identity = self.identity;
                slot.begun = false;
                slot.next_sequence = 0;
            }
            let identity = slot.identity.expect("nothing is due before there is one");
            batch.sequence = Some((identity, slot.next_sequence));
            slot.next_sequence = sequence_after(slot.next_sequence, batch.count);
        }
        batch
    }

    /// Takes a batch back with what was said to it. Returns it when that is its outcome.
    pub(super) fn complete(
        &mut self,
        now: u64,
        mut batch: Batch,
        reply: Reply,
    ) -> Option<Finished> {
        let slot = &mut self.slots[batch.slot];
        slot.in_flight.retain(|number| *number != batch.number);
        slot.retrying &= !slot.in_flight.is_empty();
        let taken = matches!(
            reply,
            Reply::Acked(_) | Reply::Refused(ErrorCode::DuplicateSequenceNumber, _)
        );
        if taken && slot.identity == batch.sequence.map(|(identity, _)| identity) {
            slot.begun = true;
        }
        let partition = slot.partition.clone();
        let (retry, why): (bool, Arc<str>) = match &reply {
            Reply::Acked(acked) => {
                let acked = *acked;
                return Some(self.finish(batch, Ok(acked)));
            }
            // It is in the log, from an earlier try; where, the broker has forgotten.
            Reply::Refused(ErrorCode::DuplicateSequenceNumber, _) => {
                return Some(self.finish(
                    batch,
                    Ok(Acked {
                        base_offset: -1,
                        append_time: None,
                    }),
                ));
            }
            Reply::Refused(code, _) if self.settings.idempotent && lost_sequence(*code) => {
                self.lost_sequence(&batch);
                (true, code.to_string().into())
            }
            Reply::Refused(code, detail) => (
                code.retriable(),
                match detail {
                    Some(detail) => detail.clone(),
                    None => code.to_string().into(),
                },
            ),
            Reply::Lost(error) => (error.retriable(), error.to_string().into()),
        };
        self.wants_metadata = true;
        if !retry {
            let error = match reply {
                Reply::Refused(code, detail) => ProduceError::Refused {
                    partition,
                    code,
                    detail,
                },
                Reply::Lost(error) => ProduceError::Connection(error),
                Reply::Acked(_) => unreachable!("answered above"),
            };
            return Some(self.finish(batch, Err(error)));
        }
        batch.last_error = Some(why);
        if now >= batch.created + self.settings.delivery_timeout_ms {
            let error = self.expired(&batch);
            return Some(self.finish(batch, Err(error)));
        }
        let wait = self.settings.retry.wait(batch.attempts, self.random.next());
        batch.retry_at = now + wait.as_millis() as u64;
        let slot = &mut self.slots[batch.slot];
        // Under an identity that was given up meanwhile, its sequence means nothing.
        if batch
            .sequence
            .is_some_and(|(identity, _)| slot.identity != Some(identity))
        {
            batch.sequence = None;
        }
        let place = slot
            .queue
            .partition_point(|other| other.number < batch.number);
        slot.queue.insert(place, batch);
        None
    }

    /// The broker does not know the sequence before this batch's. While an earlier batch is to
    /// be sent again, that is why. Else what came before is lost to the broker or was refused:
    /// the partition begins anew under the next epoch (KIP-360). This cannot duplicate: a batch
    /// refused so was not appended, nor was any after it.
    fn lost_sequence(&mut self, batch: &Batch) {
        let slot = &mut self.slots[batch.slot];
        let used = batch.sequence.map(|(identity, _)| identity);
        let earlier_alive = slot.in_flight.iter().any(|number| *number < batch.number)
            || slot
                .queue
                .front()
                .is_some_and(|front| front.number < batch.number);
        if earlier_alive || used.is_none() || slot.identity != used {
            return;
        }
        if self.identity == used {
            self.identity = self.identity.and_then(|identity| {
                let epoch = identity.epoch.checked_add(1)?;
                Some(ProducerId { epoch, ..identity })
            });
        }
        slot.identity = None;
        for batch in &mut slot.queue {
            batch.sequence = None;
        }
    }

    fn finish(&mut self, batch: Batch, result: Result<Acked, ProduceError>) -> Finished {
        self.open.remove(&batch.number);
        // In one step: who sees that nothing is open must see what failed.
        if let Err(error) = &result {
            self.failure.get_or_insert_with(|| error.clone());
        }
        Finished { batch, result }
    }

    fn expired(&self, batch: &Batch) -> ProduceError {
        ProduceError::Expired {
            partition: self.slots[batch.slot].partition.clone(),
            after: Duration::from_millis(self.settings.delivery_timeout_ms),
            last: batch.last_error.clone(),
        }
    }

    /// When a batch that has no outcome yet gets one, on the producer's clock.
    pub(super) fn deadline(&self, batch: &Batch) -> u64 {
        batch.created + self.settings.delivery_timeout_ms
    }

    /// The broker that leads the batch's partition now, which may be another than it was sent to.
    pub(super) fn leader(&self, batch: &Batch) -> Option<i32> {
        self.slots[batch.slot].leader
    }

    /// Gives up on waiting batches that are past the delivery time-out.
    pub(super) fn expire(&mut self, now: u64) -> Vec<Finished> {
        let timeout = self.settings.delivery_timeout_ms;
        let mut expired = Vec::new();
        for slot in &mut self.slots {
            while let Some(front) = slot.queue.front()
                && now >= front.created + timeout
            {
                expired.extend(slot.queue.pop_front());
            }
        }
        expired
            .into_iter()
            .map(|batch| {
                let error = self.expired(&batch);
                self.finish(batch, Err(error))
            })
            .collect()
    }

    /// From now on what is there goes without lingering. Returns the mark to wait for.
    pub(super) fn flush(&mut self) -> u64 {
        self.flush_below = self.next_number;
        for armed in self.armed.values_mut() {
            *armed = 0;
        }
        self.flush_below
    }

    /// Once all batches below a mark have their outcome: the first failure since the last time
    /// this was told.
    pub(super) fn flushed(&mut self, mark: u64) -> Option<Result<(), ProduceError>> {
        let flushed = self.open.first().is_none_or(|first| *first >= mark);
        flushed.then(|| self.failure.take().map_or(Ok(()), Err))
    }

    /// Takes nothing any more, if all that was taken has its outcome. Whether it has.
    pub(super) fn close_if_done(&mut self) -> bool {
        self.closed |= self.open.is_empty();
        self.closed
    }

    pub(super) fn set_identity(&mut self, identity: ProducerId) {
        self.identity = Some(identity);
    }

    /// Whether records wait for a producer id.
    pub(super) fn needs_identity(&self) -> bool {
        self.settings.idempotent && self.identity.is_none() && !self.open.is_empty()
    }

    /// Asks for newer metadata.
    pub(super) fn want_metadata(&mut self) {
        self.wants_metadata = true;
    }

    /// Whether something happened that newer metadata may mend. Asked once.
    pub(super) fn take_wants_metadata(&mut self) -> bool {
        std::mem::take(&mut self.wants_metadata)
    }
}

/// Sequences count records, in 31 bits.
fn sequence_after(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

fn lost_sequence(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
    )
}

#[cfg(test)]
mod tests;
