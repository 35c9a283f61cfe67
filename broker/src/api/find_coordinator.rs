//! FindCoordinator: which broker looks after a group. Transactional ids get a definite
//! error, as there are no transactions yet.

use std::collections::BTreeSet;

use protocol::api::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use protocol::{ErrorCode, Str};

use super::Context;
use crate::group::partition_of;
use crate::metadata::OFFSETS_TOPIC;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(
    context: &Context<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if context.version() < 4 {
        let found = find(context, request.key_type, request.key).await;
        return FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..Default::default()
        };
    }
    let mut seen = BTreeSet::new();
    let mut keys = request.coordinator_keys;
    keys.retain(|key| seen.insert(key.clone()));
    let mut coordinators = Vec::with_capacity(keys.len());
    for key in keys {
        coordinators.push(find(context, request.key_type, key).await);
    }
    FindCoordinatorResponse {
        coordinators,
        ..Default::default()
    }
}

async fn find(context: &Context<'_>, key_type: i8, key: Str) -> Coordinator {
    match leader_for(context, key_type, &key).await {
        Ok((node_id, host, port)) => Coordinator {
            key,
            node_id,
            host: host.into(),
            port,
            ..Default::default()
        },
        Err((code, message)) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: code.code(),
            error_message: Some(message.into()),
            ..Default::default()
        },
    }
}

async fn leader_for(
    context: &Context<'_>,
    key_type: i8,
    key: &str,
) -> Result<(i32, String, i32), (ErrorCode, &'static str)> {
    match key_type {
        GROUP => {}
        TRANSACTION => {
            return Err((
                ErrorCode::TransactionalIdAuthorizationFailed,
                "Transactions are not supported by this version of Milena.",
            ));
        }
        _ => {
            let code = ErrorCode::InvalidRequest;
            return Err((code, "key_type must be 0 (group) or 1 (transaction)"));
        }
    }
    let broker = context.broker;
    if broker.view().topic(OFFSETS_TOPIC).is_none() {
        // The first to ask waits until the topic is there, rather than for a retry.
        broker.auto_create(OFFSETS_TOPIC).await;
    }
    let view = broker.view();
    let unavailable = (
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::CoordinatorNotAvailable.message(),
    );
    let topic = view.topic(OFFSETS_TOPIC).ok_or(unavailable)?;
    let count = topic.partitions.len() as i32;
    let leader = topic
        .partition(partition_of(key, count))
        .and_then(|partition| view.brokers.get(&partition.leader))
        .ok_or(unavailable)?;
    Ok((leader.id, leader.host.clone(), leader.port))
}
