//! Consumer groups over kill -9: what was committed stays, and members go on without a rejoin.

use milena_tests::process::Spec;
use milena_tests::random::{Random, seed};
use milena_tests::raw::Connection;
use milena_tests::wait;
use protocol::ErrorCode;
use protocol::api::find_coordinator::FindCoordinatorRequest;
use protocol::api::heartbeat::HeartbeatRequest;
use protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::api::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

const GROUP: &str = "readers";
const TOPIC: &str = "read";
const CRASHES: u64 = 6;

/// A member of the group, alone in it.
struct Member {
    id: String,
    generation: i32,
}

fn find_coordinator(connection: &mut Connection) {
    wait::until("a coordinator", || {
        let answer = connection
            .call(&FindCoordinatorRequest {
                coordinator_keys: vec![GROUP.into()],
                ..Default::default()
            })
            .expect("FindCoordinator is answered");
        (answer.coordinators.first()?.error_code == 0).then_some(())
    });
}

fn join(connection: &mut Connection) -> Member {
    let answer = wait::until("a place in the group", || {
        let answer = connection.call(&JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: b"anything"[..].into(),
            }],
            ..Default::default()
        });
        answer.ok().filter(|answer| answer.error_code == 0)
    });
    let member = Member {
        id: answer.member_id.to_string(),
        generation: answer.generation_id,
    };
    let answer = connection
        .call(&SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: member.generation,
            member_id: member.id.as_str().into(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: member.id.as_str().into(),
                assignment: b"everything"[..].into(),
            }],
            ..Default::default()
        })
        .unwrap();
    assert_eq!(answer.error_code, 0);
    assert_eq!(answer.assignment, &b"everything"[..]);
    member
}

fn leave(connection: &mut Connection, member: &Member) {
    let answer = connection
        .call(&LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![MemberIdentity {
                member_id: member.id.as_str().into(),
                ..Default::default()
            }],
            ..Default::default()
        })
        .unwrap();
    assert_eq!((answer.error_code, answer.members[0].error_code), (0, 0));
}

fn heartbeat(connection: &mut Connection, member: &Member) -> ErrorCode {
    let answer = connection.call(&HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: member.generation,
        member_id: member.id.as_str().into(),
        ..Default::default()
    });
    answer.expect("Heartbeat is answered").error_code.into()
}

/// The same after a restart, whose coordinator may still be reading.
fn heartbeat_when_loaded(connection: &mut Connection, member: &Member) -> ErrorCode {
    wait::until("a loaded coordinator", || {
        let code = heartbeat(connection, member);
        (code != ErrorCode::CoordinatorLoadInProgress).then_some(code)
    })
}

fn commit(connection: &mut Connection, member: &Member, offset: i64) -> ErrorCode {
    let answer = connection
        .call(&OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: member.generation,
            member_id: member.id.as_str().into(),
            topics: vec![OffsetCommitRequestTopic {
                name: TOPIC.into(),
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

/// The committed offset and its text.
fn committed(connection: &mut Connection) -> (i64, String) {
    wait::until("a loaded coordinator", || {
        let answer = connection
            .call(&OffsetFetchRequest {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: GROUP.into(),
                    topics: Some(vec![OffsetFetchRequestTopics {
                        name: TOPIC.into(),
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

#[test]
fn offsets_and_members_survive_kill_9() {
    let mut random = Random::new(seed());
    let folder = tempfile::tempdir().unwrap();
    let mut spec = Spec::new(folder.path());
    spec.args = ["--set", "group.initial.rebalance.delay.ms=0"]
        .map(str::to_owned)
        .to_vec();
    let mut node = spec.start();
    let mut connection = node.connect();
    connection.make_topic(TOPIC, 1, &[]);
    find_coordinator(&mut connection);
    let member = join(&mut connection);
    let mut offset = 0;
    for crash in 0..CRASHES {
        assert_eq!(
            heartbeat_when_loaded(&mut connection, &member),
            ErrorCode::None
        );
        for _ in 0..random.within(1..30) {
            offset += 1;
            assert_eq!(commit(&mut connection, &member, offset), ErrorCode::None);
        }
        if crash == CRASHES - 1 {
            let (status, _) = node.stop();
            assert!(status.success(), "{status}");
        } else {
            node.kill();
        }
        node = spec.start();
        connection = node.connect();
        assert_eq!(committed(&mut connection), (offset, format!("at {offset}")));
        assert_eq!(
            heartbeat_when_loaded(&mut connection, &member),
            ErrorCode::None,
            "the member goes on in generation {}",
            member.generation
        );
    }
    assert_eq!(
        commit(&mut connection, &member, offset + 1),
        ErrorCode::None
    );
    let stranger = Member {
        id: "nobody".to_owned(),
        generation: member.generation,
    };
    assert_eq!(
        heartbeat(&mut connection, &stranger),
        ErrorCode::UnknownMemberId
    );
    leave(&mut connection, &member);
    let again = join(&mut connection);
    assert!(again.generation > member.generation, "generations go on");
}
