//! CreatePartitions: more partitions for topics that are there.

use protocol::ErrorCode;
use protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

use super::{Context, named_once, repeated, told};
use crate::controller;
use crate::error::Refusal;

pub(super) async fn create(
    context: &Context<'_>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let (topics, twice) = named_once(request.topics, |topic| topic.name.clone());
    let result = |name, result| {
        let (error_code, error_message) = told(result);
        CreatePartitionsTopicResult {
            name,
            error_code,
            error_message,
        }
    };
    let refused = |name| result(name, Err(repeated("Duplicate topic in request.")));
    let mut results: Vec<_> = twice.into_iter().map(refused).collect();
    for topic in topics {
        let created = create_one(context, &topic, request.validate_only).await;
        results.push(result(topic.name, created));
    }
    CreatePartitionsResponse {
        results,
        ..Default::default()
    }
}

async fn create_one(
    context: &Context<'_>,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let view = context.broker.view();
    let topic = view
        .topic(&asked.name)
        .ok_or_else(|| Refusal::from(ErrorCode::UnknownTopicOrPartition))?;
    if topic.internal() {
        // A group's partition follows from their number, so that must never change.
        return Err(Refusal::new(
            ErrorCode::InvalidTopicException,
            format!("The number of partitions of {} is fixed.", topic.name),
        ));
    }
    let have: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| p.replicas.clone())
        .collect();
    let assignment: Option<Vec<Vec<i32>>> = asked
        .assignments
        .as_ref()
        .map(|all| all.iter().map(|one| one.broker_ids.clone()).collect());
    let brokers: Vec<i32> = view.brokers.keys().copied().collect();
    let plan = controller::plan_partitions(&have, asked.count, assignment.as_deref(), &brokers)?;
    if validate_only {
        return Ok(());
    }
    let added = context
        .broker
        .add_partitions(&asked.name, have.len(), &plan);
    added.await
}
