//! What a partition knows of its idempotent producers: Kafka's rules of epochs and sequences, by
//! the last five batches of each. Pure; how it is kept in a file is `producer_snapshot`'s.

use std::collections::HashMap;

use super::header::BatchHeader;

/// Batches remembered of each producer: as many as a client may have under way.
pub(super) const REMEMBERED: usize = 5;

/// Producers remembered in one partition. Past it the quarter that was idle longest is forgotten,
/// as a peer could make up any number of ids.
const PRODUCERS_MAX: usize = 100_000;

/// A batch as its producer knows it, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Remembered {
    pub(super) last_sequence: i32,
    pub(super) last_offset: i64,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
}

impl Remembered {
    fn base_sequence(&self) -> i32 {
        let base = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        (base & i64::from(i32::MAX)) as i32
    }

    fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    /// Oldest first; the first `count` are there.
    batches: [Remembered; REMEMBERED],
    count: u8,
    /// When it last appended, in milliseconds.
    pub(super) last_timestamp: i64,
}

impl Producer {
    pub(super) fn new(epoch: i16) -> Producer {
        Producer {
            epoch,
            batches: [Remembered::default(); REMEMBERED],
            count: 0,
            last_timestamp: -1,
        }
    }

    pub(super) fn batches(&self) -> &[Remembered] {
        &self.batches[..usize::from(self.count)]
    }

    pub(super) fn push(&mut self, batch: Remembered) {
        if usize::from(self.count) == REMEMBERED {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[usize::from(self.count)] = batch;
        self.count += 1;
    }
}

/// What a batch's sequence says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// To be appended: it follows on, begins anew, or comes from no idempotent producer.
    New,
    /// It has been appended already. Acknowledge the original once *its* offsets satisfy the acks.
    Duplicate {
        /// First offset of the original.
        base_offset: i64,
        /// Last offset of the original.
        last_offset: i64,
        /// The original's greatest timestamp.
        timestamp: i64,
    },
    /// A batch before it is missing, or it is too old to be known: `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    OutOfOrder {
        /// The last sequence number that was appended, -1 if none in this epoch.
        last_sequence: i32,
    },
    /// A newer incarnation of the producer has appended: `INVALID_PRODUCER_EPOCH`.
    StaleEpoch {
        /// The newest epoch.
        current: i16,
    },
}

/// A producer as `DescribeProducers` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg(test)]
pub(crate) struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The last sequence number appended, or -1.
    pub last_sequence: i32,
    /// When it last appended, in milliseconds.
    pub last_timestamp: i64,
}

/// The producers of one partition.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ProducerTable {
    producers: HashMap<i64, Producer>,
}

impl ProducerTable {
    /// Judges a batch that is about to be appended. Batches without a producer id are `New`.
    pub(crate) fn check(&self, header: &BatchHeader) -> Sequence {
        if header.producer_id < 0 || header.is_control() {
            return Sequence::New;
        }
        // Nothing known, for instance as retention removed it all: any sequence begins (KIP-360).
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return Sequence::New;
        };
        if header.producer_epoch < producer.epoch {
            return Sequence::StaleEpoch {
                current: producer.epoch,
            };
        }
        if header.producer_epoch > producer.epoch {
            return match header.base_sequence {
                0 => Sequence::New,
                _ => Sequence::OutOfOrder { last_sequence: -1 },
            };
        }
        let last_sequence = header.last_sequence();
        let original = producer.batches().iter().find(|batch| {
            batch.last_sequence == last_sequence && batch.base_sequence() == header.base_sequence
        });
        if let Some(original) = original {
            return Sequence::Duplicate {
                base_offset: original.base_offset(),
                last_offset: original.last_offset,
                timestamp: original.timestamp,
            };
        }
        let last = producer
            .batches()
            .last()
            .map_or(-1, |last| last.last_sequence);
        let next = if last == i32::MAX { 0 } else { last + 1 };
        if header.base_sequence == next {
            Sequence::New
        } else {
            Sequence::OutOfOrder {
                last_sequence: last,
            }
        }
    }

    /// Notes a batch that was appended at the offsets in its header. `now_ms` is when; replay
    /// passes the batch's own greatest timestamp.
    pub(crate) fn appended(&mut self, header: &BatchHeader, now_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        if self.producers.len() >= PRODUCERS_MAX
            && !self.producers.contains_key(&header.producer_id)
        {
            self.forget_idlest();
        }
        let epoch = header.producer_epoch;
        let producer = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            *producer = Producer::new(epoch);
        }
        producer.last_timestamp = now_ms.max(header.max_timestamp);
        // A marker only tells the epoch.
        if !header.is_control() {
            producer.push(Remembered {
                last_sequence: header.last_sequence(),
                last_offset: header.last_offset(),
                offset_delta: header.last_offset_delta,
                timestamp: header.max_timestamp,
            });
        }
    }

    /// Forgets producers that have not appended for `producer.id.expiration.ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers
            .retain(|_, producer| now_ms.saturating_sub(producer.last_timestamp) < expiration_ms);
    }

    /// How many producers are known.
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Those known, by id.
    #[cfg(test)]
    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let all = self.by_id().into_iter();
        all.map(|(producer_id, producer)| ActiveProducer {
            producer_id,
            epoch: producer.epoch,
            last_sequence: producer
                .batches()
                .last()
                .map_or(-1, |last| last.last_sequence),
            last_timestamp: producer.last_timestamp,
        })
        .collect()
    }

    pub(super) fn by_id(&self) -> Vec<(i64, &Producer)> {
        let mut all: Vec<_> = self
            .producers
            .iter()
            .map(|(&id, state)| (id, state))
            .collect();
        all.sort_unstable_by_key(|&(id, _)| id);
        all
    }

    pub(super) fn entry(&mut self, id: i64, epoch: i16) -> &mut Producer {
        let producer = self
            .producers
            .entry(id)
            .or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            *producer = Producer::new(epoch);
        }
        producer
    }

    pub(super) fn clear(&mut self) {
        self.producers.clear();
    }

    fn forget_idlest(&mut self) {
        let mut times: Vec<i64> = self
            .producers
            .values()
            .map(|state| state.last_timestamp)
            .collect();
        let quarter = times.len() / 4;
        let (_, &mut limit, _) = times.select_nth_unstable(quarter);
        self.producers
            .retain(|_, state| state.last_timestamp > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::header::tests::Batch;

    fn header(epoch: i16, sequence: i32, count: i32, offset: i64) -> BatchHeader {
        Batch::new(offset, count, vec![])
            .producer(7, epoch, sequence)
            .header
    }

    /// A table that has appended ten batches of ten records each in epoch 3.
    fn table() -> ProducerTable {
        let mut table = ProducerTable::default();
        for n in 0..10 {
            let batch = header(3, n * 10, 10, 1000 + i64::from(n) * 10);
            assert_eq!(table.check(&batch), Sequence::New);
            table.appended(&batch, 5);
        }
        table
    }

    #[test]
    fn sequences_are_judged_as_kafka_does() {
        let table = table();
        let duplicate = |n: i64| Sequence::Duplicate {
            base_offset: 1000 + n * 10,
            last_offset: 1009 + n * 10,
            timestamp: 1000,
        };
        let out = |last_sequence| Sequence::OutOfOrder { last_sequence };
        let cases = [
            ("the next", header(3, 100, 5, 0), Sequence::New),
            ("the last again", header(3, 90, 10, 0), duplicate(9)),
            ("the fifth last again", header(3, 50, 10, 0), duplicate(5)),
            ("one too old to be known", header(3, 40, 10, 0), out(99)),
            ("a part of the last", header(3, 90, 5, 0), out(99)),
            ("a gap", header(3, 101, 1, 0), out(99)),
            (
                "an older epoch",
                header(2, 100, 1, 0),
                Sequence::StaleEpoch { current: 3 },
            ),
            ("a newer epoch from 0", header(4, 0, 1, 0), Sequence::New),
            ("a newer epoch, not from 0", header(4, 100, 1, 0), out(-1)),
        ];
        for (what, batch, expected) in cases {
            assert_eq!(table.check(&batch), expected, "{what}");
        }
        let unknown = Batch::new(0, 1, vec![]).producer(8, 0, 55).header;
        assert_eq!(table.check(&unknown), Sequence::New);
        let plain = Batch::new(0, 1, vec![]).header;
        assert_eq!(table.check(&plain), Sequence::New);
    }

    #[test]
    fn sequences_go_on_at_zero_after_the_greatest() {
        let mut table = ProducerTable::default();
        let last = header(0, i32::MAX - 1, 2, 0);
        table.appended(&last, 0);
        assert_eq!(table.check(&header(0, 0, 3, 2)), Sequence::New);
        assert!(matches!(
            table.check(&last),
            Sequence::Duplicate { base_offset: 0, .. }
        ));
        let mut table = ProducerTable::default();
        let over = header(0, i32::MAX, 4, 0);
        table.appended(&over, 0);
        assert!(matches!(
            table.check(&over),
            Sequence::Duplicate { last_offset: 3, .. }
        ));
        assert_eq!(table.check(&header(0, 3, 1, 4)), Sequence::New);
    }

    #[test]
    fn a_newer_epoch_forgets_the_older_ones_batches() {
        let mut table = table();
        table.appended(&header(4, 0, 1, 2000), 5);
        let stale = Sequence::StaleEpoch { current: 4 };
        assert_eq!(table.check(&header(3, 90, 10, 0)), stale);
        assert_eq!(table.check(&header(4, 1, 1, 0)), Sequence::New);
    }

    #[test]
    fn idle_producers_expire_and_their_number_is_bounded() {
        let mut table = table();
        table.expire(1000 + 99, 100);
        assert_eq!(table.len(), 1);
        table.expire(1000 + 100, 100);
        assert!(table.is_empty());
        for id in 0..=PRODUCERS_MAX as i64 {
            let batch = Batch::new(0, 1, vec![]).producer(id, 0, 0);
            table.appended(&batch.header, 10_000 + id);
        }
        assert!(table.len() <= PRODUCERS_MAX * 3 / 4 + 1);
        assert_eq!(
            table.by_id().last().map(|&(id, _)| id),
            Some(PRODUCERS_MAX as i64)
        );
    }
}
