//! The accumulator against tables and against a model of a broker's sequence checks.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ProducerRecord;
use crate::metadata::{Partition, Topic};

const BROKER: i32 = 1;

fn settings() -> Settings {
    Settings {
        linger_ms: 5,
        batch_bytes: 200,
        request_bytes: 1000,
        delivery_timeout_ms: 10_000,
        idempotent: true,
        compression: Compression::None,
        retry: Backoff {
            first: Duration::from_millis(10),
            most: Duration::from_millis(10),
        },
    }
}

fn accumulator(settings: Settings, partitions: i32) -> Accumulator {
    let mut accumulator = Accumulator::new(settings, Random::seeded(1));
    let topic = Topic {
        partitions: (0..partitions)
            .map(|index| Partition {
                index,
                leader: Some(BROKER),
                ..Partition::default()
            })
            .collect(),
        ..Topic::default()
    };
    accumulator.set_topic(&"t".into(), &topic);
    accumulator.set_identity(ProducerId { id: 7, epoch: 0 });
    accumulator
}

fn push(accumulator: &mut Accumulator, now: u64, partition: i32, len: usize) -> Option<i32> {
    let record = ProducerRecord::new("t")
        .partition(partition)
        .value(vec![b'x'; len]);
    match accumulator.push(now, 0, record, len + 24) {
        Pushed::Queued { wake, .. } => wake,
        _ => panic!("not queued"),
    }
}

fn acked() -> Reply {
    Reply::Acked(Acked {
        base_offset: 0,
        append_time: None,
    })
}

/// The partition's first batch, which goes alone, is behind us: its sequence was 0.
fn begin(accumulator: &mut Accumulator) {
    push(accumulator, 0, 0, 300);
    let batch = accumulator.drain(0, BROKER, false).batches.remove(0);
    assert!(accumulator.complete(0, batch, acked()).is_some());
}

fn sequences(batches: &[Batch]) -> Vec<(i16, i32)> {
    batches
        .iter()
        .map(|batch| {
            batch
                .sequence
                .map(|(id, base)| (id.epoch, base))
                .expect("numbered")
        })
        .collect()
}

#[test]
fn a_record_lingers_and_then_goes_with_those_that_came_meanwhile() {
    let mut accumulator = accumulator(settings(), 1);
    assert_eq!(accumulator.drain(0, BROKER, false).next, u64::MAX);
    assert_eq!(
        push(&mut accumulator, 100, 0, 10),
        Some(BROKER),
        "it slept without end"
    );
    assert_eq!(
        push(&mut accumulator, 102, 0, 10),
        None,
        "it looks early enough"
    );
    assert_eq!(accumulator.drain(104, BROKER, false).next, 105);
    let drained = accumulator.drain(105, BROKER, false);
    assert_eq!(drained.batches.len(), 1);
    assert_eq!(drained.batches[0].count, 2);
}

#[test]
fn a_full_batch_does_not_linger_nor_does_one_in_a_hurry_or_flushed() {
    let mut accumulator = accumulator(settings(), 1);
    begin(&mut accumulator);
    accumulator.drain(0, BROKER, false);
    push(&mut accumulator, 1, 0, 100);
    assert_eq!(
        push(&mut accumulator, 1, 0, 100),
        Some(BROKER),
        "the first is closed"
    );
    assert_eq!(accumulator.drain(1, BROKER, false).batches.len(), 1);
    assert_eq!(accumulator.drain(1, BROKER, false).batches.len(), 0);
    assert_eq!(accumulator.drain(1, BROKER, true).batches.len(), 1);
    push(&mut accumulator, 1, 0, 10);
    let mark = accumulator.flush();
    let drained = accumulator.drain(1, BROKER, false).batches;
    assert_eq!(drained.len(), 1);
    assert!(accumulator.flushed(mark).is_none());
}

#[test]
fn a_retry_keeps_its_sequence_and_goes_alone_before_all_later_ones() {
    let mut accumulator = accumulator(settings(), 1);
    begin(&mut accumulator);
    let mut sent = Vec::new();
    for now in 0..3 {
        push(&mut accumulator, now, 0, 300);
        sent.extend(accumulator.drain(now, BROKER, false).batches);
    }
    push(&mut accumulator, 3, 0, 300);
    assert_eq!(sequences(&sent), [(0, 1), (0, 2), (0, 3)]);
    let third = sent.pop().expect("three");
    let second = sent.pop().expect("three");
    let first = sent.pop().expect("three");
    let lost = Reply::Refused(ErrorCode::NotLeaderOrFollower, None);
    assert!(accumulator.complete(10, first, lost).is_none());
    assert_eq!(
        accumulator.drain(30, BROKER, false).batches.len(),
        0,
        "others are under way"
    );
    for batch in [second, third] {
        let gap = Reply::Refused(ErrorCode::OutOfOrderSequenceNumber, None);
        assert!(accumulator.complete(30, batch, gap).is_none());
    }
    for expected in 1..5 {
        let mut batches = accumulator.drain(100, BROKER, false).batches;
        assert_eq!(sequences(&batches), [(0, expected)]);
        if expected < 4 {
            assert_eq!(
                accumulator.drain(100, BROKER, false).batches.len(),
                0,
                "alone"
            );
        }
        assert!(
            accumulator
                .complete(100, batches.remove(0), acked())
                .is_some()
        );
    }
    assert!(accumulator.flushed(u64::MAX).is_some());
}

#[test]
fn a_sequence_lost_to_the_broker_begins_anew_under_the_next_epoch() {
    let mut accumulator = accumulator(settings(), 1);
    begin(&mut accumulator);
    let mut sent = Vec::new();
    for now in 0..3 {
        push(&mut accumulator, now, 0, 300);
        sent.extend(accumulator.drain(now, BROKER, false).batches);
    }
    let mut sent = sent.into_iter();
    let too_large = Reply::Refused(ErrorCode::MessageTooLarge, None);
    let failed = accumulator.complete(5, sent.next().expect("three"), too_large);
    assert!(matches!(
        failed.expect("final").result,
        Err(ProduceError::Refused {
            code: ErrorCode::MessageTooLarge,
            ..
        })
    ));
    for batch in sent {
        let gap = Reply::Refused(ErrorCode::OutOfOrderSequenceNumber, None);
        assert!(accumulator.complete(5, batch, gap).is_none());
    }
    for expected in 0..2 {
        let mut batches = accumulator.drain(100, BROKER, false).batches;
        assert_eq!(sequences(&batches), [(1, expected)]);
        assert!(
            accumulator
                .complete(100, batches.remove(0), acked())
                .is_some()
        );
    }
}

#[test]
fn past_the_last_epoch_a_new_producer_id_is_asked_for() {
    let mut accumulator = accumulator(settings(), 1);
    accumulator.set_identity(ProducerId {
        id: 7,
        epoch: i16::MAX,
    });
    push(&mut accumulator, 0, 0, 300);
    let batch = accumulator.drain(0, BROKER, false).batches.remove(0);
    let gap = Reply::Refused(ErrorCode::UnknownProducerId, None);
    assert!(accumulator.complete(0, batch, gap).is_none());
    assert!(accumulator.needs_identity());
    assert_eq!(accumulator.drain(100, BROKER, false).batches.len(), 0);
    accumulator.set_identity(ProducerId { id: 8, epoch: 0 });
    let batch = accumulator.drain(100, BROKER, false).batches.remove(0);
    assert_eq!(batch.sequence, Some((ProducerId { id: 8, epoch: 0 }, 0)));
}

#[test]
fn what_waits_too_long_expires_and_says_why() {
    let mut accumulator = accumulator(settings(), 1);
    push(&mut accumulator, 0, 0, 300);
    let batch = accumulator.drain(0, BROKER, false).batches.remove(0);
    let lost = Reply::Refused(ErrorCode::NotEnoughReplicas, None);
    assert!(accumulator.complete(1, batch, lost).is_none());
    assert!(accumulator.expire(9_999).is_empty());
    let expired = accumulator.expire(10_000);
    let error = expired[0].result.as_ref().expect_err("expired").to_string();
    assert!(
        error.starts_with("t-0: not acknowledged within 10000 ms; the last try: "),
        "{error}"
    );
}

#[test]
fn whoever_sees_that_all_is_settled_sees_what_failed_once() {
    let mut accumulator = accumulator(settings(), 1);
    push(&mut accumulator, 0, 0, 300);
    let batch = accumulator.drain(0, BROKER, false).batches.remove(0);
    assert!(accumulator.flushed(u64::MAX).is_none(), "it is under way");
    let refused = Reply::Refused(ErrorCode::MessageTooLarge, None);
    assert!(accumulator.complete(1, batch, refused).is_some());
    // Nothing has told the record yet, and a flush must not miss it all the same.
    assert!(matches!(accumulator.flushed(u64::MAX), Some(Err(_))));
    assert!(matches!(accumulator.flushed(u64::MAX), Some(Ok(()))));
}

#[test]
fn what_is_closed_takes_nothing_that_nobody_would_send() {
    let mut accumulator = accumulator(settings(), 1);
    push(&mut accumulator, 0, 0, 300);
    assert!(!accumulator.close_if_done(), "something waits");
    push(&mut accumulator, 0, 0, 300);
    for now in [1, 2] {
        let batch = accumulator.drain(now, BROKER, false).batches.remove(0);
        assert!(accumulator.complete(now, batch, acked()).is_some());
    }
    assert!(accumulator.close_if_done());
    let record = ProducerRecord::new("t").partition(0);
    let pushed = accumulator.push(3, 0, record, 24);
    assert!(matches!(pushed, Pushed::Closed));
}

#[test]
fn without_idempotence_one_batch_of_a_partition_is_under_way() {
    let mut accumulator = accumulator(
        Settings {
            idempotent: false,
            ..settings()
        },
        1,
    );
    push(&mut accumulator, 0, 0, 300);
    push(&mut accumulator, 0, 0, 300);
    let batch = accumulator.drain(0, BROKER, false).batches.remove(0);
    assert_eq!(batch.sequence, None);
    assert_eq!(accumulator.drain(0, BROKER, false).batches.len(), 0);
}

#[test]
fn the_first_batch_of_a_partition_goes_alone() {
    let mut accumulator = accumulator(settings(), 1);
    push(&mut accumulator, 0, 0, 300);
    push(&mut accumulator, 0, 0, 300);
    push(&mut accumulator, 0, 0, 300);
    let first = accumulator.drain(0, BROKER, false).batches.remove(0);
    assert_eq!(accumulator.drain(0, BROKER, false).batches.len(), 0);
    assert!(accumulator.complete(0, first, acked()).is_some());
    for expected in 1..3 {
        let batches = accumulator.drain(0, BROKER, false).batches;
        assert_eq!(sequences(&batches), [(0, expected)]);
    }
}

#[test]
fn a_smaller_topic_of_the_same_name_gets_all_that_comes() {
    let mut accumulator = accumulator(settings(), 6);
    let smaller = Topic {
        id: Uuid::from_u128(2),
        partitions: vec![Partition {
            leader: Some(BROKER),
            ..Partition::default()
        }],
        ..Topic::default()
    };
    push(&mut accumulator, 0, 5, 300);
    accumulator.set_topic(&"t".into(), &smaller);
    assert_eq!(accumulator.drain(9, BROKER, true).batches.len(), 0, "gone");
    for key in ["a", "b", "c", "d"] {
        let record = ProducerRecord::new("t").key(key).value(vec![b'x'; 300]);
        let pushed = accumulator.push(9, 0, record, 300);
        assert!(matches!(pushed, Pushed::Queued { .. }));
    }
    let sent = accumulator.drain(9, BROKER, true).batches;
    assert_eq!(sent[0].outcome.partition.partition, 0);
    assert_eq!(accumulator.brokers(), [BROKER].into());
    assert_eq!(accumulator.expire(10_000).len(), 1);
}

#[test]
fn a_topic_that_was_deleted_is_looked_for_by_the_next_record_only() {
    let mut accumulator = accumulator(settings(), 1);
    accumulator.set_topics(&BTreeMap::new());
    let record = ProducerRecord::new("t").value("x");
    let pushed = accumulator.push(0, 0, record, 25);
    assert!(matches!(pushed, Pushed::UnknownTopic(_)));
}

/// A partition's log as a broker keeps it: what it appended, and the sequence it waits for.
#[derive(Default)]
struct Log {
    appended: Vec<u64>,
    /// Whether it has heard of the producer: else that may begin with any sequence.
    knows: bool,
    epoch: i16,
    expected: i32,
    /// Epoch and base sequence of the last batches.
    remembered: Vec<(i16, i32)>,
}

impl Log {
    fn append(&mut self, batch: &Batch) -> Reply {
        let (producer, base) = batch.sequence.expect("numbered");
        if self.remembered.contains(&(producer.epoch, base)) && producer.epoch == self.epoch {
            return acked();
        }
        if producer.epoch < self.epoch {
            return Reply::Refused(ErrorCode::InvalidProducerEpoch, None);
        }
        let expected = match (self.knows, producer.epoch > self.epoch) {
            (false, _) => base,
            (true, true) => 0,
            (true, false) => self.expected,
        };
        if base != expected {
            return Reply::Refused(ErrorCode::OutOfOrderSequenceNumber, None);
        }
        self.knows = true;
        self.epoch = producer.epoch;
        self.expected = sequence_after(base, batch.count);
        self.remembered.push((producer.epoch, base));
        if self.remembered.len() > REMEMBERED {
            self.remembered.remove(0);
        }
        self.appended.push(batch.number);
        acked()
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The broker refuses before it looks.
    Busy,
    /// It appends, and its answer is lost.
    AnswerLost,
    RequestLost,
    TooLarge,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is lost on the way: what is acked is in the log once, in the order of sending.
    #[test]
    fn acked_batches_are_in_the_log_once_and_in_order(
        steps in prop::collection::vec(
            (0u8..10, prop_oneof![
                6 => Just(Fault::None),
                1 => Just(Fault::Busy),
                1 => Just(Fault::AnswerLost),
                1 => Just(Fault::RequestLost),
                1 => Just(Fault::TooLarge),
            ]),
            1..120,
        ),
    ) {
        let mut accumulator = accumulator(settings(), 1);
        let mut log = Log::default();
        let mut under_way: VecDeque<(Batch, Reply)> = VecDeque::new();
        let (mut now, mut acks, mut refused) = (0, Vec::new(), Vec::new());
        let mut steps = steps.into_iter();
        loop {
            now += 7;
            let step = steps.next();
            if matches!(step, Some((0..4, _))) {
                push(&mut accumulator, now, 0, 300);
            }
            // Requests arrive in the order they were sent, over one connection.
            let fault = step.map_or(Fault::None, |(_, fault)| fault);
            for batch in accumulator.drain(now, BROKER, false).batches {
                prop_assert!(under_way.len() < REMEMBERED);
                let lost = ConnectionError::Broken { address: "b".into(), reason: "test".into() };
                let reply = match fault {
                    Fault::None => log.append(&batch),
                    Fault::Busy => Reply::Refused(ErrorCode::NotEnoughReplicas, None),
                    Fault::AnswerLost => { log.append(&batch); Reply::Lost(lost) }
                    Fault::RequestLost => Reply::Lost(lost),
                    Fault::TooLarge => Reply::Refused(ErrorCode::MessageTooLarge, None),
                };
                under_way.push_back((batch, reply));
            }
            let answers = match step {
                Some((which, _)) => usize::from(which % 3),
                None => under_way.len(),
            };
            for _ in 0..answers {
                let Some((batch, reply)) = under_way.pop_front() else { break };
                if let Some(finished) = accumulator.complete(now, batch, reply) {
                    match finished.result {
                        Ok(_) => acks.push(finished.batch.number),
                        Err(_) => refused.push(finished.batch.number),
                    }
                }
            }
            if step.is_none() && accumulator.flushed(u64::MAX).is_some() {
                break;
            }
            prop_assert!(now < 9_000, "no progress");
        }
        prop_assert!(log.appended.is_sorted_by(|a, b| a < b), "{:?}", log.appended);
        for number in &acks {
            prop_assert!(log.appended.contains(number), "{number} was acked and is lost");
        }
        for number in &refused {
            prop_assert!(!acks.contains(number));
        }
    }
}
