//! The coordinator through its APIs, over a log in memory and a clock that jumps to the next
//! deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
}

const TOPIC_ID: Uuid = Uuid::from_u128(7);

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
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
        self.records
            .lock()
            .entry(partition)
            .or_default()
            .extend(records);
        Ok(())
    }

    async fn read_all(
        &self,
        partition: i32,
        each: &mut (dyn FnMut(Bytes, Option<Bytes>, i64) + Send),
    ) -> Result<(), ErrorCode> {
        self.permits.acquire().await.unwrap().forget();
        if let Some(error) = *self.error.lock() {
            return Err(error);
        }
        for (key, value) in self.records.lock().get(&partition).into_iter().flatten() {
            each(key.clone(), value.clone(), 0);
        }
        Ok(())
    }

    fn partition_count(&self) -> i32 {
        4
    }

    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        topic == "t" && (0..3).contains(&partition)
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

#[tokio::test(start_paused = true)]
async fn consumers_share_a_group_commit_and_go_on_after_a_restart() {
    let log = Memory::new();
    let first = coordinator(&log).await;
    let (a, b) = tokio::join!(join(&first), join(&first));
    assert_eq!(
        (a.error_code, a.generation_id, a.leader.clone()),
        (0, 1, b.leader.clone())
    );
    assert_eq!(
        a.members.len() + b.members.len(),
        2,
        "only the leader is told the members"
    );
    let (synced, _) = tokio::join!(
        first.sync(5, sync_request(&a)),
        first.sync(5, sync_request(&b))
    );
    assert_eq!(synced.assignment, format!("to {}", a.member_id));
    assert_eq!(committed(&first, 0, false).await, (-1, Str::default()));
    assert_eq!(
        commit(&first, commit_request(Some(&a), "t", 0, 42)).await,
        ErrorCode::None
    );

    let second = coordinator(&log).await;
    assert_eq!(committed(&second, 0, true).await, (42, "grüße".into()));
    assert_eq!(second.heartbeat(heartbeat(&a)).await.error_code, 0);
    assert_eq!(second.heartbeat(heartbeat(&b)).await.error_code, 0);
    let again = second.sync(5, sync_request(&b)).await;
    assert_eq!(again.assignment, format!("to {}", b.member_id));

    let described = second.describe(
        6,
        &DescribeGroupsRequest {
            groups: vec!["g".into(), "h".into()],
            ..Default::default()
        },
    );
    let group = &described.groups[0];
    assert_eq!(
        (
            &*group.group_state,
            &*group.protocol_data,
            group.members.len()
        ),
        ("Stable", "range", 2)
    );
    assert_eq!(&*group.members[0].client_host, "/127.0.0.1");
    let unknown = &described.groups[1];
    assert_eq!(
        (&*unknown.group_state, unknown.error_code),
        ("Dead", ErrorCode::GroupIdNotFound as i16)
    );

    let delete = DeleteGroupsRequest {
        groups_names: vec!["g".into(), "g".into(), "h".into()],
    };
    let codes = |response: protocol::api::DeleteGroupsResponse| {
        response
            .results
            .iter()
            .map(|result| ErrorCode::from(result.error_code))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        codes(second.delete(delete.clone()).await),
        [ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound]
    );
    let leavers = [&a, &b].map(|joined| MemberIdentity {
        member_id: joined.member_id.clone(),
        ..Default::default()
    });
    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        members: leavers.to_vec(),
        ..Default::default()
    };
    let left = second.leave(5, leave).await;
    assert_eq!(
        (
            left.error_code,
            left.members.len(),
            left.members[1].error_code
        ),
        (0, 2, 0)
    );
    assert_eq!(
        codes(second.delete(delete).await),
        [ErrorCode::None, ErrorCode::GroupIdNotFound]
    );
    assert_eq!(committed(&coordinator(&log).await, 0, false).await.0, -1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_makes_room_and_a_vanished_client_does_no_harm() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    let a = join(&coordinator).await;
    coordinator.sync(5, sync_request(&a)).await;
    // Its connection closes while it waits to join.
    let vanished =
        tokio::time::timeout(std::time::Duration::from_millis(5), join(&coordinator)).await;
    assert!(vanished.is_err());
    assert_eq!(
        coordinator.heartbeat(heartbeat(&a)).await.error_code,
        ErrorCode::RebalanceInProgress as i16
    );
    let a = coordinator
        .join(9, "c", "/127.0.0.1", join_request(&a.member_id))
        .await;
    assert_eq!((a.error_code, a.generation_id), (0, 2));
    assert_eq!(coordinator.sync(5, sync_request(&a)).await.error_code, 0);
    // The vanished member has not come for its assignment, nor sent a heartbeat.
    tokio::time::sleep(std::time::Duration::from_millis(9_999)).await;
    assert_eq!(coordinator.heartbeat(heartbeat(&a)).await.error_code, 0);
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    assert_eq!(
        coordinator.heartbeat(heartbeat(&a)).await.error_code,
        ErrorCode::RebalanceInProgress as i16
    );
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_says_so_and_who_loads_asks_for_patience() {
    let log = Memory::new();
    let coordinator = GroupCoordinator::new(Arc::clone(&log), Config::default());
    let nobody = JoinGroupResponse {
        member_id: "m".into(),
        generation_id: 1,
        ..Default::default()
    };
    let not_here = ErrorCode::NotCoordinator;
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        not_here
    );
    assert_eq!(
        coordinator.heartbeat(heartbeat(&nobody)).await.error_code,
        not_here as i16
    );
    assert_eq!(
        coordinator.list(&ListGroupsRequest::default()).groups.len(),
        0
    );

    log.hold();
    let partition = coordinator.partition_for("g");
    let loading = tokio::spawn({
        let coordinator = coordinator.clone();
        async move { coordinator.load(partition).await }
    });
    tokio::task::yield_now().await;
    let patience = ErrorCode::CoordinatorLoadInProgress;
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        patience
    );
    assert_eq!(
        coordinator.heartbeat(heartbeat(&nobody)).await.error_code,
        0,
        "as good as heard"
    );
    assert_eq!(
        coordinator.list(&ListGroupsRequest::default()).error_code,
        patience as i16
    );
    log.go_on();
    loading.await.unwrap().unwrap();
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        ErrorCode::None
    );

    // A member waits, and leadership goes.
    let waiting = tokio::spawn({
        let coordinator = coordinator.clone();
        async move { join(&coordinator).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    coordinator.unload(partition);
    assert_eq!(waiting.await.unwrap().error_code, not_here as i16);
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        not_here
    );

    *log.error.lock() = Some(ErrorCode::KafkaStorageError);
    assert_eq!(
        coordinator.load(partition).await,
        Err(ErrorCode::KafkaStorageError)
    );
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        not_here
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_append_is_told_and_leaves_nothing() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        ErrorCode::None
    );
    for (error, told) in [
        (
            ErrorCode::NotEnoughReplicas,
            ErrorCode::CoordinatorNotAvailable,
        ),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    ] {
        *log.error.lock() = Some(error);
        assert_eq!(
            commit(&coordinator, commit_request(None, "t", 0, 2)).await,
            told
        );
    }
    assert_eq!(committed(&coordinator, 0, true).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn commits_that_gather_during_an_append_share_the_next_and_stable_fetches_wait_for_them() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    log.hold();
    let commits: Vec<_> = (1..=50)
        .map(|offset| {
            let coordinator = coordinator.clone();
            tokio::spawn(
                async move { commit(&coordinator, commit_request(None, "t", 0, offset)).await },
            )
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(committed(&coordinator, 0, false).await.0, -1);
    let stable = tokio::spawn({
        let coordinator = coordinator.clone();
        async move { committed(&coordinator, 0, true).await.0 }
    });
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    log.go_on();
    for commit in commits {
        assert_eq!(commit.await.unwrap(), ErrorCode::None);
    }
    assert_eq!(stable.await.unwrap(), 50);
    assert!(
        log.appends.load(Ordering::Relaxed) <= 3,
        "{} appends",
        log.appends.load(Ordering::Relaxed)
    );
}

#[tokio::test(start_paused = true)]
async fn offsets_are_found_by_each_version_of_the_request() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 1, 9)).await,
        ErrorCode::None
    );
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        commit(&coordinator, commit_request(None, "nowhere", 1, 9)).await,
        unknown
    );
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 3, 9)).await,
        unknown
    );
    let by_id = coordinator.commit(10, commit_request(None, "", 2, 8)).await;
    assert_eq!(
        (
            by_id.topics[0].topic_id,
            by_id.topics[0].partitions[0].error_code
        ),
        (TOPIC_ID, 0)
    );
    let mut stranger = commit_request(None, "", 2, 8);
    stranger.topics[0].topic_id = Uuid::from_u128(8);
    let stranger = coordinator.commit(10, stranger).await;
    assert_eq!(
        stranger.topics[0].partitions[0].error_code,
        ErrorCode::UnknownTopicId as i16
    );

    let all = OffsetFetchRequest {
        group_id: "g".into(),
        topics: None,
        ..Default::default()
    };
    let all = coordinator.fetch_offsets(5, all).await;
    let found: Vec<_> = all.topics[0]
        .partitions
        .iter()
        .map(|found| (found.partition_index, found.committed_offset))
        .collect();
    assert_eq!(found, [(1, 9), (2, 8)]);

    let group = |id: &'static str, topics| OffsetFetchRequestGroup {
        group_id: id.into(),
        topics,
        ..Default::default()
    };
    let asked = vec![
        OffsetFetchRequestTopics {
            topic_id: TOPIC_ID,
            partition_indexes: vec![0, 1],
            ..Default::default()
        },
        OffsetFetchRequestTopics {
            topic_id: Uuid::from_u128(8),
            partition_indexes: vec![0],
            ..Default::default()
        },
    ];
    let groups = vec![
        group("g", Some(asked)),
        group("g", None),
        group("empty", None),
    ];
    let answer = coordinator
        .fetch_offsets(
            10,
            OffsetFetchRequest {
                groups,
                ..Default::default()
            },
        )
        .await;
    let found = |topic: &protocol::api::offset_fetch::OffsetFetchResponseTopics| {
        topic
            .partitions
            .iter()
            .map(|found| (found.committed_offset, found.error_code))
            .collect::<Vec<_>>()
    };
    let of_g = &answer.groups[0].topics;
    assert_eq!(
        (found(&of_g[0]), found(&of_g[1])),
        (
            vec![(-1, 0), (9, 0)],
            vec![(-1, ErrorCode::UnknownTopicId as i16)]
        )
    );
    assert_eq!(
        (
            answer.groups[1].topics[0].topic_id,
            answer.groups[2].topics.len()
        ),
        (TOPIC_ID, 0)
    );

    // Version 1 has no place for an error of the group's.
    coordinator.unload(coordinator.partition_for("g"));
    let topics = Some(vec![OffsetFetchRequestTopic {
        name: "t".into(),
        partition_indexes: vec![1],
    }]);
    let old = coordinator
        .fetch_offsets(
            1,
            OffsetFetchRequest {
                group_id: "g".into(),
                topics,
                ..Default::default()
            },
        )
        .await;
    let partition = &old.topics[0].partitions[0];
    assert_eq!(
        (partition.committed_offset, partition.error_code),
        (-1, ErrorCode::NotCoordinator as i16)
    );
}

#[tokio::test(start_paused = true)]
async fn offsets_are_deleted_on_request_and_with_their_topic() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    for partition in 0..3 {
        assert_eq!(
            commit(&coordinator, commit_request(None, "t", partition, 1)).await,
            ErrorCode::None
        );
    }
    let partitions = [0, 7]
        .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
        .to_vec();
    let topics = vec![OffsetDeleteRequestTopic {
        name: "t".into(),
        partitions,
    }];
    let deleted = coordinator
        .delete_offsets(OffsetDeleteRequest {
            group_id: "g".into(),
            topics,
        })
        .await;
    let codes = [0, 1].map(|at| ErrorCode::from(deleted.topics[0].partitions[at].error_code));
    assert_eq!(
        (deleted.error_code, codes),
        (0, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition])
    );

    let count = || {
        let mut count = 0;
        coordinator
            .visit(|_, group| count += group.offsets().values().map(BTreeMap::len).sum::<usize>());
        count
    };
    assert_eq!(count(), 2);
    coordinator.topic_deleted("t");
    assert_eq!(committed(&coordinator, 1, true).await.0, -1);
    assert_eq!(count(), 0);
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_by_state_and_type() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 0, 1)).await,
        ErrorCode::None
    );
    let list = |states: &[&'static str], types: &[&'static str]| {
        let strs = |texts: &[&'static str]| texts.iter().map(|text| Str::from(*text)).collect();
        coordinator
            .list(&ListGroupsRequest {
                states_filter: strs(states),
                types_filter: strs(types),
            })
            .groups
    };
    let all = list(&[], &[]);
    assert_eq!(
        (all.len(), &*all[0].group_id, &*all[0].protocol_type),
        (1, "g", "")
    );
    assert_eq!(
        (&*all[0].group_state, &*all[0].group_type),
        ("Empty", "classic")
    );
    assert_eq!(list(&["stable", " EMPTY"], &["Classic"]).len(), 1);
    assert_eq!(
        list(&["Stable"], &[]).len() + list(&[], &["consumer"]).len(),
        0
    );
}
