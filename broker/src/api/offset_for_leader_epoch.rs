//! OffsetForLeaderEpoch: where an epoch of leadership ended, so that a client can tell
//! whether what it has read is still in the log (KIP-320).

use protocol::ErrorCode;
use protocol::api::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use super::Context;
use crate::metadata::Topic;

pub(super) async fn handle(
    context: &Context<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let view = context.broker.view();
    let topics = request.topics.into_iter().map(|asked| {
        let topic = view.topic(&asked.topic).map(|topic| &**topic);
        OffsetForLeaderTopicResult {
            partitions: asked.partitions.iter().map(|p| look_up(topic, p)).collect(),
            topic: asked.topic,
        }
    });
    OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn look_up(topic: Option<&Topic>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let found = topic
        .ok_or(ErrorCode::UnknownTopicOrPartition)
        .and_then(|topic| topic.led_here(asked.partition, asked.current_leader_epoch))
        .and_then(|(partition, _)| {
            let high_watermark = partition.high_watermark();
            partition.with_log(|log| log.epoch_end(asked.leader_epoch, high_watermark))
        });
    match found {
        Ok((leader_epoch, end_offset)) => EpochEndOffset {
            partition: asked.partition,
            leader_epoch,
            end_offset,
            ..Default::default()
        },
        Err(code) => EpochEndOffset {
            partition: asked.partition,
            error_code: code.code(),
            ..Default::default()
        },
    }
}
