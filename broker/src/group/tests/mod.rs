//! The coordinator through its APIs, over a log in memory and a clock that jumps to the next
//! deadline.

mod members;
mod offsets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::Str;
use protocol::api::delete_groups::DeleteGroupsRequest;
use protocol::api::describe_groups::DescribeGroupsRequest;
use protocol::api::heartbeat::HeartbeatRequest;
use protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use protocol::api::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::api::list_groups::ListGroupsRequest;
use protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::error::ErrorCode;
use protocol::records::{BatchBuilder, BatchIdentity, Compression};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::core::Config;
use super::{GroupCoordinator, OffsetsLog};

type Stored = (Bytes, Option<Bytes>);

/// `__consumer_offsets` in memory; topic `t` with three partitions exists beside it.
struct Memory {
    records: Mutex<BTreeMap<i32, Vec<Stored>>>,
    appends: AtomicUsize,
    /// Appends and reads that may go on.
    permits: Semaphore,
    error: Mutex<Option<ErrorCode>>,
    batch_bytes_max: usize,
    /// Topic `t` has been deleted.
    deleted: AtomicBool,
}

const TOPIC_ID: Uuid = Uuid::from_u128(7);

impl Memory {
    fn new() -> Arc<Self> {
        Self::taking(1 << 20)
    }

    fn taking(batch_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            batch_bytes_max,
            deleted: AtomicBool::new(false),
            records: Mutex::default(),
            appends: AtomicUsize::new(0),
            permits: Semaphore::new(Semaphore::MAX_PERMITS),
            error: Mutex::default(),
        })
    }

    /// Takes all permits away, so that what comes waits for `go_on`.
    fn hold(&self) {
        self.permits.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn go_on(&self) {
        self.permits.add_permits(1_000);
    }
}

impl OffsetsLog for Memory {
    async fn append(
        &self,
        partition: i32,
        records: Vec<Stored>,
        _now_ms: i64,
    ) -> Result<(), ErrorCode> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.permits.acquire().await.unwrap().forget();
        if let Some(error) = *self.error.lock() {
            return Err(error);
        }
        let mut batch = BatchBuilder::new(Compression::None);
        for (key, value) in &records {
            batch.push(0, Some(key), value.as_deref(), &[]);
        }
        if batch.build(&BatchIdentity::default()).len() > self.batch_bytes_max {
            return Err(ErrorCode::MessageTooLarge);
        }
        self.records
            .lock()
            .entry(partition)
            .or_default()
            .extend(records);
        Ok(())
    }

    fn batch_bytes_max(&self, _partition: i32) -> usize {
        self.batch_bytes_max
    }

    async fn read_all(
        &self,
        partition: i32,
        each: &mut (dyn FnMut(Bytes, Option<Bytes>) + Send),
    ) -> Result<(), ErrorCode> {
        self.permits.acquire().await.unwrap().forget();
        if let Some(error) = *self.error.lock() {
            return Err(error);
        }
        for (key, value) in self.records.lock().get(&partition).into_iter().flatten() {
            each(key.clone(), value.clone());
        }
        Ok(())
    }

    fn partition_count(&self) -> i32 {
        4
    }

    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        topic == "t" && (0..3).contains(&partition)
    }

    fn has_topic(&self, name: &str) -> bool {
        name == "t" && !self.deleted.load(Ordering::Relaxed)
    }

    fn topic_id(&self, name: &str) -> Option<Uuid> {
        (name == "t").then_some(TOPIC_ID)
    }

    fn topic_name(&self, id: Uuid) -> Option<String> {
        (id == TOPIC_ID).then(|| "t".to_owned())
    }
}

async fn coordinator(log: &Arc<Memory>) -> GroupCoordinator<Memory> {
    let coordinator = GroupCoordinator::new(Arc::clone(log), Config::default());
    for partition in 0..log.partition_count() {
        coordinator.load(partition).await.unwrap();
    }
    coordinator
}

fn join_request(member_id: &Str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.clone(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"m"),
        }],
        ..JoinGroupRequest::default()
    }
}

/// Joins as a client does: first for an id, then with it.
async fn join(coordinator: &GroupCoordinator<Memory>) -> JoinGroupResponse {
    let first = coordinator
        .join(9, "c", "/127.0.0.1", join_request(&Str::default()))
        .await;
    assert_eq!(first.error_code, ErrorCode::MemberIdRequired as i16);
    assert!(first.member_id.starts_with("c-"));
    coordinator
        .join(9, "c", "/127.0.0.1", join_request(&first.member_id))
        .await
}

fn sync_request(joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assignments = joined
        .members
        .iter()
        .map(|member| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: Bytes::from(format!("to {}", member.member_id)),
        });
    SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

fn heartbeat(joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..HeartbeatRequest::default()
    }
}

fn commit_request(
    joined: Option<&JoinGroupResponse>,
    topic: &str,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: joined.map_or(-1, |joined| joined.generation_id),
        member_id: joined
            .map(|joined| joined.member_id.clone())
            .unwrap_or_default(),
        topics: vec![OffsetCommitRequestTopic {
            name: Str::from(topic.to_owned()),
            topic_id: TOPIC_ID,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_metadata: Some("grüße".into()),
                ..OffsetCommitRequestPartition::default()
            }],
        }],
        ..OffsetCommitRequest::default()
    }
}

async fn commit(coordinator: &GroupCoordinator<Memory>, request: OffsetCommitRequest) -> ErrorCode {
    let response = coordinator.commit(8, request).await;
    ErrorCode::from(response.topics[0].partitions[0].error_code)
}

async fn committed(
    coordinator: &GroupCoordinator<Memory>,
    partition: i32,
    require_stable: bool,
) -> (i64, Str) {
    let topics = vec![OffsetFetchRequestTopic {
        name: "t".into(),
        partition_indexes: vec![partition],
    }];
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(topics),
        require_stable,
        ..OffsetFetchRequest::default()
    };
    let response = coordinator.fetch_offsets(7, request).await;
    assert_eq!(response.error_code, 0);
    let partition = &response.topics[0].partitions[0];
    (
        partition.committed_offset,
        partition.metadata.clone().unwrap(),
    )
}
