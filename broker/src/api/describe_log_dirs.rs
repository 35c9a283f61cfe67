//! DescribeLogDirs: how much each partition takes on disk, and how much is left.

use std::collections::{HashMap, HashSet};

use protocol::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::{ErrorCode, Str};

use super::Context;

pub(super) async fn handle(
    context: &Context<'_>,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let view = context.broker.view();
    let storage = &context.broker.storage;
    let asked = request.topics.map(|asked| {
        let mut by_topic = HashMap::<Str, HashSet<i32>>::new();
        for topic in asked {
            by_topic
                .entry(topic.topic)
                .or_default()
                .extend(topic.partitions);
        }
        by_topic
    });
    let wanted = |topic: &str, partition: i32| match &asked {
        None => true,
        Some(by_topic) => by_topic
            .get(topic)
            .is_some_and(|partitions| partitions.contains(&partition)),
    };
    let mut topics = Vec::new();
    for topic in view.topics() {
        let mut partitions = Vec::new();
        for (index, partition) in (0..).zip(&topic.partitions) {
            let Some(local) = &partition.local else {
                continue;
            };
            if !wanted(&topic.name, index) {
                continue;
            }
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
