//! Committed offsets.

use super::*;

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
    let fetch = async |groups| {
        let request = OffsetFetchRequest {
            groups,
            ..Default::default()
        };
        coordinator.fetch_offsets(10, request).await.groups
    };
    let some = fetch(vec![group("g", Some(asked))]).await;
    let all = fetch(vec![group("g", None), group("empty", None)]).await;
    let found = |topic: &protocol::api::offset_fetch::OffsetFetchResponseTopics| {
        topic
            .partitions
            .iter()
            .map(|found| (found.committed_offset, found.error_code))
            .collect::<Vec<_>>()
    };
    let of_g = &some[0].topics;
    assert_eq!(
        (found(&of_g[0]), found(&of_g[1])),
        (
            vec![(-1, 0), (9, 0)],
            vec![(-1, ErrorCode::UnknownTopicId as i16)]
        )
    );
    assert_eq!(
        (all[0].topics[0].topic_id, all[1].topics.len()),
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
async fn what_is_asked_for_many_times_is_answered_once() {
    let log = Memory::new();
    let coordinator = coordinator(&log).await;
    assert_eq!(
        commit(&coordinator, commit_request(None, "t", 1, 9)).await,
        ErrorCode::None
    );
    let topic = |partition_indexes| OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes,
        ..Default::default()
    };
    let group = |topics| OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics,
        ..Default::default()
    };
    let asked = OffsetFetchRequest {
        groups: vec![
            group(Some(vec![topic(vec![2, 1, 1, 1]), topic(vec![1, 0])])),
            group(None),
        ],
        ..Default::default()
    };
    let answer = coordinator.fetch_offsets(8, asked).await;
    assert_eq!((answer.groups.len(), answer.groups[0].topics.len()), (1, 1));
    let found = answer.groups[0].topics[0].partitions.iter();
    let found: Vec<_> = found
        .map(|found| (found.partition_index, found.committed_offset))
        .collect();
    assert_eq!(found, [(0, -1), (1, 9), (2, -1)]);

    let described = coordinator.describe(
        5,
        &DescribeGroupsRequest {
            groups: vec!["g".into(), "h".into(), "g".into()],
            ..Default::default()
        },
    );
    assert_eq!(described.groups.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_too_large_for_the_log_fails_alone() {
    let log = Memory::taking(1_000);
    let coordinator = coordinator(&log).await;
    let with_metadata = |partition, length: usize| {
        let mut request = commit_request(None, "t", partition, 5);
        request.topics[0].partitions[0].committed_metadata = Some("x".repeat(length).into());
        request
    };
    // All but the first gather while it is under way.
    let lengths = [1, 400, 400, 400, 2_000, 400, 850];
    let commits = lengths.map(|length| {
        let coordinator = coordinator.clone();
        let request = with_metadata(0, length);
        tokio::spawn(async move { commit(&coordinator, request).await })
    });
    for (length, commit) in lengths.into_iter().zip(commits) {
        let expected = if length < 1_000 {
            ErrorCode::None
        } else {
            ErrorCode::UnknownServerError
        };
        assert_eq!(commit.await.unwrap(), expected, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_unnoticed_takes_its_offsets_along() {
    let log = Memory::new();
    let first = coordinator(&log).await;
    let committed_one = commit(&first, commit_request(None, "t", 0, 1)).await;
    assert_eq!(committed_one, ErrorCode::None);
    first.unload(first.partition_for("g"));
    log.deleted.store(true, Ordering::Relaxed);
    first.topic_deleted("t");

    let second = coordinator(&log).await;
    assert_eq!(committed(&second, 0, true).await.0, -1);
    log.deleted.store(false, Ordering::Relaxed);
    let third = coordinator(&log).await;
    assert_eq!(committed(&third, 0, true).await.0, -1);
}
