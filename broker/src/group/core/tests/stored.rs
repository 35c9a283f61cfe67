//! Offsets and groups in the log: commits, deletions, expiry, restarts.

use expect_test::expect;

use super::bench::{Bench, check, check_with};
use crate::group::core::Config;

const DAY_MS: i64 = 86_400_000;

#[test]
fn who_may_commit() {
    check(
        "commit stranger t-0=1
         commit - t-0=1:täg t-1=0
         show
         join a v0
         commit - t-0=2
         +3000
         commit a t-0=3
         sync a a=x
         commit - t-0=4
         commit a t-0=5 gen=0
         commit a t-0=6 u-0=7
         commit stranger t-0=8
         show",
        &expect![[r#"
            commit stranger t-0=1
                stranger: ILLEGAL_GENERATION
            commit - t-0=1:täg t-1=0
                log: t-0=1 t-1=0
                -: NONE NONE
            show
                Empty 0 t-0:1"täg" t-1:0""
            join a v0
            commit - t-0=2
                -: UNKNOWN_MEMBER_ID
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            commit a t-0=3
                a: REBALANCE_IN_PROGRESS
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            commit - t-0=4
                -: UNKNOWN_MEMBER_ID
            commit a t-0=5 gen=0
                a: ILLEGAL_GENERATION
            commit a t-0=6 u-0=7
                log: t-0=6 u-0=7
                a: NONE NONE
            commit stranger t-0=8
                stranger: UNKNOWN_MEMBER_ID
            show
                Stable 1 a#1*=x t-0:6"" t-1:0"" u-0:7""
        "#]],
    );
}

#[test]
fn long_metadata_is_refused_by_itself() {
    let config = Config {
        offset_metadata_max: 4,
        ..Config::default()
    };
    check_with(
        config,
        "commit - t-0=1:12345 t-1=2:1234 t-2=3:ÄÖÜß\nshow",
        &expect![[r#"
            commit - t-0=1:12345 t-1=2:1234 t-2=3:ÄÖÜß
                log: t-1=2 t-2=3
                -: OFFSET_METADATA_TOO_LARGE NONE NONE
            show
                Empty 0 t-1:2"1234" t-2:3"ÄÖÜß"
        "#]],
    );
}

#[test]
fn a_commit_is_seen_when_the_log_has_it() {
    check(
        "hold
         commit - t-0=1
         settle
         commit - t-0=2 t-1=1
         show
         ack
         show
         ack
         fail NOT_ENOUGH_REPLICAS
         show
         settle",
        &expect![[r#"
            hold
            commit - t-0=1
                log: t-0=1
            settle
                log: 
            commit - t-0=2 t-1=1
                log: t-0=2 t-1=1
            show
                Empty 0
            ack
                -: NONE
            show
                Empty 0 t-0:1""
            ack
                settle: NONE
            fail NOT_ENOUGH_REPLICAS
                -: COORDINATOR_NOT_AVAILABLE COORDINATOR_NOT_AVAILABLE
            show
                Empty 0 t-0:1""
            settle
                settle: NONE
        "#]],
    );
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
fn a_restart_forces_nobody_to_join_again() {
    check(
        "join a i=1
         join b v0
         +6000
         sync a a=x b=y
         sync b
         commit b t-0=42:metadata
         restart
         show
         beat a
         beat b
         sync b
         commit b t-0=43
         join b
         +10000
         show",
        &expect![[r#"
            join a i=1
            join b v0
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            commit b t-0=42:metadata
                log: t-0=42
                b: NONE
            restart
            show
                Stable 1 1#1*=x b#2=y t-0:42"metadata"
            beat a
                a: NONE
            beat b
                b: NONE
            sync b
                b: assigned "y"
            commit b t-0=43
                log: t-0=43
                b: NONE
            join b
                b: joined 1 by range as b#2 led by 1#1 []
            +10000
                log: group=2[]
            show
                Empty 2 t-0:43""
        "#]],
    );
}

#[test]
fn a_restart_knows_what_was_deleted() {
    check(
        "commit - t-0=1 t-1=2
         delete-offsets t-0
         restart
         show
         delete
         restart
         show",
        &expect![[r#"
            commit - t-0=1 t-1=2
                log: t-0=1 t-1=2
                -: NONE NONE
            delete-offsets t-0
                log: t-0=X
                delete-offsets: NONE
            restart
            show
                Empty 0 t-1:2""
            delete
                log: t-1=X group=X
                delete: NONE
            restart
            show
                no group
        "#]],
    );
}

#[test]
fn a_rebalance_that_a_restart_interrupts_goes_back_to_the_last_generation() {
    check(
        "join a v0
         +3000
         sync a a=x
         join b v0
         show
         join a
         restart
         show
         beat a gen=1
         +10000
         show",
        &expect![[r#"
            join a v0
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            join b v0
            show
                PreparingRebalance 1 a#1*=x b#2=
            join a
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 2 by range as b#2 led by a#1 []
            restart
            show
                Stable 1 a#1*=x
            beat a gen=1
                a: NONE
            +10000
                log: group=2[]
            show
                Empty 2
        "#]],
    );
}

#[test]
fn a_write_that_timed_out_is_in_memory_as_it_is_in_the_log() {
    check(
        "hold
         commit - t-0=1
         ack
         commit - t-0=2
         fail REQUEST_TIMED_OUT
         show
         restart
         show
         delete
         fail REQUEST_TIMED_OUT
         show
         restart
         show",
        &expect![[r#"
            hold
            commit - t-0=1
                log: t-0=1
            ack
                -: NONE
            commit - t-0=2
                log: t-0=2
            fail REQUEST_TIMED_OUT
                -: COORDINATOR_NOT_AVAILABLE
            show
                Empty 0 t-0:2""
            restart
            show
                Empty 0 t-0:2""
            delete
                log: t-0=X group=X
            fail REQUEST_TIMED_OUT
                delete: COORDINATOR_NOT_AVAILABLE
            show
                no group
            restart
            show
                no group
        "#]],
    );
}

fn commit_of_a_thousand() -> String {
    let offsets: Vec<_> = (0..1_000).map(|at| format!("t-{at}=1")).collect();
    format!("commit - {}", offsets.join(" "))
}

#[test]
fn a_large_group_is_forgotten_in_several_writes() {
    let mut bench = Bench::new(Config::default());
    bench.hold = true;
    let writes = |bench: &Bench| -> Vec<usize> {
        let lengths = bench.writes.iter().map(|(_, records)| records.len());
        lengths.collect()
    };
    for end in ["delete", "topic-deleted t", "+604800000"] {
        bench.run(&commit_of_a_thousand());
        bench.run("ack");
        bench.run(end);
        let records = writes(&bench).iter().sum::<usize>();
        assert!(writes(&bench).len() > 2, "{end}: {:?}", writes(&bench));
        assert!((1_000..=1_001).contains(&records), "{end}");
        while !bench.writes.is_empty() {
            bench.run("ack");
        }
        assert!(
            bench
                .shard
                .group("g")
                .is_none_or(|group| group.offsets().is_empty()),
            "{end}"
        );
    }
}

#[test]
fn a_deletion_that_fails_half_way_is_no_success() {
    let mut bench = Bench::new(Config::default());
    bench.hold = true;
    bench.run(&commit_of_a_thousand());
    bench.run("ack");
    bench.out.clear();
    bench.run("delete");
    bench.run("fail NOT_ENOUGH_REPLICAS");
    while !bench.writes.is_empty() {
        bench.run("ack");
    }
    assert!(
        bench.out.ends_with("delete: COORDINATOR_NOT_AVAILABLE\n"),
        "{}",
        bench.out
    );
    let left = bench
        .shard
        .group("g")
        .expect("some offsets are left")
        .offsets()
        .clone();
    assert!((1..1_000).contains(&left["t"].len()));
    assert_eq!(bench.replayed().group("g").unwrap().offsets(), &left);
    bench.run("delete");
    while !bench.writes.is_empty() {
        bench.run("ack");
    }
    assert!(bench.shard.group("g").is_none() && bench.replayed().group("g").is_none());
}
