//! A partition that this broker leads: the lock, what goes in under it, who waits for
//! what, and the high watermark. The files are `log`'s business, the wire `api`'s.
//!
//! The lock is short and never held over an await or a sync. An append takes its place
//! in the log under it; a sync runs outside, and comes back for a moment to move the
//! high watermark and to let go whoever waited for it.

mod acks;
mod batch;
mod fetch_wait;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use disk::{RealDisk, SyncJob, SyncPool};
use parking_lot::{Mutex, MutexGuard};
use protocol::error::ErrorCode;
use uuid::Uuid;

pub(crate) use acks::Acks;
pub(crate) use batch::{CheckedBatch, check};
pub(crate) use fetch_wait::FetchWait;
pub(crate) use state::{Online, Replicas};

use crate::checkpoints::Checkpoint;
use crate::config::TopicConfig;
use crate::error::Refusal;
use crate::log::{LogError, LogSlice, Sequence};
use crate::storage::Storage;
use state::State;

/// One partition of one topic, led here.
pub(crate) struct Partition {
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    state: Mutex<State>,
    /// A copy for readers that need no more than a glance.
    high_watermark: AtomicI64,
    sync: AtomicU8,
    /// When the last append came, in ms; a partition that rests gives up map and descriptor.
    touched_ms: AtomicI64,
    pool: SyncPool,
    storage: Arc<Storage>,
    this: Weak<Self>,
}

/// A recovery reads about twice so many bytes of a partition; a mark costs some 50 µs.
const MARK_EVERY: u64 = 2 << 20;

/// Where a partition stands with the sync pool: at most one job at a time.
const SYNC_IDLE: u8 = 0;
const SYNC_QUEUED: u8 = 1;
const SYNC_AGAIN: u8 = 2;

/// An append that took its place, or was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) base_offset: i64,
    pub(crate) log_append_time: i64,
    pub(crate) log_start: i64,
}

/// What a read found.
pub(crate) struct Found {
    pub(crate) slice: Option<LogSlice<RealDisk>>,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
}

/// Who wants to know of an append, and at which place of the answer.
#[derive(Clone, Copy)]
pub(crate) struct Waiter<'a> {
    pub(crate) acks: &'a Arc<Acks>,
    pub(crate) place: u32,
}

impl Partition {
    /// Opens the partition's log, recovering it if the last run did not close it. A log
    /// that cannot be trusted leaves the partition offline, with the reason in the log.
    pub(crate) fn open(
        topic: Arc<str>,
        topic_id: Uuid,
        index: i32,
        config: Arc<TopicConfig>,
        storage: &Arc<Storage>,
        pool: &SyncPool,
        now_ms: i64,
    ) -> Arc<Self> {
        let state = match storage.open_log(&topic, topic_id, index, &config, now_ms) {
            Ok(log) => State::online(log, config),
            Err(reason) => {
                tracing::error!("{topic}-{index} is offline: {reason}");
                State::offline(reason.to_string(), config)
            }
        };
        let high_watermark = AtomicI64::new(state.high_watermark());
        Arc::new_cyclic(|this| Self {
            topic,
            index,
            state: Mutex::new(state),
            high_watermark,
            sync: AtomicU8::new(SYNC_IDLE),
            touched_ms: AtomicI64::new(now_ms),
            pool: pool.clone(),
            storage: Arc::clone(storage),
            this: this.clone(),
        })
    }

    /// Takes a checked batch into the log. Gives its place at once; with a waiter,
    /// completes it when the records are as safe as `acks` asks, unless they already are.
    pub(crate) fn append(
        &self,
        batch: &CheckedBatch,
        acks: i16,
        waiter: Option<Waiter<'_>>,
        now_ms: i64,
    ) -> Result<Placed, Refusal> {
        if let Some(reason) = self.storage.failure() {
            return Err(Refusal::new(ErrorCode::KafkaStorageError, &*reason));
        }
        let mut state = self.state.lock();
        if acks == -1 && !state.replicas.enough(state.config.min_insync_replicas) {
            return Err(Refusal::new(
                ErrorCode::NotEnoughReplicas,
                format!(
                    "{} of {} in-sync replicas that min.insync.replicas asks for",
                    state.replicas.in_sync, state.config.min_insync_replicas
                ),
            ));
        }
        let leader_epoch = state.replicas.leader_epoch;
        let syncs = state.config.syncs_each_append();
        let append_time = state.config.log_append_time.then_some(now_ms);
        let log = state.log()?;
        let mut header = batch.header()?;
        match log.producers().check(&header) {
            Sequence::New => {}
            Sequence::Duplicate {
                base_offset,
                last_offset,
                timestamp,
            } => {
                let placed = Placed {
                    base_offset,
                    log_append_time: append_time.map_or(-1, |_| timestamp),
                    log_start: log.log_start(),
                };
                // The answer says that the original is safe, so it waits for that.
                state.wait_for(last_offset + 1, acks, waiter);
                return Ok(placed);
            }
            refused => return Err(out_of_sequence(refused)),
        }
        let base_offset = log.end_offset();
        header.base_offset = base_offset;
        header.max_timestamp = append_time.unwrap_or(header.max_timestamp);
        let head = batch.place(base_offset, leader_epoch, append_time);
        if let Err(error) = log.append(&head, batch.body(), now_ms) {
            return Err(self.append_failed(state, &error));
        }
        log.producers_mut().appended(&header, now_ms);
        let last_offset = header.last_offset();
        let placed = Placed {
            base_offset,
            log_append_time: append_time.unwrap_or(-1),
            log_start: log.log_start(),
        };
        state.appended(batch.record_count, now_ms);
        if !syncs {
            self.move_high_watermark(&mut state);
        }
        state.wait_for(last_offset + 1, acks, waiter);
        let sync_now = state.sync_due();
        drop(state);
        self.touched_ms.store(now_ms, Ordering::Relaxed);
        if sync_now {
            self.request_sync();
        }
        Ok(placed)
    }

    /// What the disk failed at for good, and what a log cannot be trusted after, ends the
    /// partition's service. Anything else, a full disk or no descriptor left, refuses this
    /// append and may take the next.
    fn append_failed(&self, mut state: MutexGuard<'_, State>, error: &LogError) -> Refusal {
        let untrusted = matches!(error, LogError::Corrupt { .. } | LogError::Malformed { .. });
        if untrusted || self.storage.failure().is_some() {
            tracing::error!("{}-{} is offline: {error}", self.topic, self.index);
            state.go_offline(error.to_string());
        } else {
            self.storage.report_refusal(&self.topic, self.index, error);
        }
        Refusal::new(ErrorCode::KafkaStorageError, error.to_string())
    }

    /// Records from `offset` up to the high watermark, at most `max_bytes` of them but
    /// the first batch whole if `min_one`.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: u32,
        min_one: bool,
    ) -> Result<Found, ErrorCode> {
        let mut state = self.state.lock();
        let high_watermark = state.high_watermark();
        let log = state.log().map_err(|refusal| refusal.code)?;
        let log_start = log.log_start();
        if offset < log_start || offset > log.end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let slice = if offset >= high_watermark || (max_bytes == 0 && !min_one) {
            None
        } else {
            log.read(offset, max_bytes, high_watermark, min_one)
                .map_err(|error| self.read_failed(&error))?
        };
        Ok(Found {
            slice,
            high_watermark,
            log_start,
        })
    }

    fn read_failed(&self, error: &LogError) -> ErrorCode {
        if let LogError::OffsetOutOfRange { .. } = error {
            return ErrorCode::OffsetOutOfRange;
        }
        tracing::error!("reading {}-{}: {error}", self.topic, self.index);
        ErrorCode::KafkaStorageError
    }

    /// The offset below which consumers may read, without the lock.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Wakes this poll when the high watermark moves, until it is removed.
    pub(crate) fn add_fetch_wait(&self, wait: &Arc<FetchWait>) {
        self.state.lock().fetches.add(wait);
    }

    pub(crate) fn remove_fetch_wait(&self, wait: &Arc<FetchWait>) {
        self.state.lock().fetches.remove(wait);
    }

    /// Runs `with` on the log under the lock, for what is neither an append nor a read.
    pub(crate) fn with_log<T>(&self, with: impl FnOnce(&mut Online) -> T) -> Result<T, ErrorCode> {
        let mut state = self.state.lock();
        let log = state.log().map_err(|refusal| refusal.code)?;
        Ok(with(log))
    }

    pub(crate) fn set_config(&self, config: Arc<TopicConfig>) {
        let mut state = self.state.lock();
        if let Ok(log) = state.log()
            && let Err(error) = log.set_config(config.log_config(self.index))
        {
            tracing::error!("{}-{} is offline: {error}", self.topic, self.index);
            state.go_offline(error.to_string());
        }
        state.config = config;
        let due = state.sync_due();
        drop(state);
        if due {
            self.request_sync();
        }
    }

    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&self.state.lock().config)
    }

    pub(crate) fn set_replicas(&self, replicas: Replicas) {
        self.state.lock().replicas = replicas;
    }

    /// Ends the service of a deleted partition: whoever waits gets `code`.
    pub(crate) fn end_service(&self, code: ErrorCode, reason: &str) {
        self.state.lock().delete(code, reason);
    }

    /// What the checkpoints are to say of it; `None` if what they said stands.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        self.state.lock().checkpoint()
    }

    /// Notes where a recovery may begin, once the checkpoints on disk say that everything below
    /// `recovery_point` is.
    pub(crate) fn mark(&self, recovery_point: i64) {
        let mut state = self.state.lock();
        if let Ok(log) = state.log()
            && let Err(error) = log.mark(recovery_point, MARK_EVERY)
        {
            // A recovery reads more without.
            tracing::debug!("{}-{} has no new mark: {error}", self.topic, self.index);
        }
    }

    /// Writes what a start after a clean stop reads. Tells whether anything is left to be synced.
    pub(crate) fn stage_close(&self) -> bool {
        let mut state = self.state.lock();
        // What goes wrong here goes wrong again in `close`, which tells it.
        state
            .log()
            .is_ok_and(|log| log.stage_close().unwrap_or(true))
    }

    /// Syncs what is left, unless everything on the disk is `synced`, and closes the log for a
    /// clean stop. False if it could not be.
    pub(crate) fn close(&self, synced: bool) -> bool {
        let mut state = self.state.lock();
        let Ok(log) = state.log() else { return false };
        let closed = log.finish_close(synced);
        if let Err(error) = &closed {
            tracing::error!("closing {}-{}: {error}", self.topic, self.index);
        }
        drop(state.close(ErrorCode::NotLeaderOrFollower, "the broker is stopping"));
        closed.is_ok()
    }

    /// What is to be done now and then: syncs that are due by time, rest for a log without
    /// appends, and, if `retention`, rolls and deletions by age and size.
    pub(crate) fn maintain(&self, now_ms: i64, rest_after_ms: i64, retention: bool) {
        let mut state = self.state.lock();
        let high_watermark = state.high_watermark();
        let sync_due = state.timed_sync_due(now_ms);
        let delete_delay = state.config.file_delete_delay_ms;
        let Ok(log) = state.log() else { return };
        let idle = now_ms - self.touched_ms.load(Ordering::Relaxed) > rest_after_ms;
        let parked = if idle { log.park() } else { Ok(()) };
        let mut retired = Vec::new();
        let maintained = if retention {
            log.maintain(now_ms, high_watermark, &mut retired)
        } else {
            Ok(())
        };
        // A roll leaves something to sync, which an idle partition has no append to ask for.
        let sync_due = sync_due || (retention && log.is_unflushed());
        drop(state);
        if let Err(error) = parked {
            tracing::error!("resting {}-{}: {error}", self.topic, self.index);
        }
        self.storage.retire(retired, now_ms + delete_delay);
        if let Err(error) = maintained {
            tracing::error!("maintaining {}-{}: {error}", self.topic, self.index);
        }
        if sync_due {
            self.request_sync();
        }
    }

    /// Asks the pool for a sync, unless one is queued that will see this append.
    fn request_sync(&self) {
        let before = self.sync.swap(SYNC_AGAIN, Ordering::AcqRel);
        if before == SYNC_IDLE {
            self.sync.store(SYNC_QUEUED, Ordering::Release);
            self.submit();
        }
    }

    fn submit(&self) {
        if let Some(this) = self.this.upgrade() {
            self.pool.submit(this);
        }
    }

    /// Syncs what is appended by now, and completes who waited for it.
    fn sync_once(&self) {
        let flush = {
            let mut state = self.state.lock();
            state.sync_begins();
            let Ok(log) = state.log() else { return };
            log.unflushed()
        };
        let result = match flush {
            Ok(None) => return,
            Ok(Some(flush)) => flush.run().map(|()| flush),
            Err(error) => Err(error),
        };
        let mut state = self.state.lock();
        match result {
            Ok(flush) => {
                let bytes = state.log().map_or(0, |log| log.flushed_to(&flush));
                self.move_high_watermark(&mut state);
                drop(state);
                self.storage.flushed(bytes);
            }
            // A sync may find its folder gone because the topic was deleted meanwhile.
            Err(_) if state.log().is_err() => {}
            // No descriptor was left to open what is to be synced: no page was lost by that, and
            // who waits for an ack waits for the next try.
            Err(error)
                if error.kind() == io::ErrorKind::OutOfMemory
                    && self.storage.failure().is_none() =>
            {
                tracing::error!(
                    "a sync of {}-{} waits: {error}; raise the limit of open files, or lower max.connections",
                    self.topic,
                    self.index
                );
                state.owe_sync();
            }
            Err(error) => {
                self.storage.fail(&format!(
                    "a sync of {}-{} failed: {error}",
                    self.topic, self.index
                ));
                state.go_offline(error.to_string());
            }
        }
    }

    fn move_high_watermark(&self, state: &mut State) {
        state.advance(&self.high_watermark);
    }
}

impl SyncJob for Partition {
    fn run(&self) -> bool {
        self.sync.store(SYNC_QUEUED, Ordering::Release);
        self.sync_once();
        // Appends that came meanwhile asked again.
        self.sync
            .compare_exchange(SYNC_QUEUED, SYNC_IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
    }
}

fn out_of_sequence(refused: Sequence) -> Refusal {
    match refused {
        Sequence::StaleEpoch { current } => Refusal::new(
            ErrorCode::InvalidProducerEpoch,
            format!("The producer has a newer epoch, {current}."),
        ),
        Sequence::OutOfOrder { last_sequence } => Refusal::new(
            ErrorCode::OutOfOrderSequenceNumber,
            format!("The last sequence number appended is {last_sequence}."),
        ),
        Sequence::New | Sequence::Duplicate { .. } => {
            Refusal::new(ErrorCode::UnknownServerError, "The batch was in sequence.")
        }
    }
}
