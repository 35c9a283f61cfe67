//! Fetch: records out of logs, and the wait for more. Nothing is copied here: the answer
//! names the parts of the segment files that the writer of the connection sends.

mod session;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disk::RealDisk;
use protocol::api::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use protocol::{ApiKey, ErrorCode, Records, encode_response};
use tokio::time::Instant;

use super::Context;
use crate::broker::Inner;
use crate::log::LogSlice;
use crate::metadata::View;
use crate::net::{Answer, Client, Outgoing};
use crate::partition::{FetchWait, Partition};
use crate::time::now_ms;

pub(crate) use session::Sessions;
use session::{Begun, Told, TopicKey, Wanted};

/// The longest that a poll waits, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// A Fetch under way: what it reads, and within which bounds.
struct Fetch {
    broker: Arc<Inner>,
    begun: Begun,
    min_bytes: usize,
    max_bytes: usize,
    committed_only: bool,
}

pub(super) fn handle(context: &Context<'_>, request: FetchRequest) -> Answer {
    let broker = context.broker;
    let version = context.version();
    let begun = match broker.fetch_sessions.begin(&request, version, now_ms()) {
        Ok(begun) => begun,
        Err(code) => {
            return context.answer(&FetchResponse {
                error_code: code.code(),
                ..Default::default()
            });
        }
    };
    let wait = Duration::from_millis(request.max_wait_ms.max(0) as u64).min(WAIT_MAX);
    let max_bytes = (request.max_bytes.max(0) as usize).min(broker.limits.fetch_bytes_max);
    let fetch = Fetch {
        broker: Arc::clone(broker),
        begun,
        // More than the answer may hold would be waited for in vain.
        min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
        max_bytes,
        committed_only: request.isolation_level == 1,
    };
    let deadline = Instant::now() + wait;
    let id = context.header.correlation_id;
    let client = context.client.clone();
    Answer::Later(Box::pin(async move {
        let read = fetch.read_or_wait(deadline, client).await;
        fetch.answer(read, id, version)
    }))
}

/// What one pass over the partitions found.
struct Read {
    partitions: Vec<PartitionRead>,
    bytes: usize,
    failed: bool,
}

struct PartitionRead {
    outcome: Result<Option<LogSlice<RealDisk>>, ErrorCode>,
    high_watermark: i64,
    log_start: i64,
}

impl Fetch {
    async fn read_or_wait(&self, deadline: Instant, mut client: Client) -> Read {
        let read = self.read();
        if self.enough(&read) || Instant::now() >= deadline {
            return read;
        }
        let wait = Arc::new(FetchWait::default());
        let _registered = Registered::new(self, &wait);
        loop {
            // Read after the registration, or what came between would be missed.
            let read = self.read();
            if self.enough(&read) {
                return read;
            }
            let gone = tokio::select! {
                () = wait.woken() => false,
                () = tokio::time::sleep_until(deadline) => true,
                _ = client.gone.wait_for(|gone| *gone) => true,
            };
            if gone {
                return self.read();
            }
        }
    }

    /// Errors are told at once, and so is a fetch of nothing.
    fn enough(&self, read: &Read) -> bool {
        read.failed || read.bytes >= self.min_bytes || self.begun.wanted.is_empty()
    }

    fn read(&self) -> Read {
        let view = self.broker.view();
        let mut read = Read {
            partitions: Vec::with_capacity(self.begun.wanted.len()),
            bytes: 0,
            failed: false,
        };
        for wanted in &self.begun.wanted {
            let left = self.max_bytes.saturating_sub(read.bytes);
            // The first batch of the first partition that has any is sent whole, or a
            // batch larger than the limits would never be read.
            let min_one = read.bytes == 0;
            let found = read_one(&view, wanted, left, min_one);
            if let Ok(Some(slice)) = &found.outcome {
                read.bytes += slice.len() as usize;
            }
            read.failed |= found.outcome.is_err();
            read.partitions.push(found);
        }
        read
    }

    fn answer(&self, read: Read, correlation_id: i32, version: i16) -> Outgoing {
        let mut slices = Vec::new();
        let mut topics: Vec<FetchableTopicResponse> = Vec::new();
        let mut of: Option<&TopicKey> = None;
        let (session_id, session) = match &self.begun.session {
            Some((id, session)) => (*id, Some(session)),
            None => (0, None),
        };
        let mut session = session.map(|session| session.lock());
        for (wanted, found) in self.begun.wanted.iter().zip(read.partitions) {
            if let Some(session) = &mut session {
                let told = Told {
                    high_watermark: found.high_watermark,
                    log_start: found.log_start,
                    has_records: matches!(found.outcome, Ok(Some(_))),
                    failed: found.outcome.is_err(),
                };
                if !session.tell(wanted, told) && self.begun.incremental {
                    continue;
                }
            }
            if of != Some(&wanted.topic) {
                of = Some(&wanted.topic);
                topics.push(topic_head(&wanted.topic));
            }
            let data = self.describe(wanted, found, &mut slices);
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(data);
            }
        }
        drop(session);
        let response = FetchResponse {
            session_id,
            responses: topics,
            ..Default::default()
        };
        Outgoing {
            encoded: encode_response(correlation_id, &response, ApiKey::Fetch, version),
            slices,
        }
    }

    fn describe(
        &self,
        wanted: &Wanted,
        found: PartitionRead,
        slices: &mut Vec<LogSlice<RealDisk>>,
    ) -> PartitionData {
        let error = found.outcome.as_ref().err().copied();
        let records = match found.outcome {
            Ok(Some(slice)) => {
                let elsewhere = Records::Elsewhere {
                    len: slice.len(),
                    token: slices.len() as u32,
                };
                slices.push(slice);
                elsewhere
            }
            _ => Records::Bytes(Bytes::new()),
        };
        PartitionData {
            partition_index: wanted.partition,
            error_code: error.map_or(0, ErrorCode::code),
            high_watermark: found.high_watermark,
            last_stable_offset: found.high_watermark,
            log_start_offset: found.log_start,
            aborted_transactions: self.committed_only.then(Vec::new),
            records: Some(records),
            ..Default::default()
        }
    }
}

fn topic_head(key: &TopicKey) -> FetchableTopicResponse {
    match key {
        TopicKey::Name(name) => FetchableTopicResponse {
            topic: (&**name).into(),
            ..Default::default()
        },
        TopicKey::Id(id) => FetchableTopicResponse {
            topic_id: *id,
            ..Default::default()
        },
    }
}

fn read_one(view: &View, wanted: &Wanted, left: usize, min_one: bool) -> PartitionRead {
    let mut read = PartitionRead {
        outcome: Ok(None),
        high_watermark: -1,
        log_start: -1,
    };
    let partition = match find(view, wanted) {
        Ok(partition) => partition,
        Err(code) => {
            read.outcome = Err(code);
            return read;
        }
    };
    let max_bytes = left.min(wanted.max_bytes.max(0) as usize) as u32;
    match partition.read(wanted.offset, max_bytes, min_one) {
        Ok(found) => {
            read.outcome = Ok(found.slice);
            read.high_watermark = found.high_watermark;
            read.log_start = found.log_start;
        }
        Err(code) => read.outcome = Err(code),
    }
    read
}

fn find<'a>(view: &'a View, wanted: &Wanted) -> Result<&'a Arc<Partition>, ErrorCode> {
    let topic = match &wanted.topic {
        TopicKey::Name(name) => view.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
        TopicKey::Id(id) => view.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
    };
    let (partition, _) = topic.led_here(wanted.partition, wanted.leader_epoch)?;
    Ok(partition)
}

/// A long poll's registrations, taken back when it ends.
struct Registered<'a> {
    fetch: &'a Fetch,
    wait: &'a Arc<FetchWait>,
    view: Arc<View>,
}

impl<'a> Registered<'a> {
    fn new(fetch: &'a Fetch, wait: &'a Arc<FetchWait>) -> Self {
        let view = fetch.broker.view();
        let registered = Self { fetch, wait, view };
        registered.each(|partition| partition.add_fetch_wait(wait));
        registered
    }

    fn each(&self, what: impl Fn(&Partition)) {
        for wanted in &self.fetch.begun.wanted {
            if let Ok(partition) = find(&self.view, wanted) {
                what(partition);
            }
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.each(|partition| partition.remove_fetch_wait(self.wait));
    }
}
