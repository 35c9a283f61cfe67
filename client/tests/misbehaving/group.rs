//! A member of a group against a coordinator that moves, rebalances and answers late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{ConsumeError, Consumer, ConsumerConfig, Event, Reset, TopicPartition};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::api::join_group::JoinGroupResponseMember;
use protocol::api::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::api::offset_fetch::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use protocol::api::{
    AnyRequest, FindCoordinatorResponse, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse,
    OffsetCommitResponse, OffsetFetchResponse, SyncGroupResponse,
};

use crate::consumer::{fetched, found};
use crate::fake::{Arrived, Reply, start, until};

/// A group of one member, which reads a topic of one partition.
#[derive(Default)]
struct Coordinator {
    generation: i32,
    joins: usize,
    left: bool,
    /// How often each answer was given to a heartbeat.
    heartbeats: BTreeMap<ErrorCode, usize>,
    /// What heartbeats are answered.
    heartbeat: Option<ErrorCode>,
    /// Joins wait for another member, who does not come.
    stuck: bool,
    /// What commits are answered.
    commit: Option<ErrorCode>,
    commits: usize,
    /// -1 before there is one.
    committed: i64,
}

impl Coordinator {
    fn answer(&mut self, port: u16, arrived: &Arrived) -> Reply {
        match &arrived.request {
            AnyRequest::FindCoordinator(_) => arrived.answer(&FindCoordinatorResponse {
                node_id: 1,
                host: "127.0.0.1".into(),
                port: port.into(),
                ..FindCoordinatorResponse::default()
            }),
            AnyRequest::JoinGroup(request) if request.member_id.is_empty() => {
                arrived.answer(&JoinGroupResponse {
                    error_code: ErrorCode::MemberIdRequired.code(),
                    member_id: format!("m{}", self.joins).into(),
                    ..JoinGroupResponse::default()
                })
            }
            AnyRequest::JoinGroup(request) => {
                self.joins += 1;
                if self.stuck {
                    return Reply::Nothing;
                }
                self.generation += 1;
                self.heartbeat = None;
                arrived.answer(&JoinGroupResponse {
                    generation_id: self.generation,
                    protocol_type: Some("consumer".into()),
                    protocol_name: Some("range".into()),
                    leader: request.member_id.clone(),
                    member_id: request.member_id.clone(),
                    members: vec![JoinGroupResponseMember {
                        member_id: request.member_id.clone(),
                        metadata: request.protocols[0].metadata.clone(),
                        ..JoinGroupResponseMember::default()
                    }],
                    ..JoinGroupResponse::default()
                })
            }
            AnyRequest::SyncGroup(request) => arrived.answer(&SyncGroupResponse {
                assignment: request.assignments[0].assignment.clone(),
                ..SyncGroupResponse::default()
            }),
            AnyRequest::Heartbeat(_) => {
                let code = self.heartbeat.unwrap_or(ErrorCode::None);
                *self.heartbeats.entry(code).or_default() += 1;
                arrived.answer(&HeartbeatResponse {
                    error_code: code.code(),
                    ..HeartbeatResponse::default()
                })
            }
            AnyRequest::LeaveGroup(_) => {
                self.left = true;
                arrived.answer(&LeaveGroupResponse::default())
            }
            AnyRequest::OffsetFetch(request) => {
                let topic = &request.topics.as_ref().expect("named")[0];
                arrived.answer(&OffsetFetchResponse {
                    topics: vec![OffsetFetchResponseTopic {
                        name: topic.name.clone(),
                        partitions: vec![OffsetFetchResponsePartition {
                            committed_offset: self.committed,
                            ..OffsetFetchResponsePartition::default()
                        }],
                    }],
                    ..OffsetFetchResponse::default()
                })
            }
            AnyRequest::OffsetCommit(request) => {
                self.commits += 1;
                let code = self.commit.unwrap_or(ErrorCode::None);
                if code == ErrorCode::None {
                    self.committed = request.topics[0].partitions[0].committed_offset;
                }
                arrived.answer(&OffsetCommitResponse {
                    topics: vec![OffsetCommitResponseTopic {
                        name: request.topics[0].name.clone(),
                        partitions: vec![OffsetCommitResponsePartition {
                            partition_index: 0,
                            error_code: code.code(),
                        }],
                        ..OffsetCommitResponseTopic::default()
                    }],
                    ..OffsetCommitResponse::default()
                })
            }
            AnyRequest::Fetch(request) => fetched(arrived, request, None),
            AnyRequest::ListOffsets(request) => found(arrived, request),
            _ => arrived.usual(port).unwrap_or(Reply::Close),
        }
    }
}

type Shared = Arc<Mutex<Coordinator>>;

async fn coordinator() -> (u16, Shared) {
    let coordinator = Shared::new(Mutex::new(Coordinator {
        committed: -1,
        ..Coordinator::default()
    }));
    let shared = Arc::clone(&coordinator);
    let port = start(move |port, arrived| shared.lock().answer(port, &arrived)).await;
    (port, coordinator)
}

fn config(port: u16) -> ConsumerConfig {
    ConsumerConfig {
        reset: Reset::Earliest,
        auto_commit: None,
        heartbeat_interval: Duration::from_millis(20),
        ..ConsumerConfig::in_group(format!("127.0.0.1:{port}"), "g")
    }
}

fn subscribed(config: ConsumerConfig) -> Consumer {
    let mut consumer = Consumer::new(config).expect("a consumer");
    consumer.subscribe(["t"]).expect("it has a group");
    consumer
}

fn tp() -> TopicPartition {
    TopicPartition::new("t", 0)
}

async fn next(consumer: &mut Consumer) -> i64 {
    let next = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await;
    next.expect("in time").expect("a record").offset
}

/// Polls until there is an event that is not of records.
async fn event(consumer: &mut Consumer) -> String {
    let told = async {
        loop {
            match consumer.poll_event(Duration::from_secs(1)).await {
                Ok(Event::Records(_)) => {}
                Ok(Event::Assigned(_)) => return "assigned".to_owned(),
                Ok(Event::Revoked(_)) => return "revoked".to_owned(),
                Ok(Event::Lost(_)) => return "lost".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    told.expect("in time")
}

#[tokio::test]
async fn a_member_that_is_still_busy_when_a_rebalance_begins_tells_that_it_lives() {
    let (port, coordinator) = coordinator().await;
    let mut consumer = subscribed(config(port));
    assert_eq!(event(&mut consumer).await, "assigned");
    let rebalancing = ErrorCode::RebalanceInProgress;
    coordinator.lock().heartbeat = Some(rebalancing);
    let told = || coordinator.lock().heartbeats.get(&rebalancing).copied() > Some(5);
    until("heartbeats go on without a poll", told).await;
    assert_eq!(event(&mut consumer).await, "revoked");
    assert_eq!(event(&mut consumer).await, "assigned");
    assert_eq!(coordinator.lock().joins, 2, "one rebalance, not two");
}

#[tokio::test]
async fn records_that_next_holds_are_not_handed_out_once_the_partitions_are_lost() {
    let (port, coordinator) = coordinator().await;
    let mut consumer = subscribed(config(port));
    assert_eq!(next(&mut consumer).await, 10, "and 11 waits");
    // The member is told that others read on, from 14.
    coordinator.lock().commit = Some(ErrorCode::UnknownMemberId);
    let fenced = consumer.commit().await.expect_err("not a member");
    assert!(matches!(fenced, ConsumeError::Fenced { .. }), "{fenced}");
    coordinator.lock().committed = 14;
    assert_eq!(next(&mut consumer).await, 14);
    assert_eq!(coordinator.lock().joins, 2);
}

#[tokio::test]
async fn going_back_is_committed_also_after_an_automatic_commit() {
    let (port, coordinator) = coordinator().await;
    let mut consumer = subscribed(ConsumerConfig {
        auto_commit: Some(Duration::from_millis(10)),
        ..config(port)
    });
    assert_eq!(event(&mut consumer).await, "assigned");
    let back = BTreeMap::from([(tp(), 10)]);
    consumer.commit_offsets(&back).await.expect("committed");
    let moved_on = async {
        while coordinator.lock().committed <= 10 {
            let polled = consumer.poll(Duration::from_millis(20)).await;
            polled.expect("records, or none");
        }
    };
    let moved_on = tokio::time::timeout(Duration::from_secs(20), moved_on).await;
    moved_on.expect("committed by itself");
    consumer.commit_offsets(&back).await.expect("committed");
    assert_eq!(coordinator.lock().committed, 10);
    let commits = coordinator.lock().commits;
    consumer.commit_offsets(&back).await.expect("committed");
    assert_eq!(coordinator.lock().commits, commits, "it is there already");
}

#[tokio::test]
async fn a_coordinator_that_no_broker_list_names_is_found_anew() {
    let (coordinator, listed) = (Shared::default(), Arc::new(Mutex::new(true)));
    let (shared, names) = (Arc::clone(&coordinator), Arc::clone(&listed));
    coordinator.lock().committed = -1;
    // Broker 2 coordinates; once it is gone from the list, it is broker 1.
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::Metadata(request) => {
            let brokers: &[i32] = if *names.lock() { &[1, 2] } else { &[1] };
            arrived.cluster(port, request, brokers, 1)
        }
        AnyRequest::FindCoordinator(_) if *names.lock() => {
            arrived.answer(&FindCoordinatorResponse {
                node_id: 2,
                ..FindCoordinatorResponse::default()
            })
        }
        _ => shared.lock().answer(port, &arrived),
    })
    .await;
    let mut consumer = subscribed(config(port));
    assert_eq!(event(&mut consumer).await, "assigned");
    *listed.lock() = false;
    consumer
        .client()
        .refresh()
        .await
        .expect("broker 1 is there");
    coordinator.lock().heartbeats.clear();
    until("heartbeats go on", || {
        !coordinator.lock().heartbeats.is_empty()
    })
    .await;
    let offsets = BTreeMap::from([(tp(), 15)]);
    consumer.commit_offsets(&offsets).await.expect("committed");
    assert_eq!(coordinator.lock().joins, 1, "it was a member all the time");
}

#[tokio::test]
async fn a_consumer_that_waits_for_a_rebalance_closes_at_once_and_leaves() {
    let (port, coordinator) = coordinator().await;
    coordinator.lock().stuck = true;
    let mut consumer = subscribed(config(port));
    let polled = consumer.poll(Duration::from_millis(10)).await;
    polled.expect("nothing yet");
    until("it joins", || coordinator.lock().joins == 1).await;
    let closed = tokio::time::timeout(Duration::from_secs(10), consumer.close()).await;
    closed.expect("in time").expect("left");
    assert!(coordinator.lock().left);
}

#[tokio::test]
async fn a_commit_for_a_partition_that_is_gone_is_refused_at_once_by_its_name() {
    let (port, coordinator) = coordinator().await;
    let mut consumer = subscribed(config(port));
    assert_eq!(event(&mut consumer).await, "assigned");
    coordinator.lock().commit = Some(ErrorCode::UnknownTopicOrPartition);
    let offsets = BTreeMap::from([(tp(), 15)]);
    let error = consumer.commit_offsets(&offsets).await.expect_err("gone");
    assert!(error.to_string().starts_with("t-0: "), "{error}");
    assert_eq!(coordinator.lock().commits, 1);
}

#[tokio::test]
async fn a_membership_that_ends_for_good_tells_what_is_lost_and_then_why() {
    let (port, coordinator) = coordinator().await;
    let mut consumer = subscribed(config(port));
    assert_eq!(event(&mut consumer).await, "assigned");
    coordinator.lock().heartbeat = Some(ErrorCode::FencedInstanceId);
    assert_eq!(event(&mut consumer).await, "lost");
    let why = event(&mut consumer).await;
    assert!(why.starts_with("group g: "), "{why}");
    assert_eq!(consumer.assignment(), []);
}
