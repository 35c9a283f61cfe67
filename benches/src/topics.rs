//! Topics made, waited for and deleted over the wire.

use crate::frames::no_error;
use crate::wire::Connection;
use anyhow::{Context, Result, bail};
use protocol::api::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use protocol::api::delete_topics::DeleteTopicsRequest;
use protocol::api::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use protocol::wire::Str;
use std::time::{Duration, Instant};

const CREATE_VERSION: i16 = 5;
const DELETE_VERSION: i16 = 5;
const METADATA_VERSION: i16 = 9;
const LIST_OFFSETS_VERSION: i16 = 6;
/// The timestamp that asks for the end.
const LATEST: i64 = -1;
const TIMEOUT_MS: i32 = 300_000;

/// Makes a topic's files go soon after the topic, so that the next run uses their memory again.
pub fn deleted_soon() -> (String, String) {
    ("file.delete.delay.ms".into(), "100".into())
}

/// Creates topics by one request, replication 1, with these configs.
pub fn create(
    connection: &mut Connection,
    names: &[String],
    partitions: u32,
    configs: &[(String, String)],
) -> Result<()> {
    let configs: Vec<_> = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig {
            name: Str::from(name.clone()),
            value: Some(Str::from(value.clone())),
        })
        .collect();
    let topics = names
        .iter()
        .map(|name| CreatableTopic {
            name: Str::from(name.clone()),
            num_partitions: partitions as i32,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs.clone(),
        })
        .collect();
    let request = CreateTopicsRequest {
        topics,
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    let response = connection.call_at(&request, CREATE_VERSION)?;
    for topic in response.topics {
        no_error(topic.error_code, "CreateTopics")
            .with_context(|| format!("topic {}", &*topic.name))?;
    }
    Ok(())
}

/// Waits until every partition of these topics has a leader that serves it, at most five minutes.
pub fn wait(connection: &mut Connection, names: &[String], partitions: u32) -> Result<()> {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic {
            name: Some(Str::from(name.clone())),
            ..Default::default()
        })
        .collect();
    let request = MetadataRequest {
        topics: Some(topics),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let started = Instant::now();
    loop {
        let response = connection.call_at(&request, METADATA_VERSION)?;
        let led = |topic: &protocol::api::metadata::MetadataResponseTopic| {
            let led = topic
                .partitions
                .iter()
                .filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
            topic.error_code == 0 && led.count() == partitions as usize
        };
        if response.topics.len() == names.len()
            && response.topics.iter().all(led)
            && served(connection, names, partitions)?
        {
            return Ok(());
        }
        if started.elapsed() > Duration::from_millis(TIMEOUT_MS as u64) {
            bail!("partitions without a leader after {} s", TIMEOUT_MS / 1000);
        }
        // Not so often that the asking slows down what it waits for.
        std::thread::sleep(
            (started.elapsed() / 20).clamp(Duration::from_millis(1), Duration::from_millis(500)),
        );
    }
}

/// Whether the broker finds the end of every partition: metadata may name a leader that does not know it yet.
fn served(connection: &mut Connection, names: &[String], partitions: u32) -> Result<bool> {
    let partitions: Vec<_> = (0..partitions as i32)
        .map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: LATEST,
            ..ListOffsetsPartition::default()
        })
        .collect();
    let topics = names
        .iter()
        .map(|name| ListOffsetsTopic {
            name: Str::from(name.clone()),
            partitions: partitions.clone(),
        })
        .collect();
    let request = ListOffsetsRequest {
        topics,
        ..ListOffsetsRequest::default()
    };
    let response = connection.call_at(&request, LIST_OFFSETS_VERSION)?;
    Ok(response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .all(|partition| partition.error_code == 0))
}

/// Deletes topics by one request.
pub fn delete(connection: &mut Connection, names: &[String]) -> Result<()> {
    let topic_names = names.iter().map(|name| Str::from(name.clone())).collect();
    let request = DeleteTopicsRequest {
        topic_names,
        timeout_ms: TIMEOUT_MS,
        ..DeleteTopicsRequest::default()
    };
    let response = connection.call_at(&request, DELETE_VERSION)?;
    for topic in response.responses {
        no_error(topic.error_code, "DeleteTopics")?;
    }
    Ok(())
}
