//! DescribeLogDirs: how much each partition takes on disk, and how much is left.

use protocol::ErrorCode;
use protocol::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::Context;

pub(super) async fn handle(
    context: &Context<'_>,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let view = context.broker.view();
    let storage = &context.broker.storage;
    let mut topics = Vec::new();
    for topic in view.topics() {
        let asked = request.topics.as_ref().map(|all| {
            let of = all.iter().filter(|asked| *asked.topic == *topic.name);
            of.flat_map(|asked| asked.partitions.iter().copied())
                .collect::<Vec<_>>()
        });
        let mut partitions = Vec::new();
        for (index, partition) in (0..).zip(&topic.partitions) {
            let wanted = asked.as_ref().is_none_or(|asked| asked.contains(&index));
            let Some(local) = partition.local.as_ref().filter(|_| wanted) else {
                continue;
            };
            if let Ok(size) = local.with_log(|log| log.size_bytes()) {
                partitions.push(DescribeLogDirsPartition {
                    partition_index: index,
                    partition_size: size as i64,
                    ..Default::default()
                });
            }
        }
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic {
                name: (&*topic.name).into(),
                partitions,
            });
        }
    }
    let space = storage.space();
    let error = if storage.failure().is_some() {
        ErrorCode::KafkaStorageError.code()
    } else {
        0
    };
    DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            error_code: error,
            log_dir: storage.path().display().to_string().into(),
            topics,
            total_bytes: space.map_or(-1, |space| space.total as i64),
            usable_bytes: space.map_or(-1, |space| space.usable as i64),
            ..Default::default()
        }],
        ..Default::default()
    }
}
