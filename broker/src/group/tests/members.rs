//! Groups and their members.

use super::*;

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

#[tokio::test(start_paused = true)]
async fn clients_before_version_7_are_told_no_null() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    for (version, protocol_name) in [(6, Some(Str::default())), (7, None)] {
        let request = join_request(&Str::default());
        let refused = coordinator.join(version, "c", "/127.0.0.1", request).await;
        assert_eq!(refused.error_code, ErrorCode::MemberIdRequired as i16);
        assert_eq!(refused.protocol_name, protocol_name, "version {version}");
    }
}
