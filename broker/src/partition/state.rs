//! What stands under a partition's lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use disk::RealDisk;
use protocol::error::ErrorCode;

use super::Waiter;
use super::acks::Acks;
use super::fetch_wait::FetchWaiters;
use crate::checkpoints::Checkpoint;
use crate::config::TopicConfig;
use crate::error::Refusal;
use crate::log::Log;

/// The log of a partition in service.
pub(crate) type Online = Log<RealDisk>;

/// Who replicates the partition, as the tree has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replicas {
    pub(crate) leader_epoch: i32,
    pub(crate) in_sync: i32,
}

impl Replicas {
    pub(super) fn enough(self, min_insync: i32) -> bool {
        self.in_sync >= min_insync
    }
}

/// A produce request that waits until everything below `offset` is safe.
pub(super) struct AckWaiter {
    offset: i64,
    place: u32,
    acks: Arc<Acks>,
}

enum Service {
    Online(Box<Online>),
    Offline { code: ErrorCode, reason: String },
}

pub(super) struct State {
    service: Service,
    pub(super) config: Arc<TopicConfig>,
    pub(super) replicas: Replicas,
    pub(super) fetches: FetchWaiters,
    /// In the order of their offsets, as appends are.
    waiting: VecDeque<AckWaiter>,
    high_watermark: i64,
    /// Records appended since the last sync, and the time of the first, for
    /// `flush.messages` above 1 and `flush.ms`.
    unsynced_records: i64,
    unsynced_since_ms: Option<i64>,
    /// Whether a sync could not begin and is to be tried again.
    sync_owed: bool,
    /// What the checkpoints say once the log is out of service; `None` if they are to be left
    /// as they are.
    last_checkpoint: Option<Checkpoint>,
}

impl State {
    pub(super) fn online(log: Online, config: Arc<TopicConfig>) -> Self {
        // Recovery synced what it kept, so all of it may be read.
        let high_watermark = log.end_offset();
        Self::new(Service::Online(Box::new(log)), config, high_watermark)
    }

    pub(super) fn offline(reason: String, config: Arc<TopicConfig>) -> Self {
        let service = Service::Offline {
            code: ErrorCode::KafkaStorageError,
            reason,
        };
        Self::new(service, config, 0)
    }

    fn new(service: Service, config: Arc<TopicConfig>, high_watermark: i64) -> Self {
        Self {
            service,
            config,
            replicas: Replicas {
                leader_epoch: 0,
                in_sync: 1,
            },
            fetches: FetchWaiters::default(),
            waiting: VecDeque::new(),
            high_watermark,
            unsynced_records: 0,
            unsynced_since_ms: None,
            sync_owed: false,
            last_checkpoint: None,
        }
    }

    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        match &self.service {
            Service::Online(log) => Some(Checkpoint {
                recovery_point: log.recovery_point(),
                log_start: log.log_start(),
            }),
            Service::Offline { .. } => self.last_checkpoint,
        }
    }

    pub(super) fn log(&mut self) -> Result<&mut Online, Refusal> {
        match &mut self.service {
            Service::Online(log) => Ok(log),
            Service::Offline { code, reason } => Err(Refusal::new(*code, reason.clone())),
        }
    }

    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    pub(super) fn appended(&mut self, records: i32, now_ms: i64) {
        self.unsynced_records += i64::from(records);
        self.unsynced_since_ms.get_or_insert(now_ms);
    }

    /// What is flushed by now counts from here.
    pub(super) fn sync_begins(&mut self) {
        self.unsynced_records = 0;
        self.unsynced_since_ms = None;
        self.sync_owed = false;
    }

    /// A sync could not begin: the next maintenance asks for it again.
    pub(super) fn owe_sync(&mut self) {
        self.sync_owed = true;
    }

    /// Whether the records appended so far ask for a sync now.
    pub(super) fn sync_due(&self) -> bool {
        self.unsynced_records >= self.config.flush_messages
    }

    pub(super) fn timed_sync_due(&self, now_ms: i64) -> bool {
        self.sync_owed
            || self
                .unsynced_since_ms
                .is_some_and(|since| now_ms.saturating_sub(since) >= self.config.flush_ms)
    }

    /// Completes `waiter` once everything below `offset` is as safe as `acks` asks, which
    /// may be now.
    pub(super) fn wait_for(&mut self, offset: i64, acks: i16, waiter: Option<Waiter<'_>>) {
        let Some(Waiter {
            acks: request,
            place,
        }) = waiter
        else {
            return;
        };
        let safe = if acks == -1 || self.config.syncs_each_append() {
            self.high_watermark >= offset
        } else {
            true
        };
        if safe {
            return;
        }
        request.expect(place);
        let entry = AckWaiter {
            offset,
            place,
            acks: Arc::clone(request),
        };
        // A duplicate may wait for an offset below the last one waited for.
        let at = self.waiting.partition_point(|w| w.offset <= offset);
        self.waiting.insert(at, entry);
    }

    /// Moves the high watermark to what is safe, also where it is read without the lock, and
    /// lets go who waited for that.
    pub(super) fn advance(&mut self, published: &AtomicI64) {
        let Service::Online(log) = &self.service else {
            return;
        };
        let safe = if self.config.syncs_each_append() {
            log.flushed()
        } else {
            log.end_offset()
        };
        if safe <= self.high_watermark {
            return;
        }
        self.high_watermark = safe;
        // Before anyone is woken: who learns of an append can read it.
        published.store(safe, Ordering::Release);
        while let Some(waiter) = self.waiting.front()
            && waiter.offset <= safe
        {
            waiter.acks.complete(waiter.place, Ok(()));
            self.waiting.pop_front();
        }
        self.fetches.wake_all();
    }

    /// Ends the service after a fault. Nothing that waits is acknowledged.
    pub(super) fn go_offline(&mut self, reason: String) {
        drop(self.close(ErrorCode::KafkaStorageError, &reason));
    }

    /// Ends the service of a log that is deleted: the checkpoints are told nothing more, as a
    /// new one may have its name.
    pub(super) fn delete(&mut self, code: ErrorCode, reason: &str) {
        drop(self.close(code, reason));
        self.last_checkpoint = None;
    }

    /// Ends the service and gives the log back; whoever waits gets `code`.
    pub(super) fn close(&mut self, code: ErrorCode, reason: &str) -> Option<Box<Online>> {
        self.last_checkpoint = self.checkpoint();
        let ended = Service::Offline {
            code,
            reason: reason.to_owned(),
        };
        for waiter in self.waiting.drain(..) {
            waiter.acks.complete(waiter.place, Err(code));
        }
        self.fetches.wake_all();
        match std::mem::replace(&mut self.service, ended) {
            Service::Online(log) => Some(log),
            Service::Offline { .. } => None,
        }
    }
}
