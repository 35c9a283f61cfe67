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
    let view = context.broker.view();
    let topics = request.topics.into_iter().map(|asked| {
        let topic = view.topic(&asked.name).map(|topic| &**topic);
        let results = asked.partitions.iter().map(|partition| {
            let deleted = delete(context, topic, partition);
            DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: deleted.unwrap_or(-1),
                error_code: deleted.map_or_else(ErrorCode::code, |_| 0),
            }
        });
        DeleteRecordsTopicResult {
            partitions: results.collect(),
            name: asked.name,
        }
    });
    let topics = topics.collect();
    // The starts must survive a crash, so they are checkpointed before the answer.
    tokio::task::block_in_place(|| context.broker.storage.checkpoint(&view));
    DeleteRecordsResponse {
        topics,
        ..Default::default()
    }
}

fn delete(
    context: &Context<'_>,
    topic: Option<&Topic>,
    asked: &DeleteRecordsPartition,
) -> Result<i64, ErrorCode> {
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
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
