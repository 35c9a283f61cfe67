//! DeleteRecords: moves the starts of logs, so that what lies below is read no more.

use protocol::ErrorCode;
use protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::Context;
use crate::metadata::Topic;

/// Stands for the high watermark: delete all there is.
const HIGH_WATERMARK: i64 = -1;

pub(super) async fn handle(
    context: &Context<'_>,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    // Segments are renamed, and the starts must be on disk before the answer.
    tokio::task::block_in_place(|| delete_all(context, request))
}

fn delete_all(context: &Context<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let view = context.broker.view();
    let topics = request.topics.into_iter().map(|asked| {
        let topic = view.topic(&asked.name).map(|topic| &**topic);
        let results = asked.partitions.iter().map(|partition| {
            let deleted = delete(context, topic, partition);
            result(partition.partition_index, deleted)
        });
        DeleteRecordsTopicResult {
            partitions: results.collect(),
            name: asked.name,
        }
    });
    let mut topics: Vec<_> = topics.collect();
    if let Err(error) = context.broker.storage.checkpoint(&view) {
        tracing::error!("the starts of logs could not be written: {error}");
        for asked in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if asked.error_code == 0 {
                *asked = result(asked.partition_index, Err(ErrorCode::KafkaStorageError));
            }
        }
    }
    DeleteRecordsResponse {
        topics,
        ..Default::default()
    }
}

fn result(partition: i32, deleted: Result<i64, ErrorCode>) -> DeleteRecordsPartitionResult {
    DeleteRecordsPartitionResult {
        partition_index: partition,
        low_watermark: deleted.unwrap_or(-1),
        error_code: deleted.map_or_else(ErrorCode::code, |_| 0),
    }
}

fn delete(
    context: &Context<'_>,
    topic: Option<&Topic>,
    asked: &DeleteRecordsPartition,
) -> Result<i64, ErrorCode> {
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic.internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let (partition, _) = topic.led_here(asked.partition_index, -1)?;
    if topic.config.compact && !topic.config.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let before = match asked.offset {
        HIGH_WATERMARK => high_watermark,
        offset if (0..=high_watermark).contains(&offset) => offset,
        _ => return Err(ErrorCode::OffsetOutOfRange),
    };
    context.broker.storage.delete_before(partition, before)
}
