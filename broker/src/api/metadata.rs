//! Metadata: the brokers, and where topics' partitions are.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::api::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use protocol::{ErrorCode, Str};
use uuid::Uuid;

use super::Context;
use crate::controller;
use crate::metadata::{OFFSETS_TOPIC, Topic, View};

/// All operations, as there is no authorization: read, write, create, delete, alter,
/// describe, describe and alter configs (KIP-430).
pub(super) const TOPIC_OPERATIONS: i32 = 3576;

/// The most topics that one request makes. A client asks again for those that it misses, and
/// a request for a hundred thousand keeps nothing busy after its client has gone.
const AUTO_CREATED_MAX: usize = 100;

pub(super) async fn handle(
    context: &Context<'_>,
    mut request: MetadataRequest,
) -> MetadataResponse {
    let broker = context.broker;
    if let Some(topics) = &mut request.topics {
        // A topic named a million times is described once.
        let mut seen = HashSet::new();
        topics.retain(|topic| seen.insert((topic.topic_id, topic.name.clone())));
    }
    let version = context.version();
    if let Some(topics) = &request.topics {
        let may_create = (version < 4 || request.allow_auto_topic_creation)
            && broker.config.flag("auto.create.topics.enable");
        let view = broker.view();
        let missing: Vec<&str> = topics
            .iter()
            .filter(|topic| topic.topic_id.is_nil())
            .filter_map(|topic| topic.name.as_deref())
            .filter(|name| view.topic(name).is_none() && controller::check_name(name).is_ok())
            .take(AUTO_CREATED_MAX)
            .collect();
        for name in missing {
            if may_create || name == OFFSETS_TOPIC {
                broker.auto_create(name).await;
            }
        }
    }
    let view = broker.view();
    let operations = if request.include_topic_authorized_operations {
        TOPIC_OPERATIONS
    } else {
        i32::MIN
    };
    let everything = match &request.topics {
        None => true,
        // Version 0 has no null: an empty list asks for everything.
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let mut topics: Vec<MetadataResponseTopic> = if everything {
        view.topics().into_iter().map(describe).collect()
    } else {
        request
            .topics
            .iter()
            .flatten()
            .map(|asked| match &asked.name {
                Some(name) if asked.topic_id.is_nil() => by_name(&view, name),
                _ => by_id(&view, asked.topic_id),
            })
            .collect()
    };
    for topic in &mut topics {
        topic.topic_authorized_operations = operations;
    }
    MetadataResponse {
        brokers: view
            .brokers
            .values()
            .map(|broker| MetadataResponseBroker {
                node_id: broker.id,
                host: broker.host.clone().into(),
                port: broker.port,
                rack: broker.rack.clone().map(Str::from),
            })
            .collect(),
        cluster_id: Some(broker.cluster_id.clone().into()),
        controller_id: view.controller,
        topics,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            super::describe_cluster::CLUSTER_OPERATIONS
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

fn by_name(view: &View, name: &Str) -> MetadataResponseTopic {
    if let Some(topic) = view.topic(name) {
        return describe(topic);
    }
    let error = if controller::check_name(name).is_err() {
        ErrorCode::InvalidTopicException
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    MetadataResponseTopic {
        error_code: error.code(),
        name: Some(name.clone()),
        ..Default::default()
    }
}

fn by_id(view: &View, id: Uuid) -> MetadataResponseTopic {
    view.topic_by_id(id)
        .map_or_else(|| unknown_id(id), describe)
}

fn unknown_id(id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::UnknownTopicId.code(),
        name: None,
        topic_id: id,
        ..Default::default()
    }
}

fn describe(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partitions =
        topic
            .partitions
            .iter()
            .zip(0..)
            .map(|(partition, index)| MetadataResponsePartition {
                error_code: if partition.leader < 0 {
                    ErrorCode::LeaderNotAvailable.code()
                } else {
                    0
                },
                partition_index: index,
                leader_id: partition.leader,
                leader_epoch: partition.leader_epoch,
                replica_nodes: partition.replicas.clone(),
                isr_nodes: partition.isr.clone(),
                offline_replicas: Vec::new(),
            });
    MetadataResponseTopic {
        error_code: 0,
        name: Some((&*topic.name).into()),
        topic_id: topic.id,
        is_internal: topic.internal(),
        partitions: partitions.collect(),
        ..Default::default()
    }
}
