//! What a group's members commit, and what is there afterwards.

use protocol::ErrorCode;
use protocol::api::find_coordinator::FindCoordinatorRequest;
use protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::raw::Connection;
use crate::wait;

/// Who commits.
#[derive(Debug, Clone)]
pub struct Member {
    /// The group's name.
    pub group: String,
    /// The member's id; empty for a consumer that belongs to no generation.
    pub id: String,
    /// The generation; -1 for none.
    pub generation: i32,
}

impl Member {
    /// A consumer that keeps its offsets in a group of which it is no member.
    pub fn alone(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            id: String::new(),
            generation: -1,
        }
    }
}

/// Waits until the group has a coordinator.
pub fn find_coordinator(connection: &mut Connection, group: &str) {
    wait::until("a coordinator", || {
        let answer = connection
            .call(&FindCoordinatorRequest {
                coordinator_keys: vec![group.into()],
                ..Default::default()
            })
            .expect("FindCoordinator is answered");
        (answer.coordinators.first()?.error_code == 0).then_some(())
    });
}

/// Commits an offset of partition 0 of a topic, as soon as the coordinator has read its log.
pub fn commit(connection: &mut Connection, member: &Member, topic: &str, offset: i64) -> ErrorCode {
    wait::until("a loaded coordinator", || {
        let code = commit_once(connection, member, topic, offset);
        let is_loaded = !matches!(
            code,
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator
        );
        is_loaded.then_some(code)
    })
}

fn commit_once(
    connection: &mut Connection,
    member: &Member,
    topic: &str,
    offset: i64,
) -> ErrorCode {
    let answer = connection
        .call(&OffsetCommitRequest {
            group_id: member.group.as_str().into(),
            generation_id_or_member_epoch: member.generation,
            member_id: member.id.as_str().into(),
            topics: vec![OffsetCommitRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    committed_metadata: Some(format!("at {offset}").into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        })
        .expect("OffsetCommit is answered");
    answer.topics[0].partitions[0].error_code.into()
}

/// The committed offset and its text, as soon as the coordinator has read them.
pub fn committed(connection: &mut Connection, group: &str, topic: &str) -> (i64, String) {
    wait::until("a loaded coordinator", || {
        let answer = connection
            .call(&OffsetFetchRequest {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: group.into(),
                    topics: Some(vec![OffsetFetchRequestTopics {
                        name: topic.into(),
                        partition_indexes: vec![0],
                        ..Default::default()
                    }]),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .expect("OffsetFetch is answered");
        let group = answer.groups.first().expect("an answer for each group");
        if group.error_code == ErrorCode::CoordinatorLoadInProgress.code() {
            return None;
        }
        assert_eq!(group.error_code, 0);
        let partition = &group.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let text = partition.metadata.as_ref().map(ToString::to_string);
        Some((partition.committed_offset, text.unwrap_or_default()))
    })
}
