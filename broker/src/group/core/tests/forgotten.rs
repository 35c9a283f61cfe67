//! What leaves the log: deletions and expiry.

use expect_test::expect;

use super::script::{Script, check, check_with};
use crate::group::core::Config;

const DAY_MS: i64 = 86_400_000;

fn commit_of_a_thousand() -> String {
    let offsets: Vec<_> = (0..1_000).map(|at| format!("t-{at}=1")).collect();
    format!("commit - {}", offsets.join(" "))
}

#[test]
fn groups_are_deleted_with_their_offsets_but_not_with_members() {
    check(
        "delete
         commit - t-0=1 t-1=2
         join a v0
         delete
         +3000
         leave a
         delete
         show
         commit - t-0=3
         hold
         commit - t-1=4
         delete
         join b v0
         commit - t-0=5
         show
         ack
         fail KAFKA_STORAGE_ERROR
         show
         delete
         ack
         show",
        &expect![[r#"
            delete
                delete: GROUP_ID_NOT_FOUND
            commit - t-0=1 t-1=2
                log: t-0=1 t-1=2
                -: NONE NONE
            join a v0
            delete
                delete: NON_EMPTY_GROUP
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            leave a
                log: group=2[]
                leave: NONE
            delete
                log: t-0=X t-1=X group=X
                delete: NONE
            show
                no group
            commit - t-0=3
                log: t-0=3
                -: NONE
            hold
            commit - t-1=4
                log: t-1=4
            delete
                log: t-0=X t-1=X group=X
            join b v0
                b: COORDINATOR_NOT_AVAILABLE ""
            commit - t-0=5
                -: COORDINATOR_NOT_AVAILABLE
            show
                Dead 0 t-0:3""
            ack
                -: NONE
            fail KAFKA_STORAGE_ERROR
                delete: NOT_COORDINATOR
            show
                Empty 0 t-0:3"" t-1:4""
            delete
                log: t-0=X t-1=X group=X
            ack
                delete: NONE
            show
                no group
        "#]],
    );
}

#[test]
fn offsets_of_topics_that_members_read_stay() {
    check(
        "delete-offsets t-0
         commit - t-0=1 u-0=2 u-1=3
         join a v0 topics=t
         +3000
         sync a a=x
         delete-offsets t-0 u-0 u-9
         show
         topic-deleted u
         topic-deleted t
         show",
        &expect![[r#"
            delete-offsets t-0
                delete-offsets: all GROUP_ID_NOT_FOUND
            commit - t-0=1 u-0=2 u-1=3
                log: t-0=1 u-0=2 u-1=3
                -: NONE NONE NONE
            join a v0 topics=t
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            delete-offsets t-0 u-0 u-9
                log: u-0=X
                delete-offsets: GROUP_SUBSCRIBED_TO_TOPIC NONE NONE
            show
                Stable 1 a#1*=x t-0:1"" u-1:3""
            topic-deleted u
                log: u-1=X
            topic-deleted t
                log: t-0=X
            show
                Stable 1 a#1*=x
        "#]],
    );
}

#[test]
fn offsets_of_other_kinds_of_groups_stay_while_they_have_members() {
    check(
        "join a v0 type=connect p=x:1
         +3000
         sync a a=1
         delete-offsets t-0
         leave a
         delete-offsets t-0",
        &expect![[r#"
            join a v0 type=connect p=x:1
            +3000
                a: joined 1 by x as a#1 led by a#1 [a#11]
            sync a a=1
                a: INCONSISTENT_GROUP_PROTOCOL
            delete-offsets t-0
                delete-offsets: all NON_EMPTY_GROUP
            leave a
                log: group=2[]
                leave: NONE
            delete-offsets t-0
                delete-offsets: NONE
        "#]],
    );
}

#[test]
fn an_empty_groups_offsets_expire_from_the_last_leave_on_and_the_group_with_them() {
    check(
        &format!(
            "join a v0 session=100000
             +3000
             sync a a=x
             commit a t-0=1
             +50000
             leave a
             +{}
             show
             +600000
             show",
            7 * DAY_MS
        ),
        &expect![[r#"
            join a v0 session=100000
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            commit a t-0=1
                log: t-0=1
                a: NONE
            +50000
            leave a
                log: group=2[]
                leave: NONE
            +604800000
            show
                Empty 2 t-0:1""
            +600000
                log: t-0=X group=X
            show
                no group
        "#]],
    );
}

#[test]
fn a_simple_groups_offsets_expire_from_their_commits_on() {
    check(
        &format!(
            "commit - t-0=1
             +{DAY_MS}
             commit - t-1=1
             +{}
             show
             +600000
             show
             +{DAY_MS}
             show",
            6 * DAY_MS - 600_001
        ),
        &expect![[r#"
            commit - t-0=1
                log: t-0=1
                -: NONE
            +86400000
            commit - t-1=1
                log: t-1=1
                -: NONE
            +517799999
            show
                Empty 0 t-0:1"" t-1:1""
            +600000
            show
                Empty 0 t-0:1"" t-1:1""
            +86400000
                log: t-0=X
            show
                Empty 0 t-1:1""
        "#]],
    );
}

#[test]
fn with_members_only_what_they_do_not_read_expires() {
    let config = Config {
        offsets_retention_ms: 1_200_000,
        ..Config::default()
    };
    check_with(
        config,
        "join a v0 topics=t session=1800000
         +3000
         sync a a=x
         commit a t-0=1 u-0=2
         +1790000
         show
         +10000
         show
         restart
         +1200000
         show",
        &expect![[r#"
            join a v0 topics=t session=1800000
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            commit a t-0=1 u-0=2
                log: t-0=1 u-0=2
                a: NONE NONE
            +1790000
            show
                Stable 1 a#1*=x t-0:1"" u-0:2""
            +10000
                log: u-0=X
                log: group=2[]
            show
                Empty 2 t-0:1""
            restart
            +1200000
                log: t-0=X group=X
            show
                no group
        "#]],
    );
}

#[test]
fn a_group_that_nobody_joined_is_forgotten_without_a_trace_in_the_log() {
    check(
        "join a\n+9999\nshow\n+700000\nshow",
        &expect![[r#"
        join a
            a: MEMBER_ID_REQUIRED "a#1"
        +9999
        show
            Empty 0
        +700000
            log: 
        show
            no group
    "#]],
    );
}

#[test]
fn a_large_group_is_forgotten_in_several_writes() {
    let mut script = Script::new(Config::default());
    script.hold = true;
    let writes = |script: &Script| -> Vec<usize> {
        let lengths = script.writes.iter().map(|(_, records)| records.len());
        lengths.collect()
    };
    for end in ["delete", "topic-deleted t", "+604800000"] {
        script.run(&commit_of_a_thousand());
        script.run("ack");
        script.run(end);
        let records = writes(&script).iter().sum::<usize>();
        assert!(writes(&script).len() > 2, "{end}: {:?}", writes(&script));
        assert!((1_000..=1_001).contains(&records), "{end}");
        while !script.writes.is_empty() {
            script.run("ack");
        }
        assert!(
            script
                .shard
                .group("g")
                .is_none_or(|group| group.offsets().is_empty()),
            "{end}"
        );
    }
}

#[test]
fn a_deletion_that_fails_half_way_is_no_success() {
    let mut script = Script::new(Config::default());
    script.hold = true;
    script.run(&commit_of_a_thousand());
    script.run("ack");
    script.out.clear();
    script.run("delete");
    script.run("fail NOT_ENOUGH_REPLICAS");
    while !script.writes.is_empty() {
        script.run("ack");
    }
    assert!(
        script.out.ends_with("delete: COORDINATOR_NOT_AVAILABLE\n"),
        "{}",
        script.out
    );
    let left = script
        .shard
        .group("g")
        .expect("some offsets are left")
        .offsets()
        .clone();
    assert!((1..1_000).contains(&left["t"].len()));
    assert_eq!(script.replayed().group("g").unwrap().offsets(), &left);
    script.run("delete");
    while !script.writes.is_empty() {
        script.run("ack");
    }
    assert!(script.shard.group("g").is_none() && script.replayed().group("g").is_none());
}
