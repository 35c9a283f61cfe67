//! One loaded partition of `__consumer_offsets`: its shard behind a short lock, the requests that
//! wait for it, and the two tasks that serve it, a writer while there is something to write and a
//! timer. The lock is never held over an await.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::error::ErrorCode;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Duration, Instant, sleep_until};
use tracing::{info, warn};

use super::core::{Action, Config, Event, Now, Record, Reply, ReplyTo, Shard, Token};
use super::{OffsetsLog, records};
use crate::time::now_ms;

/// How many bytes of records go into one append, unless a single write is larger.
const APPEND_BYTES_MAX: usize = 256 << 10;
/// What a batch has before its records, and a record around its key and value, at most.
const BATCH_HEADER_BYTES: usize = 61;
const RECORD_FRAME_BYTES: usize = 24;

/// The clocks that a shard's `Now` is read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Now {
        Now {
            ticks_ms: i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX),
            wall_ms: now_ms(),
        }
    }

    /// When `ticks_ms` is reached. Beyond a year it makes no difference.
    fn at(self, ticks_ms: i64) -> Instant {
        const YEAR_MS: u64 = 365 * 24 * 3_600_000;
        let since_start = u64::try_from(ticks_ms)
            .unwrap_or(0)
            .min(self.start.elapsed().as_millis() as u64 + YEAR_MS);
        // A tick counts only whole milliseconds, so the deadline has passed at the end of its own.
        self.start + Duration::from_millis(since_start)
    }
}

/// A partition that this broker coordinates, from the start of its loading to its unloading. Loaded
/// again, it is another.
pub(super) struct Partition<L> {
    id: i32,
    log: Arc<L>,
    clock: Clock,
    inner: Mutex<Inner>,
    /// The timer must look at the deadlines anew.
    wake: Notify,
}

struct Inner {
    phase: Phase,
    shard: Shard,
    waiting: HashMap<ReplyTo, oneshot::Sender<Reply>>,
    next_reply: u64,
    /// Writes in the order in which they must reach the log.
    queue: VecDeque<(Token, Arc<[Record]>)>,
    writing: bool,
    /// When the timer wakes by itself.
    armed_ms: i64,
    /// Topics that were deleted while the log was read.
    deleted: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Loading,
    Active,
    Closed,
}

impl<L: OffsetsLog> Partition<L> {
    pub(super) fn new(id: i32, log: Arc<L>, clock: Clock, config: Config) -> Arc<Self> {
        let inner = Inner {
            phase: Phase::Loading,
            shard: Shard::new(config),
            waiting: HashMap::new(),
            next_reply: 0,
            queue: VecDeque::new(),
            writing: false,
            armed_ms: i64::MAX,
            deleted: Vec::new(),
        };
        Arc::new(Self {
            id,
            log,
            clock,
            inner: Mutex::new(inner),
            wake: Notify::new(),
        })
    }

    /// Reads the log into the shard, then opens it for requests.
    pub(super) async fn load(self: &Arc<Self>, config: Config) -> Result<(), ErrorCode> {
        let started = Instant::now();
        let mut shard = Shard::new(config);
        let (mut read, mut unreadable) = (0_u64, 0_u64);
        let mut each = |key, value| {
            read += 1;
            match records::decode(key, value) {
                Ok(Some(record)) => shard.replay(record),
                Ok(None) => {}
                Err(error) => {
                    unreadable += 1;
                    warn!(partition = self.id, %error, "a record of a group cannot be read and is skipped");
                }
            }
        };
        self.log.read_all(self.id, &mut each).await?;
        let took_ms = started.elapsed().as_millis();
        if read > 0 {
            info!(
                partition = self.id,
                records = read,
                unreadable,
                took_ms,
                "groups have been loaded"
            );
        }
        // A topic may have been deleted while nobody could write so here. One of its name to come
        // must not begin at its offsets.
        let mut gone: BTreeSet<String> = shard
            .groups()
            .flat_map(|(_, group)| group.offsets().keys())
            .filter(|topic| !self.log.has_topic(topic))
            .cloned()
            .collect();
        let mut inner = self.inner.lock();
        if inner.phase != Phase::Loading {
            return Ok(());
        }
        gone.extend(std::mem::take(&mut inner.deleted));
        let now = self.clock.now();
        inner.shard = shard;
        inner.phase = Phase::Active;
        let actions = inner.shard.loaded(now);
        self.act(&mut inner, actions);
        for topic in gone {
            let actions = inner.shard.on(now, Event::TopicDeleted(topic));
            self.act(&mut inner, actions);
        }
        drop(inner);
        tokio::spawn(Arc::clone(self).keep_time());
        Ok(())
    }

    /// Ends it: whatever waits is told that the coordinator is elsewhere.
    pub(super) fn close(self: &Arc<Self>) {
        let mut inner = self.inner.lock();
        inner.phase = Phase::Closed;
        inner.queue.clear();
        let actions = inner.shard.abandon(ErrorCode::NotCoordinator);
        self.act(&mut inner, actions);
        inner.waiting.clear();
        self.wake.notify_one();
    }

    /// Brings an event that asks for an answer. The answer may never come (then the partition was
    /// closed), and nobody need wait for it (then its client is gone).
    pub(super) fn ask(
        self: &Arc<Self>,
        event: impl FnOnce(ReplyTo) -> Event,
    ) -> Result<oneshot::Receiver<Reply>, ErrorCode> {
        let mut inner = self.inner.lock();
        inner.check_active()?;
        let to = ReplyTo(inner.next_reply);
        inner.next_reply += 1;
        let (sender, receiver) = oneshot::channel();
        inner.waiting.insert(to, sender);
        let actions = inner.shard.on(self.clock.now(), event(to));
        self.act(&mut inner, actions);
        Ok(receiver)
    }

    pub(super) fn topic_deleted(self: &Arc<Self>, topic: &str) {
        let mut inner = self.inner.lock();
        match inner.phase {
            Phase::Loading => inner.deleted.push(topic.to_owned()),
            Phase::Active => {
                let actions = inner
                    .shard
                    .on(self.clock.now(), Event::TopicDeleted(topic.to_owned()));
                self.act(&mut inner, actions);
            }
            Phase::Closed => {}
        }
    }

    /// Looks at the groups, under the lock: `look` must be quick.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Shard) -> T) -> Result<T, ErrorCode> {
        let inner = self.inner.lock();
        inner.check_active()?;
        Ok(look(&inner.shard))
    }

    fn act(self: &Arc<Self>, inner: &mut Inner, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Reply(to, reply) => {
                    if let Some(sender) = inner.waiting.remove(&to) {
                        // An error means that the client is gone, which is no concern of the
                        // group's.
                        let _ = sender.send(reply);
                    }
                }
                Action::Append { token, records } => inner.queue.push_back((token, records)),
            }
        }
        if !inner.queue.is_empty() && !inner.writing {
            inner.writing = true;
            tokio::spawn(Arc::clone(self).write());
        }
        if inner.shard.next_deadline() < inner.armed_ms {
            self.wake.notify_one();
        }
    }

    /// Writes until nothing is left to write. Whatever gathers during an append goes with the next.
    async fn write(self: Arc<Self>) {
        loop {
            let queue = {
                let mut inner = self.inner.lock();
                if inner.queue.is_empty() {
                    inner.writing = false;
                    return;
                }
                std::mem::take(&mut inner.queue)
            };
            let mut queue = queue.into_iter().map(Encoded::from).peekable();
            let max = APPEND_BYTES_MAX.min(self.log.batch_bytes_max(self.id));
            while let Some(first) = queue.next() {
                let mut bytes = BATCH_HEADER_BYTES + first.bytes;
                let mut writes = vec![(first.token, !first.records.is_empty())];
                let mut batch = first.records;
                // What is too large for the log is so alone: no other group's write fails with it.
                while let Some(next) = queue.next_if(|next| bytes + next.bytes <= max) {
                    bytes += next.bytes;
                    writes.push((next.token, !next.records.is_empty()));
                    batch.extend(next.records);
                }
                let result = if batch.is_empty() {
                    Ok(())
                } else {
                    self.log
                        .append(self.id, batch, self.clock.now().wall_ms)
                        .await
                };
                let mut inner = self.inner.lock();
                if inner.phase != Phase::Active {
                    return;
                }
                for (token, has_records) in writes {
                    // What only waits for earlier writes has not failed with them.
                    let result = if has_records { result } else { Ok(()) };
                    let actions = inner
                        .shard
                        .on(self.clock.now(), Event::Written(token, result));
                    self.act(&mut inner, actions);
                }
            }
        }
    }

    /// Tells the shard when its deadlines have come.
    async fn keep_time(self: Arc<Self>) {
        loop {
            let deadline_ms = {
                let mut inner = self.inner.lock();
                if inner.phase != Phase::Active {
                    return;
                }
                let now = self.clock.now();
                if inner.shard.next_deadline() <= now.ticks_ms {
                    let actions = inner.shard.on(now, Event::Tick);
                    self.act(&mut inner, actions);
                }
                inner.armed_ms = inner.shard.next_deadline();
                inner.armed_ms
            };
            tokio::select! {
                () = sleep_until(self.clock.at(deadline_ms)) => {}
                () = self.wake.notified() => {}
            }
        }
    }
}

/// A write as the log takes it.
struct Encoded {
    token: Token,
    records: Vec<(Bytes, Option<Bytes>)>,
    bytes: usize,
}

impl From<(Token, Arc<[Record]>)> for Encoded {
    fn from((token, records): (Token, Arc<[Record]>)) -> Self {
        let records: Vec<_> = records.iter().map(records::encode).collect();
        let size = |(key, value): &(Bytes, Option<Bytes>)| {
            RECORD_FRAME_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len)
        };
        Self {
            token,
            bytes: records.iter().map(size).sum(),
            records,
        }
    }
}

impl Inner {
    fn check_active(&self) -> Result<(), ErrorCode> {
        match self.phase {
            Phase::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Phase::Active => Ok(()),
            Phase::Closed => Err(ErrorCode::NotCoordinator),
        }
    }
}
