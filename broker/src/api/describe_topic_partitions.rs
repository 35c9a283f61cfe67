//! DescribeTopicPartitions: metadata of topics in pages (KIP-966).

use std::collections::BTreeSet;

use protocol::api::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::{ErrorCode, Str};

use super::Context;
use super::metadata::TOPIC_OPERATIONS;
use crate::controller::check_name;
use crate::metadata::{PartitionInfo, View};

pub(super) async fn handle(
    context: &Context<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let view = context.broker.view();
    let broker_max = context
        .broker
        .config
        .number("max.request.partition.size.limit");
    let mut left = i64::from(request.response_partition_limit).clamp(1, broker_max) as usize;
    let everything = request.topics.is_empty();
    let mut names: BTreeSet<Str> = if everything {
        view.topics().iter().map(|t| Str::from(&*t.name)).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    let mut first = 0;
    if let Some(cursor) = request.cursor {
        first = cursor.partition_index.max(0);
        names = names.split_off(&cursor.topic_name);
        if names.first() != Some(&cursor.topic_name) {
            // The topic of the cursor is gone: go on with the one after it.
            first = 0;
        }
    }
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        if left == 0 {
            response.next_cursor = Some(Cursor {
                topic_name: name,
                partition_index: 0,
            });
            break;
        }
        let (topic, next) = describe(&view, &name, std::mem::take(&mut first), left);
        left -= topic.partitions.len();
        response.topics.push(topic);
        if let Some(partition_index) = next {
            response.next_cursor = Some(Cursor {
                topic_name: name,
                partition_index,
            });
            break;
        }
    }
    response
}

/// A topic's partitions from `first` on, at most `max` of them, and which comes next.
fn describe(
    view: &View,
    name: &Str,
    first: i32,
    max: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let Some(topic) = view.topic(name) else {
        let error = if check_name(name).is_err() {
            ErrorCode::InvalidTopicException
        } else {
            ErrorCode::UnknownTopicOrPartition
        };
        let unknown = DescribeTopicPartitionsResponseTopic {
            error_code: error.code(),
            name: Some(name.clone()),
            ..Default::default()
        };
        return (unknown, None);
    };
    let page = (0..).zip(&topic.partitions).skip(first as usize).take(max);
    let partitions: Vec<_> = page.map(|(index, info)| partition(index, info)).collect();
    let end = first as usize + partitions.len();
    let next = (end < topic.partitions.len()).then_some(end as i32);
    let described = DescribeTopicPartitionsResponseTopic {
        error_code: 0,
        name: Some(name.clone()),
        topic_id: topic.id,
        is_internal: topic.internal(),
        partitions,
        topic_authorized_operations: TOPIC_OPERATIONS,
    };
    (described, next)
}

fn partition(index: i32, info: &PartitionInfo) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: if info.leader < 0 {
            ErrorCode::LeaderNotAvailable.code()
        } else {
            0
        },
        partition_index: index,
        leader_id: info.leader,
        leader_epoch: info.leader_epoch,
        replica_nodes: info.replicas.clone(),
        isr_nodes: info.isr.clone(),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    }
}
