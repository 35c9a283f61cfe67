//! ListOffsets: an offset by its time, or one of the ends of a log.

use std::collections::HashSet;

use protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use protocol::{ErrorCode, Str};

use super::Context;
use crate::metadata::Topic;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

pub(super) async fn handle(
    context: &Context<'_>,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let view = context.broker.view();
    let repeated = repeated(&request);
    let topics = request.topics.into_iter().map(|asked| {
        let topic = view.topic(&asked.name);
        ListOffsetsTopicResponse {
            partitions: asked
                .partitions
                .iter()
                .map(|partition| {
                    let index = partition.partition_index;
                    let looked_up = if repeated.contains(&(asked.name.clone(), index)) {
                        Err(ErrorCode::InvalidRequest)
                    } else {
                        look_up(context, topic.map(|t| &**t), partition)
                    };
                    describe(looked_up, index)
                })
                .collect(),
            name: asked.name,
        }
    });
    ListOffsetsResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

/// What is asked more than once, which Kafka refuses: each look may read from disk.
fn repeated(request: &ListOffsetsRequest) -> HashSet<(Str, i32)> {
    let all = request.topics.iter().flat_map(|topic| {
        let indexes = topic.partitions.iter().map(|one| one.partition_index);
        indexes.map(|index| (topic.name.clone(), index))
    });
    let mut seen = HashSet::new();
    all.filter(|one| !seen.insert(one.clone())).collect()
}

struct Found {
    timestamp: i64,
    offset: i64,
    leader_epoch: i32,
}

fn describe(found: Result<Found, ErrorCode>, index: i32) -> ListOffsetsPartitionResponse {
    match found {
        Ok(found) => ListOffsetsPartitionResponse {
            partition_index: index,
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
            ..Default::default()
        },
        Err(code) => ListOffsetsPartitionResponse {
            partition_index: index,
            error_code: code.code(),
            ..Default::default()
        },
    }
}

fn look_up(
    context: &Context<'_>,
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
) -> Result<Found, ErrorCode> {
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let (local, epoch) = topic.led_here(asked.partition_index, asked.current_leader_epoch)?;
    let minimum = match asked.timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => 1,
    };
    if context.version() < minimum || asked.timestamp < EARLIEST_PENDING_UPLOAD {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let high_watermark = local.high_watermark();
    let (timestamp, offset) = local
        .with_log(|log| match asked.timestamp {
            LATEST => Ok((-1, high_watermark)),
            EARLIEST | EARLIEST_LOCAL => Ok((-1, log.log_start())),
            // Nothing is tiered.
            LATEST_TIERED => Ok((-1, -1)),
            EARLIEST_PENDING_UPLOAD => Ok((-1, log.log_start())),
            MAX_TIMESTAMP => log
                .max_timestamp_offset()
                // What is not synced yet may never have been.
                .map(|found| found.filter(|(_, offset)| *offset < high_watermark))
                .map(|found| found.unwrap_or((-1, -1))),
            timestamp => log
                .offset_for_timestamp(timestamp, high_watermark)
                .map(|found| found.unwrap_or((-1, -1))),
        })?
        .map_err(|error| {
            tracing::error!("{}-{}: {error}", local.topic, local.index);
            ErrorCode::KafkaStorageError
        })?;
    Ok(Found {
        timestamp,
        offset,
        leader_epoch: if offset < 0 { -1 } else { epoch },
    })
}

#[cfg(test)]
mod tests {
    use protocol::api::list_offsets::ListOffsetsTopic;

    use super::*;

    #[test]
    fn a_partition_is_repeated_though_its_topic_is_named_apart() {
        let topic = |name: &'static str, indexes: &[i32]| {
            let partition = |&partition_index| ListOffsetsPartition {
                partition_index,
                ..Default::default()
            };
            ListOffsetsTopic {
                name: name.into(),
                partitions: indexes.iter().map(partition).collect(),
            }
        };
        let request = ListOffsetsRequest {
            topics: vec![topic("a", &[0, 1]), topic("b", &[0]), topic("a", &[1])],
            ..Default::default()
        };
        assert_eq!(repeated(&request), HashSet::from([("a".into(), 1)]));
    }
}
