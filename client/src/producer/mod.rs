//! The producer: records in, batches out, one outcome for each record.
//!
//! `accumulator` decides (batches, order, retries, sequences), `sender` acts (a task for each
//! broker), `supervisor` keeps metadata and the producer id current. Here is what a user sees.

mod accumulator;
mod batch;
mod config;
mod delivery;
mod error;
mod partitioner;
mod sender;
mod supervisor;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use config::{Acks, ProducerConfig};
pub use delivery::{Delivered, Delivery};
pub use error::ProduceError;
pub use partitioner::partition_for_key;

use accumulator::{Accumulator, Finished, Pushed};

use crate::random::Random;
use crate::{Client, ClientError, ProducerRecord};

/// Sends records to topics. Clones share it. What was sent is delivered even if all clones are
/// dropped, as long as the runtime lives; [`close`](Self::close) waits for that.
///
/// ```no_run
/// use client::{Producer, ProducerConfig, ProducerRecord};
///
/// # async fn example() -> Result<(), client::ProduceError> {
/// let producer = Producer::new(ProducerConfig::new("127.0.0.1:9092"))?;
/// let delivery = producer.send(ProducerRecord::new("article").key("1").value("text")).await?;
/// let delivered = delivery.await?;
/// println!("{} at offset {}", delivered.partition, delivered.offset);
/// producer.close().await
/// # }
/// ```
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// When the last of these goes, the tasks end once they have nothing left to do.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::Release);
        self.0.accumulator.lock().flush();
        self.0.wake_all();
    }
}

/// What the handle and the tasks share.
struct Shared {
    client: Client,
    config: ProducerConfig,
    started: Instant,
    accumulator: Mutex<Accumulator>,
    /// A permit for each byte of `memory_bytes`.
    memory: Semaphore,
    memory_waiters: AtomicUsize,
    /// Wakes each broker's task.
    tasks: Mutex<HashMap<i32, Arc<Notify>>>,
    supervisor: Notify,
    /// Told whenever batches got their outcome.
    settled: Notify,
    /// No more records come; the tasks end when all is settled.
    closing: AtomicBool,
}

impl Producer {
    /// A producer; it connects with the first record. Must be called within a tokio runtime.
    pub fn new(config: ProducerConfig) -> Result<Self, ProduceError> {
        if config.idempotence && config.acks != Acks::All {
            let told = "an idempotent producer needs acks=all: set idempotence to false, or acks to Acks::All";
            return Err(ClientError::Invalid(told.to_owned()).into());
        }
        let client = Client::new(config.client.clone())?;
        let shared = Arc::new(Shared {
            accumulator: Mutex::new(Accumulator::new(config.settings(), Random::new())),
            memory: Semaphore::new(config.memory_bytes.clamp(1, Semaphore::MAX_PERMITS)),
            client,
            config,
            started: Instant::now(),
            memory_waiters: AtomicUsize::new(0),
            tasks: Mutex::new(HashMap::new()),
            supervisor: Notify::new(),
            settled: Notify::new(),
            closing: AtomicBool::new(false),
        });
        tokio::spawn(supervisor::run(Arc::clone(&shared)));
        Ok(Self {
            handle: Arc::new(Handle(shared)),
        })
    }

    /// Takes a record. Waits while the producer's memory is full and, the first time, for the
    /// topic's metadata. The record's outcome is what the [`Delivery`] waits for; records of
    /// one partition are appended in the order of these calls.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        let shared = &self.handle.0;
        if shared.closing.load(Ordering::Acquire) {
            return Err(ProduceError::Closed);
        }
        let size = size_of_record(&record);
        if size > shared.config.max_record_bytes + RECORD_OVERHEAD {
            return Err(ProduceError::TooLarge {
                topic: record.topic,
                size,
                limit: shared.config.max_record_bytes,
            });
        }
        // One record may be larger than all of the memory: then it goes alone.
        let permits = size.min(shared.config.memory_bytes.max(1));
        // Given back by itself if this call fails or is given up.
        let memory = shared.take_memory(permits).await;
        let mut record = record;
        loop {
            let now = shared.now();
            let pushed = shared
                .accumulator
                .lock()
                .push(now, unix_ms(), record, permits);
            match pushed {
                Pushed::Queued {
                    outcome,
                    index,
                    wake,
                } => {
                    // From now on it is the batch's.
                    memory.forget();
                    match wake {
                        Some(broker) => shared.wake(broker),
                        None if index == 0 => shared.supervise_if_leaderless(),
                        None => {}
                    }
                    return Ok(Delivery::new(outcome, index));
                }
                Pushed::UnknownTopic(returned) => {
                    let topic = shared.client.topic(&returned.topic).await?;
                    shared.accumulator.lock().set_topic(&returned.topic, &topic);
                    record = returned;
                }
                Pushed::NoSuchPartition(error) => return Err(error),
                Pushed::Closed => return Err(ProduceError::Closed),
            }
        }
    }

    /// Waits until all records sent before have their outcome, without lingering. An error is
    /// that of the first record that failed since the last flush. Given up, it takes no error
    /// with it.
    pub async fn flush(&self) -> Result<(), ProduceError> {
        self.settled(Accumulator::flushed).await
    }

    /// Takes no more records, of any clone, and waits for the outcome of those sent. An error is
    /// that of the first record that failed since the last flush.
    pub async fn close(self) -> Result<(), ProduceError> {
        self.handle.0.closing.store(true, Ordering::Release);
        self.settled(|accumulator, mark| {
            let flushed = accumulator.close_if_done();
            flushed.then(|| accumulator.flushed(mark)).flatten()
        })
        .await
    }

    /// Waits, without lingering, until `check` finds what it looks for below the mark.
    async fn settled(
        &self,
        check: impl Fn(&mut Accumulator, u64) -> Option<Result<(), ProduceError>>,
    ) -> Result<(), ProduceError> {
        let shared = &self.handle.0;
        let mark = shared.accumulator.lock().flush();
        shared.wake_all();
        loop {
            let settled = shared.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let found = check(&mut shared.accumulator.lock(), mark);
            if let Some(result) = found {
                return result;
            }
            settled.await;
        }
    }

    /// The cluster that it sends to.
    pub fn client(&self) -> &Client {
        &self.handle.0.client
    }
}

impl Shared {
    /// Milliseconds on the producer's own clock.
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    async fn take_memory(&self, permits: usize) -> SemaphorePermit<'_> {
        if let Ok(permit) = self.memory.try_acquire_many(permits as u32) {
            return permit;
        }
        // Batches that linger hold the memory that this record waits for.
        self.memory_waiters.fetch_add(1, Ordering::AcqRel);
        let _waiting = Decrement(&self.memory_waiters);
        self.wake_all();
        let permit = self.memory.acquire_many(permits as u32).await;
        permit.expect("this semaphore is never closed")
    }

    fn wake(&self, broker: i32) {
        match self.tasks.lock().get(&broker) {
            Some(task) => task.notify_one(),
            None => self.supervisor.notify_one(),
        }
    }

    fn supervise_if_leaderless(&self) {
        if self.tasks.lock().is_empty() {
            self.supervisor.notify_one();
        }
    }

    fn wake_all(&self) {
        for task in self.tasks.lock().values() {
            task.notify_one();
        }
        self.supervisor.notify_one();
    }

    /// Hands batches their outcomes.
    fn settle(&self, finished: Vec<Finished>) {
        if finished.is_empty() {
            return;
        }
        let mut memory = 0;
        for Finished { batch, result } in finished {
            if let Err(error) = &result {
                tracing::debug!(%error, records = batch.count, "not delivered");
            }
            memory += batch.memory;
            batch.outcome.settle(result);
        }
        self.memory.add_permits(memory);
        self.settled.notify_waiters();
    }

    /// Whether the tasks can end: from then on nothing is taken any more.
    fn is_done(&self) -> bool {
        self.closing.load(Ordering::Acquire) && self.accumulator.lock().close_if_done()
    }
}

/// Takes one off a count when dropped, also when the wait is given up.
struct Decrement<'a>(&'a AtomicUsize);

impl Drop for Decrement<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a record costs beside its own bytes, about: lengths, deltas, and its share of a batch.
const RECORD_OVERHEAD: usize = 24;

fn size_of_record(record: &ProducerRecord) -> usize {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|header| header.key.len() + len(&header.value) + 10)
        .sum();
    RECORD_OVERHEAD + len(&record.key) + len(&record.value) + headers
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
