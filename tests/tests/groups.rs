//! Consumer groups over kill -9: what was committed stays, and members go on without a rejoin.

use milena_tests::group::{Member, commit, committed, find_coordinator};
use milena_tests::process::Spec;
use milena_tests::random::{Random, seed};
use milena_tests::raw::Connection;
use milena_tests::wait;
use protocol::ErrorCode;
use protocol::api::heartbeat::HeartbeatRequest;
use protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::api::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

const GROUP: &str = "readers";
const TOPIC: &str = "read";
const CRASHES: u64 = 6;

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
        group: GROUP.to_owned(),
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
    find_coordinator(&mut connection, GROUP);
    let member = join(&mut connection);
    let mut offset = 0;
    for crash in 0..CRASHES {
        assert_eq!(
            heartbeat_when_loaded(&mut connection, &member),
            ErrorCode::None
        );
        for _ in 0..random.within(1..30) {
            offset += 1;
            assert_eq!(
                commit(&mut connection, &member, TOPIC, offset),
                ErrorCode::None
            );
        }
        if crash == CRASHES - 1 {
            let (status, _) = node.stop();
            assert!(status.success(), "{status}");
        } else {
            node.kill();
        }
        node = spec.start();
        connection = node.connect();
        assert_eq!(
            committed(&mut connection, GROUP, TOPIC),
            (offset, format!("at {offset}"))
        );
        assert_eq!(
            heartbeat_when_loaded(&mut connection, &member),
            ErrorCode::None,
            "the member goes on in generation {}",
            member.generation
        );
    }
    assert_eq!(
        commit(&mut connection, &member, TOPIC, offset + 1),
        ErrorCode::None
    );
    let stranger = Member {
        group: GROUP.to_owned(),
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
