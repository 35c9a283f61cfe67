//! Produce: batches into logs. The connection checks and appends as it reads; the answer
//! waits, in its order, until what was appended is as safe as was asked for.

use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use protocol::api::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use protocol::{ApiKey, ErrorCode, Str, encode_response};

use tokio::time::Instant;

use super::Context;
use crate::error::Refusal;
use crate::metadata::{PartitionInfo, Topic};
use crate::net::{Answer, Outgoing};
use crate::partition::{self, Acks, Placed, Waiter};
use crate::time::now_ms;

pub(super) fn handle(context: &Context<'_>, request: ProduceRequest) -> Answer {
    let refused = if !matches!(request.acks, -1..=1) {
        Some(Refusal::new(
            ErrorCode::InvalidRequiredAcks,
            "acks must be 0, 1 or -1",
        ))
    } else if request.transactional_id.is_some() {
        Some(Refusal::new(
            ErrorCode::TransactionalIdAuthorizationFailed,
            "Transactions are not supported by this version of Milena.",
        ))
    } else {
        None
    };
    let append = Append {
        context,
        acks: request.acks,
        now: now_ms(),
        waiting: Arc::new(Acks::default()),
        refused,
    };
    let view = context.broker.view();
    let mut place = 0;
    let mut failed = None;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for asked in request.topic_data {
        let topic = if context.version() >= 13 {
            view.topic_by_id(asked.topic_id)
        } else {
            view.topic(&asked.name)
        };
        let mut partitions = Vec::with_capacity(asked.partition_data.len());
        for data in asked.partition_data {
            let outcome = append.one(topic, data.index, data.records, place);
            place += 1;
            if let Err(refusal) = &outcome
                && failed.is_none()
            {
                failed = Some(refusal.clone());
            }
            partitions.push(describe(outcome, data.index, topic));
        }
        responses.push(TopicProduceResponse {
            name: topic.map_or_else(|| Str::from(&*asked.name), |t| t.wire_name.clone()),
            topic_id: asked.topic_id,
            partition_responses: partitions,
        });
    }
    let response = ProduceResponse {
        responses,
        ..Default::default()
    };
    if request.acks == 0 {
        // Nobody reads an answer, so an error can only be told by hanging up, as Kafka does.
        return match failed {
            Some(refusal) => Answer::Close(format!(
                "its Produce with acks=0 failed: {}",
                refusal.message
            )),
            None => Answer::Nothing,
        };
    }
    let limit = Duration::from_millis(request.timeout_ms.max(0) as u64);
    Answer::WhenSafe(Unacknowledged {
        response,
        acks: append.waiting,
        deadline: (request.acks == -1).then(|| Instant::now() + limit),
        correlation_id: context.header.correlation_id,
        version: context.version(),
    })
}

struct Append<'a> {
    context: &'a Context<'a>,
    acks: i16,
    now: i64,
    waiting: Arc<Acks>,
    /// Why no partition of the request can be served, if that is so.
    refused: Option<Refusal>,
}

impl Append<'_> {
    fn one(
        &self,
        topic: Option<&Arc<Topic>>,
        index: i32,
        records: Option<Bytes>,
        place: u32,
    ) -> Result<Placed, Refusal> {
        if let Some(refusal) = &self.refused {
            return Err(refusal.clone());
        }
        let Some(topic) = topic else {
            let code = if self.context.version() >= 13 {
                ErrorCode::UnknownTopicId
            } else {
                ErrorCode::UnknownTopicOrPartition
            };
            return Err(code.into());
        };
        if topic.internal() {
            return Err(Refusal::new(
                ErrorCode::InvalidTopicException,
                format!("Cannot append to internal topic {}", topic.name),
            ));
        }
        let (log, _) = topic.led_here(index, -1)?;
        let records = records.unwrap_or_default();
        let version = self.context.version();
        let batch = partition::check(&records, version, &topic.config, self.now)?;
        let metrics = &self.context.broker.metrics;
        metrics.records_in.add(batch.record_count as u64);
        let waiter = (self.acks != 0).then_some(Waiter {
            acks: &self.waiting,
            place,
        });
        log.append(&batch, self.acks, waiter, self.now)
    }
}

fn describe(
    outcome: Result<Placed, Refusal>,
    index: i32,
    topic: Option<&Arc<Topic>>,
) -> PartitionProduceResponse {
    match outcome {
        Ok(placed) => PartitionProduceResponse {
            index,
            base_offset: placed.base_offset,
            log_append_time_ms: placed.log_append_time,
            log_start_offset: placed.log_start,
            ..Default::default()
        },
        Err(refusal) => PartitionProduceResponse {
            index,
            error_code: refusal.code.code(),
            base_offset: -1,
            error_message: Some(refusal.message.into()),
            record_errors: refusal
                .records
                .into_iter()
                .map(|(batch_index, reason)| BatchIndexAndErrorMessage {
                    batch_index,
                    batch_index_error_message: Some(reason.into()),
                })
                .collect(),
            current_leader: leader(refusal.code, topic.and_then(|t| t.partition(index))),
            ..Default::default()
        },
    }
}

/// Whom to ask instead, where that is the matter (KIP-951).
fn leader(code: ErrorCode, partition: Option<&PartitionInfo>) -> LeaderIdAndEpoch {
    match partition {
        Some(partition) if code == ErrorCode::NotLeaderOrFollower => LeaderIdAndEpoch {
            leader_id: partition.leader,
            leader_epoch: partition.leader_epoch,
        },
        _ => LeaderIdAndEpoch::default(),
    }
}

/// A Produce request that is answered once its records are as safe as was asked for.
pub(crate) struct Unacknowledged {
    response: ProduceResponse,
    acks: Arc<Acks>,
    /// Only acks=all has a time-out of its own, as in Kafka.
    deadline: Option<Instant>,
    correlation_id: i32,
    version: i16,
}

impl Unacknowledged {
    /// Ready with the answer when nothing is waited for any more.
    pub(crate) fn poll(&mut self, context: &mut task::Context<'_>) -> Poll<Outgoing> {
        self.acks.poll(context).map(|failed| self.answer(&failed))
    }

    /// When it is time to [`Unacknowledged::give_up`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The answer for now: what is not safe yet has timed out.
    pub(crate) fn give_up(&mut self) -> Outgoing {
        let failed = self.acks.give_up();
        self.answer(&failed)
    }

    fn answer(&mut self, failed: &[(u32, ErrorCode)]) -> Outgoing {
        let topics = self.response.responses.iter_mut();
        let mut places = topics.flat_map(|topic| &mut topic.partition_responses);
        let mut passed = 0;
        for (place, code) in failed {
            if let Some(partition) = places.nth((place - passed) as usize) {
                partition.error_code = code.code();
                partition.base_offset = -1;
                partition.log_append_time_ms = -1;
                partition.log_start_offset = -1;
            }
            passed = place + 1;
        }
        encode_response(
            self.correlation_id,
            &self.response,
            ApiKey::Produce,
            self.version,
        )
        .into()
    }
}
