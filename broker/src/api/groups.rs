//! The APIs of consumer groups: handed on to the group coordinator.

use protocol::api::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::Context;

pub(super) async fn join(context: &Context<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let id = context.header.client_id.as_deref().unwrap_or_default();
    // Kafka's form of a host, which tools show: a slash before the address.
    let host = format!("/{}", context.client.address.ip());
    let groups = &context.broker.groups;
    groups.join(context.version(), id, &host, request).await
}

pub(super) async fn sync(context: &Context<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    context.broker.groups.sync(context.version(), request).await
}

pub(super) async fn heartbeat(
    context: &Context<'_>,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    context.broker.groups.heartbeat(request).await
}

pub(super) async fn leave(context: &Context<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let groups = &context.broker.groups;
    groups.leave(context.version(), request).await
}

pub(super) async fn offset_commit(
    context: &Context<'_>,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let groups = &context.broker.groups;
    groups.commit(context.version(), request).await
}

pub(super) async fn offset_fetch(
    context: &Context<'_>,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let groups = &context.broker.groups;
    groups.fetch_offsets(context.version(), request).await
}

pub(super) async fn offset_delete(
    context: &Context<'_>,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    context.broker.groups.delete_offsets(request).await
}

pub(super) async fn describe(
    context: &Context<'_>,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let groups = &context.broker.groups;
    groups.describe(context.version(), &request)
}

pub(super) async fn list(context: &Context<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    context.broker.groups.list(&request)
}

pub(super) async fn delete(
    context: &Context<'_>,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    context.broker.groups.delete(request).await
}
