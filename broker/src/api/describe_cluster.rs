//! DescribeCluster: the brokers and the controller, for admin clients.

use protocol::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use protocol::{ErrorCode, Str};

use super::Context;

/// All operations on the cluster, as there is no authorization: create, cluster action,
/// describe and alter configs, idempotent write, alter, describe (KIP-430).
pub(super) const CLUSTER_OPERATIONS: i32 = 7968;

const BROKERS: i8 = 1;

pub(super) async fn handle(
    context: &Context<'_>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let view = context.broker.view();
    if context.version() >= 1 && request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::UnsupportedEndpointType.code(),
            error_message: Some("This is a broker's listener, not a controller's.".into()),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let brokers = view.brokers.values().map(|broker| DescribeClusterBroker {
        broker_id: broker.id,
        host: broker.host.clone().into(),
        port: broker.port,
        rack: broker.rack.clone().map(Str::from),
        ..Default::default()
    });
    DescribeClusterResponse {
        cluster_id: context.broker.cluster_id.clone().into(),
        controller_id: view.controller,
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}
