//! Idempotent producers and a consumer that carry on while the node dies and comes back, and
//! write down what they are told.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::api::produce::{ProduceRequest, ProduceResponse};
use protocol::records::BatchIdentity;

use crate::admin::produce_request;
use crate::history::{History, Name};
use crate::random::Random;
use crate::raw::{Connection, batch, records_from};
use crate::wait::{self, PATIENCE};

/// Requests that an idempotent producer may have under way, as in Kafka.
const IN_FLIGHT_MAX: usize = 5;
/// The wait before the next attempt while the node is away.
const AGAIN_AFTER: Duration = Duration::from_millis(3);

/// What the load does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The node's address, which stays the same over restarts.
    pub address: SocketAddr,
    /// The topic, which exists.
    pub topic: String,
    /// Its partitions.
    pub partitions: i32,
    /// A producer for each, with these acks.
    pub acks: Vec<i16>,
    /// What the producers' choices come from.
    pub seed: u64,
}

/// Producers and a consumer at work.
pub struct Load {
    shared: Arc<Shared>,
    producers: Vec<JoinHandle<()>>,
    consumer: Option<JoinHandle<()>>,
}

/// A test that fails meanwhile leaves nobody at work.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

struct Shared {
    plan: Plan,
    history: Mutex<History>,
    acked_batches: AtomicU64,
    /// Nothing new is sent; what is under way is seen through.
    draining: AtomicBool,
    /// Everybody leaves at once.
    ended: AtomicBool,
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history
            .lock()
            .expect("nobody panics while holding the history")
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Load {
    /// Sets everybody to work.
    pub fn start(plan: Plan) -> Self {
        let shared = Arc::new(Shared {
            history: Mutex::default(),
            acked_batches: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            plan,
        });
        let producer = |(index, &acks): (usize, &i16)| {
            let producer = Producer::new(Arc::clone(&shared), index as u32, acks);
            std::thread::spawn(move || producer.run())
        };
        let producers = shared.plan.acks.iter().enumerate().map(producer).collect();
        let consumer = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || consume(&shared))
        };
        Self {
            shared,
            producers,
            consumer: Some(consumer),
        }
    }

    /// Batches acknowledged so far.
    pub fn acked_batches(&self) -> u64 {
        self.shared.acked_batches.load(Ordering::Relaxed)
    }

    /// Waits for so many more batches to be acknowledged.
    pub fn wait_for_acks(&self, more: u64) {
        let enough = self.acked_batches() + more;
        wait::until("acknowledgements", || {
            assert!(
                !self.producers.iter().any(JoinHandle::is_finished),
                "a producer gave up"
            );
            (self.acked_batches() >= enough).then_some(())
        });
    }

    /// Sends nothing new, and waits until all that was sent is acknowledged and the consumer has
    /// read it.
    pub fn finish(mut self) -> History {
        self.shared.draining.store(true, Ordering::Relaxed);
        for producer in std::mem::take(&mut self.producers) {
            producer.join().expect("a producer ends well");
        }
        wait::until(
            "the consumer's reading of all that was acknowledged",
            || {
                let history = self.shared.history();
                (history.read_count() >= history.acked_count()).then_some(())
            },
        );
        self.shared.ended.store(true, Ordering::Relaxed);
        let consumer = self.consumer.take().expect("nobody ended it before");
        consumer.join().expect("the consumer ends well");
        self.shared.history().clone()
    }

    /// Stops where it is, with requests unanswered.
    pub fn abandon(mut self) -> History {
        self.shared.ended.store(true, Ordering::Relaxed);
        // One may have given up, as what it was promised was lost: the history shows it.
        for producer in std::mem::take(&mut self.producers) {
            let _ = producer.join();
        }
        let _ = self.consumer.take().map(JoinHandle::join);
        self.shared.history().clone()
    }
}

/// A batch that is not acknowledged yet.
struct Pending {
    first: Name,
    count: u64,
    batch: Bytes,
    correlation: i32,
}

struct Producer {
    shared: Arc<Shared>,
    index: u32,
    acks: i16,
    random: Random,
    connection: Option<Connection>,
    /// Id and epoch, once it has them.
    identity: Option<(i64, i16)>,
    /// By partition: records sent, which is also the next sequence number.
    sent: Vec<u64>,
    window: VecDeque<Pending>,
    last_progress: Instant,
}

impl Producer {
    fn new(shared: Arc<Shared>, index: u32, acks: i16) -> Self {
        Self {
            random: Random::new(shared.plan.seed ^ u64::from(index + 1)),
            sent: vec![0; shared.plan.partitions as usize],
            connection: None,
            identity: None,
            window: VecDeque::new(),
            last_progress: Instant::now(),
            shared,
            index,
            acks,
        }
    }

    fn run(mut self) {
        while !(self.shared.ended() || self.shared.draining() && self.window.is_empty()) {
            if self.step().is_err() {
                self.connection = None;
                std::thread::sleep(AGAIN_AFTER);
            }
            assert!(
                self.last_progress.elapsed() < PATIENCE,
                "producer {} has had no acknowledgement for {PATIENCE:?}",
                self.index
            );
        }
    }

    /// One acknowledgement, after what has to be sent for it.
    fn step(&mut self) -> io::Result<()> {
        if self.connection.is_none() {
            self.connect()?;
        }
        while self.window.len() < IN_FLIGHT_MAX && !self.shared.draining() {
            self.send_new()?;
        }
        let Some(expected) = self.window.front().map(|pending| pending.correlation) else {
            return Ok(());
        };
        let connection = self.connection.as_mut().expect("it was opened above");
        let (correlation, answer) = connection.receive::<ProduceRequest>()?;
        if correlation != expected {
            return Err(io::Error::other("answers out of order"));
        }
        self.answered(&answer)
    }

    fn connect(&mut self) -> io::Result<()> {
        let mut connection = Connection::open(self.shared.plan.address)?;
        if self.identity.is_none() {
            self.identity = Some(connection.producer_id()?);
        }
        // All that is unanswered goes again, in the same order and with the same sequence
        // numbers; the node knows what it has already.
        for pending in &mut self.window {
            let request = self.shared.request(pending, self.acks);
            pending.correlation = connection.send(&request)?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    fn send_new(&mut self) -> io::Result<()> {
        let partition = self.random.within(0..self.sent.len() as u64) as usize;
        let count = self.random.within(1..8);
        let first = Name {
            producer: self.index,
            partition: partition as i32,
            count: self.sent[partition],
        };
        let values: Vec<_> = (0..count)
            .map(|step| {
                let len = if self.random.once_in(40) {
                    self.random.within(4000..20_000)
                } else {
                    self.random.within(16..600)
                };
                let count = first.count + step;
                Name { count, ..first }.value(len as usize)
            })
            .collect();
        let (producer_id, producer_epoch) = self.identity.expect("a connection gives one");
        let batch = batch(
            &values,
            &BatchIdentity {
                producer_id,
                producer_epoch,
                base_sequence: first.count as i32,
                ..Default::default()
            },
        );
        self.sent[partition] += count;
        self.shared
            .history()
            .sent(self.index, first.partition, count);
        self.window.push_back(Pending {
            first,
            count,
            batch,
            correlation: -1,
        });
        let pending = self.window.back_mut().expect("it was pushed");
        let request = self.shared.request(pending, self.acks);
        let connection = self
            .connection
            .as_mut()
            .expect("there is one while sending");
        pending.correlation = connection.send(&request)?;
        Ok(())
    }

    fn answered(&mut self, answer: &ProduceResponse) -> io::Result<()> {
        let mut partitions = answer.responses.iter().flat_map(|t| &t.partition_responses);
        let partition = partitions.next().ok_or(io::ErrorKind::InvalidData)?;
        match ErrorCode::from(partition.error_code) {
            ErrorCode::None => {
                let pending = self.window.pop_front().expect("an answer has its request");
                let base_offset = partition.base_offset;
                self.shared
                    .history()
                    .acked(pending.first, pending.count, base_offset);
                self.shared.acked_batches.fetch_add(1, Ordering::Relaxed);
                self.last_progress = Instant::now();
                Ok(())
            }
            // A batch behind one that failed is out of sequence until that one is in.
            code if code.retriable() || code == ErrorCode::OutOfOrderSequenceNumber => {
                Err(io::Error::other(code.name()))
            }
            code => panic!(
                "producer {}: {} ({:?})",
                self.index,
                code.name(),
                partition.error_message
            ),
        }
    }
}

impl Shared {
    fn request(&self, pending: &Pending, acks: i16) -> ProduceRequest {
        let partition = pending.first.partition;
        produce_request(&self.plan.topic, partition, acks, pending.batch.clone())
    }
}

fn consume(shared: &Shared) {
    let mut next = vec![0; shared.plan.partitions as usize];
    while !shared.ended() {
        let Ok(mut connection) = Connection::open(shared.plan.address) else {
            std::thread::sleep(AGAIN_AFTER);
            continue;
        };
        while !shared.ended() && consume_some(shared, &mut connection, &mut next).is_ok() {}
    }
}

fn consume_some(shared: &Shared, connection: &mut Connection, next: &mut [i64]) -> io::Result<()> {
    for (partition, next) in (0..).zip(next) {
        let data = connection.fetch(&shared.plan.topic, partition, *next, 10)?;
        if data.error_code != 0 {
            std::thread::sleep(AGAIN_AFTER);
            return Err(io::Error::other(ErrorCode::from(data.error_code).name()));
        }
        for record in records_from(data.records, *next)? {
            let value = record.value.unwrap_or_default();
            shared
                .history()
                .read(partition, *next, record.offset, &value);
            *next = record.offset + 1;
        }
    }
    Ok(())
}
