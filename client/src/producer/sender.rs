//! The task that sends to one broker: what the accumulator hands out becomes a request, what
//! the broker answers goes back to the accumulator.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::api::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use protocol::api::{ProduceRequest, ProduceResponse};
use protocol::{ApiKey, ErrorCode};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::accumulator::Reply;
use super::batch::Batch;
use super::delivery::Acked;
use super::{Acks, Shared};
use crate::client::Lane;
use crate::{Answer, ClientError, ConnectionError, TopicPartition};

/// Requests under way to one broker; more would not be faster, only later to learn of errors.
const IN_FLIGHT: usize = 5;

type Answered = (Vec<Batch>, Result<ProduceResponse, ConnectionError>);

/// Runs until the producer is closed and all is settled.
pub(super) async fn run(shared: Arc<Shared>, broker: i32, wake: Arc<Notify>) {
    let mut in_flight: JoinSet<Answered> = JoinSet::new();
    loop {
        let mut next = u64::MAX;
        if in_flight.len() < IN_FLIGHT {
            let hurry = shared.memory_waiters.load(Ordering::Acquire) > 0;
            let now = shared.now();
            let drained = shared.accumulator.lock().drain(now, broker, hurry);
            next = drained.next;
            if !drained.batches.is_empty() {
                send(&shared, broker, drained.batches, &mut in_flight).await;
                continue;
            }
        }
        if in_flight.is_empty() && shared.is_done() {
            return;
        }
        let wait = Duration::from_millis(next.saturating_sub(shared.now()).clamp(1, 60_000));
        tokio::select! {
            Some(answered) = in_flight.join_next() => {
                settle(&shared, broker, answered);
            }
            () = wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn send(
    shared: &Arc<Shared>,
    broker: i32,
    mut batches: Vec<Batch>,
    in_flight: &mut JoinSet<Answered>,
) {
    let request = request(shared, &mut batches);
    let connection = match shared.client.connection(broker, Lane::Common) {
        Ok(connection) => connection,
        Err(error) => {
            return complete(shared, broker, batches, |_| {
                refused(&error, ErrorCode::LeaderNotAvailable)
            });
        }
    };
    if shared.config.acks == Acks::None {
        let sent = connection.submit_unanswered(&request).await;
        let reply = match sent {
            Ok(()) => Reply::Acked(Acked {
                base_offset: -1,
                append_time: None,
            }),
            Err(error) => Reply::Lost(error),
        };
        return complete(shared, broker, batches, |_| reply.clone());
    }
    let waiting = Waiting {
        shared: Arc::clone(shared),
        broker,
        address: connection.address().into(),
        since: Instant::now(),
    };
    let submit = connection.submit(&request);
    let submit = tokio::time::timeout_at(waiting.deadline(&batches), submit);
    tokio::pin!(submit);
    let submitted = loop {
        tokio::select! {
            submitted = &mut submit => break submitted,
            // Opening a connection takes a while; what was answered before does not wait for it.
            Some(answered) = in_flight.join_next() => settle(shared, broker, answered),
        }
    };
    match submitted {
        Ok(Ok(answer)) => {
            in_flight.spawn(waiting.wait(batches, answer));
        }
        Ok(Err(error)) => complete(shared, broker, batches, |_| Reply::Lost(error.clone())),
        Err(_) => complete(shared, broker, batches, |_| Reply::Lost(waiting.too_long())),
    }
}

/// A request on its way.
struct Waiting {
    shared: Arc<Shared>,
    broker: i32,
    address: Arc<str>,
    since: Instant,
}

impl Waiting {
    /// When the first of these batches has to have its outcome.
    fn deadline(&self, batches: &[Batch]) -> Instant {
        let accumulator = self.shared.accumulator.lock();
        let deadlines = batches.iter().map(|batch| accumulator.deadline(batch));
        let first = deadlines.min().unwrap_or_default();
        self.shared.started + Duration::from_millis(first)
    }

    fn too_long(&self) -> ConnectionError {
        ConnectionError::RequestTimeout {
            address: self.address.clone(),
            api: ApiKey::Produce,
            after: self.since.elapsed(),
        }
    }

    /// Waits for the answer, and gives up meanwhile on batches whose time is over.
    async fn wait(self, mut batches: Vec<Batch>, answer: Answer<ProduceResponse>) -> Answered {
        tokio::pin!(answer);
        while !batches.is_empty() {
            let deadline = self.deadline(&batches);
            if let Ok(answer) = tokio::time::timeout_at(deadline, &mut answer).await {
                return (batches, answer);
            }
            let now = self.shared.now();
            let (late, left): (Vec<Batch>, Vec<Batch>) = {
                let accumulator = self.shared.accumulator.lock();
                let batches = batches.into_iter();
                batches.partition(|batch| accumulator.deadline(batch) <= now)
            };
            batches = left;
            complete(&self.shared, self.broker, late, |_| {
                Reply::Lost(self.too_long())
            });
        }
        (batches, Err(self.too_long()))
    }
}

fn refused(error: &ClientError, code: ErrorCode) -> Reply {
    Reply::Refused(code, Some(error.to_string().into()))
}

/// Builds the batches that are not built yet, which compresses them, outside any lock.
fn request(shared: &Shared, batches: &mut [Batch]) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    for batch in batches {
        let partition = batch.outcome.partition.clone();
        let place = *places.entry(partition.topic).or_insert_with_key(|topic| {
            topics.push(TopicProduceData {
                name: topic.as_ref().into(),
                ..TopicProduceData::default()
            });
            topics.len() - 1
        });
        topics[place].partition_data.push(PartitionProduceData {
            index: partition.partition,
            records: Some(batch.bytes()),
        });
    }
    ProduceRequest {
        transactional_id: None,
        acks: shared.config.acks.code(),
        timeout_ms: shared.config.client.connection.request_timeout.as_millis() as i32,
        topic_data: topics,
    }
}

fn settle(shared: &Shared, broker: i32, answered: Result<Answered, JoinError>) {
    let (batches, response) = answered.expect("waiting for an answer does not panic");
    let response = match response {
        Ok(response) => response,
        Err(error) => return complete(shared, broker, batches, |_| Reply::Lost(error.clone())),
    };
    let mut answers: HashMap<(&str, i32), &PartitionProduceResponse> = HashMap::new();
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            answers.insert((&*topic.name, partition.index), partition);
        }
    }
    complete(shared, broker, batches, |partition| {
        let Some(answer) = answers.get(&(&*partition.topic, partition.partition)) else {
            let unanswered = ClientError::unanswered(partition.to_string());
            return refused(&unanswered, ErrorCode::UnknownServerError);
        };
        match ErrorCode::from(answer.error_code) {
            ErrorCode::None => Reply::Acked(Acked {
                base_offset: answer.base_offset,
                append_time: (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms),
            }),
            code => Reply::Refused(code, answer.error_message.as_deref().map(Into::into)),
        }
    });
}

/// Gives batches that were sent to `broker` back to the accumulator.
fn complete(
    shared: &Shared,
    broker: i32,
    batches: Vec<Batch>,
    reply: impl Fn(&TopicPartition) -> Reply,
) {
    let now = shared.now();
    let mut finished = Vec::with_capacity(batches.len());
    // Those that lead some of these partitions by now, and could not send before this.
    let mut leaders = Vec::new();
    {
        let mut accumulator = shared.accumulator.lock();
        for batch in batches {
            let reply = reply(&batch.outcome.partition);
            leaders.extend(
                accumulator
                    .leader(&batch)
                    .filter(|leader| *leader != broker),
            );
            finished.extend(accumulator.complete(now, batch, reply));
        }
    }
    if finished.iter().any(|done| done.result.is_err()) {
        shared.supervisor.notify_one();
    }
    shared.settle(finished);
    for leader in leaders {
        shared.wake(leader);
    }
}
