//! CreateTopics and DeleteTopics.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::api::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use protocol::api::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use protocol::{ErrorCode, Str};
use uuid::Uuid;

use super::{Context, named_once, repeated, told};
use crate::config::{TOPIC_KEYS, in_force};
use crate::controller::{TopicPlan, TopicWish};
use crate::error::Refusal;
use crate::metadata::{OFFSETS_TOPIC, Topic};

const TWICE: &str = "Duplicate topic name.";

/// The topics of one CreateTopics, of each of which all configuration is told: a hundred times
/// what was asked.
const CREATED_MAX: usize = 10_000;

pub(super) async fn create(
    context: &Context<'_>,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let (topics, twice) = named_once(request.topics, |topic| topic.name.clone());
    let refuse = |name| refused(name, repeated(TWICE));
    let mut results: Vec<_> = twice.into_iter().map(refuse).collect();
    for topic in topics {
        results.push(if results.len() < CREATED_MAX {
            create_one(context, topic, request.validate_only).await
        } else {
            let message =
                format!("One request may name {CREATED_MAX} topics; ask again for this one.");
            refused(
                topic.name,
                Refusal::new(ErrorCode::PolicyViolation, message),
            )
        });
    }
    CreateTopicsResponse {
        topics: results,
        ..Default::default()
    }
}

fn refused(name: Str, error: Refusal) -> CreatableTopicResult {
    let (error_code, error_message) = told(Err(error));
    CreatableTopicResult {
        name,
        error_code,
        error_message,
        configs: None,
        ..Default::default()
    }
}

async fn create_one(
    context: &Context<'_>,
    asked: CreatableTopic,
    validate_only: bool,
) -> CreatableTopicResult {
    let wish = match wish(&asked) {
        Ok(wish) => wish,
        Err(error) => return refused(asked.name, error),
    };
    let broker = context.broker;
    if validate_only {
        return match broker.plan_topic(&wish) {
            Ok(plan) => describe_plan(context, &wish, &plan),
            Err(error) => refused(asked.name, error),
        };
    }
    match broker.create_topic(&wish).await {
        Ok(topic) => describe_topic(context, &topic),
        Err(error) => refused(asked.name, error),
    }
}

fn wish(asked: &CreatableTopic) -> Result<TopicWish, Refusal> {
    let mut overrides = BTreeMap::new();
    for config in &asked.configs {
        let value = config.value.as_ref().ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidConfig,
                format!(
                    "Null value not supported for topic configs: {}",
                    config.name
                ),
            )
        })?;
        overrides.insert(config.name.to_string(), value.to_string());
    }
    Ok(TopicWish {
        name: asked.name.to_string(),
        partitions: asked.num_partitions,
        replication: asked.replication_factor,
        assignment: asked
            .assignments
            .iter()
            .map(|partition| (partition.partition_index, partition.broker_ids.clone()))
            .collect(),
        overrides,
    })
}

fn describe_plan(
    context: &Context<'_>,
    wish: &TopicWish,
    plan: &TopicPlan,
) -> CreatableTopicResult {
    CreatableTopicResult {
        name: wish.name.clone().into(),
        num_partitions: plan.replicas.len() as i32,
        replication_factor: plan.replicas.first().map_or(-1, |r| r.len() as i16),
        configs: Some(configs(context, &wish.overrides)),
        ..Default::default()
    }
}

fn describe_topic(context: &Context<'_>, topic: &Arc<Topic>) -> CreatableTopicResult {
    CreatableTopicResult {
        name: (&*topic.name).into(),
        topic_id: topic.id,
        num_partitions: topic.partitions.len() as i32,
        replication_factor: topic
            .partitions
            .first()
            .map_or(-1, |partition| partition.replicas.len() as i16),
        configs: Some(configs(context, &topic.overrides)),
        ..Default::default()
    }
}

/// Kafka's numbers for where a value comes from.
pub(super) const SOURCE_TOPIC: i8 = 1;
pub(super) const SOURCE_BROKER: i8 = 4;
pub(super) const SOURCE_DEFAULT: i8 = 5;

fn configs(
    context: &Context<'_>,
    overrides: &BTreeMap<String, String>,
) -> Vec<CreatableTopicConfigs> {
    let config = &context.broker.config;
    TOPIC_KEYS
        .iter()
        .map(|key| CreatableTopicConfigs {
            name: key.name.into(),
            value: Some(in_force(config, overrides, key.name).into()),
            config_source: if overrides.contains_key(key.name) {
                SOURCE_TOPIC
            } else if key.broker_key.is_some_and(|name| config.is_set(name)) {
                SOURCE_BROKER
            } else {
                SOURCE_DEFAULT
            },
            ..Default::default()
        })
        .collect()
}

pub(super) async fn delete(
    context: &Context<'_>,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| DeleteTopicState {
            name: Some(name),
            ..Default::default()
        });
    let all = by_name.chain(request.topics).collect();
    let (topics, twice) = named_once(all, |topic: &DeleteTopicState| {
        (topic.name.clone(), topic.topic_id)
    });
    let refuse = |(name, id)| deleted(name, id, Err(repeated(TWICE)));
    let mut responses: Vec<_> = twice.into_iter().map(refuse).collect();
    for topic in topics {
        responses.push(match topic.name {
            Some(name) => delete_by_name(context, name).await,
            None => {
                let view = context.broker.view();
                let found = view.topic_by_id(topic.topic_id);
                match found.map(|found| Str::from(&*found.name)) {
                    Some(name) => delete_by_name(context, name).await,
                    None => {
                        let unknown = Refusal::from(ErrorCode::UnknownTopicId);
                        deleted(None, topic.topic_id, Err(unknown))
                    }
                }
            }
        });
    }
    DeleteTopicsResponse {
        responses,
        ..Default::default()
    }
}

async fn delete_by_name(context: &Context<'_>, name: Str) -> DeletableTopicResult {
    let broker = context.broker;
    let id = broker.view().topic(&name).map(|topic| topic.id);
    let result = if !broker.config.flag("delete.topic.enable") {
        // Clients of versions 1 and 2 do not know the right code.
        Err(Refusal::from(if context.version() < 3 {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TopicDeletionDisabled
        }))
    } else if &*name == OFFSETS_TOPIC {
        Err(Refusal::new(
            ErrorCode::InvalidTopicException,
            format!("{OFFSETS_TOPIC} holds the offsets of all groups and cannot be deleted."),
        ))
    } else {
        broker.delete_topic(&name).await
    };
    deleted(Some(name), id.unwrap_or_default(), result)
}

fn deleted(name: Option<Str>, topic_id: Uuid, result: Result<(), Refusal>) -> DeletableTopicResult {
    let (error_code, error_message) = told(result);
    DeletableTopicResult {
        name,
        topic_id,
        error_code,
        error_message,
    }
}
