//! Dynamic members: joining, syncing, staying alive, leaving.

use expect_test::expect;

use super::bench::{check, check_with};
use crate::group::core::Config;

#[test]
fn a_new_group_waits_for_more_members_then_its_leader_assigns() {
    check(
        "join a
         join a
         +2000
         join b v0
         +5000
         show
         sync b
         beat b
         sync a a=x b=y
         beat a
         show",
        &expect![[r#"
            join a
                a: MEMBER_ID_REQUIRED "a#1"
            join a
            +2000
            join b v0
            +5000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#3{t}]
                b: joined 1 by range as b#3 led by a#1 []
            show
                CompletingRebalance 1 a#1*= b#3=
            sync b
            beat b
                b: NONE
            sync a a=x b=y
                log: group=1[a#1=x b#3=y]
                a: assigned "x"
                b: assigned "y"
            beat a
                a: NONE
            show
                Stable 1 a#1*=x b#3=y
        "#]],
    );
}

#[test]
fn the_first_rebalance_is_prolonged_only_up_to_the_rebalance_timeout() {
    check(
        "join a v0 rebalance=4000
         +2999
         join b v0 rebalance=4000
         +1001
         show
         +999
         join c v0 rebalance=4000",
        &expect![[r#"
            join a v0 rebalance=4000
            +2999
            join b v0 rebalance=4000
            +1001
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            show
                CompletingRebalance 1 a#1*= b#2=
            +999
            join c v0 rebalance=4000
            waiting: c
        "#]],
    );
}

#[test]
fn a_member_that_changes_nothing_joins_again_without_a_rebalance() {
    check(
        "join a v0
         join b v0
         +6000
         join b
         sync a a=x b=y
         sync b
         join b
         sync b
         show",
        &expect![[r#"
            join a v0
            join b v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            join b
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join b
                b: joined 1 by range as b#2 led by a#1 []
            sync b
                b: assigned "y"
            show
                Stable 1 a#1*=x b#2=y
        "#]],
    );
}

#[test]
fn the_leader_and_whoever_changes_metadata_cause_a_rebalance() {
    check(
        "join a v0
         join b v0
         +6000
         sync a a=x b=y
         sync b
         join a
         beat b
         commit b t-0=1
         join b
         sync a a=x b=y
         sync b
         join b topics=t,u
         beat a
         sync a
         join a
         show",
        &expect![[r#"
            join a v0
            join b v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join a
            beat b
                b: REBALANCE_IN_PROGRESS
            commit b t-0=1
                log: t-0=1
                b: NONE
            join b
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 2 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=2[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join b topics=t,u
            beat a
                a: REBALANCE_IN_PROGRESS
            sync a
                a: REBALANCE_IN_PROGRESS
            join a
                a: joined 3 by range as a#1 led by a#1 [a#1{t} b#2{t,u}]
                b: joined 3 by range as b#2 led by a#1 []
            show
                CompletingRebalance 3 a#1*=x b#2=y t-0:1""
        "#]],
    );
}

#[test]
fn a_rebalance_cancels_the_syncs_of_the_last() {
    check(
        "join a v0
         join b v0
         +6000
         sync b
         join c v0
         join a
         join b
         show",
        &expect![[r#"
            join a v0
            join b v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync b
            join c v0
                b: REBALANCE_IN_PROGRESS
            join a
            join b
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{t} c#3{t}]
                b: joined 2 by range as b#2 led by a#1 []
                c: joined 2 by range as c#3 led by a#1 []
            show
                CompletingRebalance 2 a#1*= b#2= c#3=
        "#]],
    );
}

#[test]
fn who_does_not_join_again_in_time_is_left_out() {
    check(
        "join a v0 session=100000 rebalance=5000
         join b v0 session=100000 rebalance=5000
         +6000
         sync a a=x b=y
         sync b
         join b topics=u session=100000 rebalance=5000
         +4999
         show
         +1
         sync a
         sync b b=z",
        &expect![[r#"
            join a v0 session=100000 rebalance=5000
            join b v0 session=100000 rebalance=5000
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join b topics=u session=100000 rebalance=5000
            +4999
            show
                PreparingRebalance 1 a#1*=x b#2=y
            +1
                b: joined 2 by range as b#2 led by b#2 [b#2{u}]
            sync a
                a: UNKNOWN_MEMBER_ID
            sync b b=z
                log: group=2[b#2=z]
                b: assigned "z"
        "#]],
    );
}

#[test]
fn who_does_not_sync_in_time_is_removed() {
    check(
        "join a v0 session=100000 rebalance=5000
         join b v0 session=100000 rebalance=5000
         +5000
         sync a a=x b=y
         +5000
         show
         beat a
         join a session=100000 rebalance=5000
         beat b",
        &expect![[r#"
            join a v0 session=100000 rebalance=5000
            join b v0 session=100000 rebalance=5000
            +5000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            +5000
            show
                PreparingRebalance 1 a#1*=x
            beat a
                a: REBALANCE_IN_PROGRESS
            join a session=100000 rebalance=5000
                a: joined 2 by range as a#1 led by a#1 [a#1{t}]
            beat b
                b: UNKNOWN_MEMBER_ID
        "#]],
    );
}

#[test]
fn sessions_are_kept_by_heartbeats_and_commits_and_end_without() {
    check(
        "join a v0
         join b v0
         +6000
         sync a a=x b=y
         sync b
         +9999
         beat a
         commit b t-0=7
         +9999
         beat a
         +1
         show
         beat b
         join a
         sync a a=z
         +10000
         show",
        &expect![[r#"
            join a v0
            join b v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            +9999
            beat a
                a: NONE
            commit b t-0=7
                log: t-0=7
                b: NONE
            +9999
            beat a
                a: NONE
            +1
            show
                PreparingRebalance 1 a#1*=x t-0:7""
            beat b
                b: UNKNOWN_MEMBER_ID
            join a
                a: joined 2 by range as a#1 led by a#1 [a#1{t}]
            sync a a=z
                log: group=2[a#1=z]
                a: assigned "z"
            +10000
                log: group=3[]
            show
                Empty 3 t-0:7""
        "#]],
    );
}

#[test]
fn a_member_that_waits_for_us_does_not_expire() {
    check(
        "join a v0 session=6000
         join b v0 session=20000
         +6000
         sync a a=x b=y
         sync b
         join a session=6000
         +10000
         join b session=20000
         sync b
         +15000
         show",
        &expect![[r#"
            join a v0 session=6000
            join b v0 session=20000
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join a session=6000
            +10000
            join b session=20000
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 2 by range as b#2 led by a#1 []
            sync b
            +15000
                b: REBALANCE_IN_PROGRESS
            show
                PreparingRebalance 2 b#2*=
        "#]],
    );
}

#[test]
fn a_pending_member_is_waited_for_until_its_session_ends() {
    check(
        "join a v0
         +3000
         sync a a=x
         join b
         show
         join a
         +9000
         beat a
         +1000
         show",
        &expect![[r#"
            join a v0
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            join b
                b: MEMBER_ID_REQUIRED "b#2"
            show
                Stable 1 a#1*=x
            join a
            +9000
            beat a
                a: REBALANCE_IN_PROGRESS
            +1000
                a: joined 2 by range as a#1 led by a#1 [a#1{t}]
            show
                CompletingRebalance 2 a#1*=x
        "#]],
    );
}

#[test]
fn members_leave_one_by_one_and_in_batches() {
    check(
        "join a v0
         join b v0
         join c v0
         +6000
         sync a a=x b=y c=z
         sync b
         sync c
         leave a
         join b
         leave c nobody
         sync b b=all
         leave b
         show
         leave b",
        &expect![[r#"
            join a v0
            join b v0
            join c v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t} c#3{t}]
                b: joined 1 by range as b#2 led by a#1 []
                c: joined 1 by range as c#3 led by a#1 []
            sync a a=x b=y c=z
                log: group=1[a#1=x b#2=y c#3=z]
                a: assigned "x"
            sync b
                b: assigned "y"
            sync c
                c: assigned "z"
            leave a
                leave: NONE
            join b
            leave c nobody
                b: joined 2 by range as b#2 led by b#2 [b#2{t}]
                leave: NONE UNKNOWN_MEMBER_ID
            sync b b=all
                log: group=2[b#2=all]
                b: assigned "all"
            leave b
                log: group=3[]
                leave: NONE
            show
                Empty 3
            leave b
                leave: UNKNOWN_MEMBER_ID
        "#]],
    );
}

#[test]
fn a_leave_while_a_join_waits_answers_the_join() {
    check(
        "join a v0
         leave nobody
         +3000
         sync a a=x
         join b v0
         leave a
         show",
        &expect![[r#"
            join a v0
            leave nobody
                leave: UNKNOWN_MEMBER_ID
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            join b v0
            leave a
                b: joined 2 by range as b#2 led by b#2 [b#2{t}]
                leave: NONE
            show
                CompletingRebalance 2 b#2*=
        "#]],
    );
}

#[test]
fn a_protocol_must_be_known_to_all_and_most_choose() {
    check(
        "join a v0 p=x:1,y:2
         join b v0 p=y:3,x:4
         join c v0 p=y:5,z:6
         join d v0 p=z:7
         join e v0 type=connect p=y:8
         join f v0 p=y:9,q:9
         +3000
         +3000
         sync a name=x
         sync a name=y a=1",
        &expect![[r#"
            join a v0 p=x:1,y:2
            join b v0 p=y:3,x:4
            join c v0 p=y:5,z:6
            join d v0 p=z:7
                d: INCONSISTENT_GROUP_PROTOCOL ""
            join e v0 type=connect p=y:8
                e: INCONSISTENT_GROUP_PROTOCOL ""
            join f v0 p=y:9,q:9
            +3000
            +3000
                a: joined 1 by y as a#1 led by a#1 [a#12 b#23 c#35 f#69]
                b: joined 1 by y as b#2 led by a#1 []
                c: joined 1 by y as c#3 led by a#1 []
                f: joined 1 by y as f#6 led by a#1 []
            sync a name=x
                a: INCONSISTENT_GROUP_PROTOCOL
            sync a name=y a=1
                log: group=1[a#1=1 b#2= c#3= f#6=]
                a: assigned "1"
        "#]],
    );
}

#[test]
fn bad_joins_are_refused() {
    check(
        "join a v0 session=5999
         join a v0 session=1800001
         join a id=stranger
         join b v0 type=
         join c v0
         join d id=stranger
         show
         +3000
         sync c gen=0
         sync stranger
         beat stranger
         beat c gen=0
         sync c c=x
         beat c i=nobody",
        &expect![[r#"
            join a v0 session=5999
                a: INVALID_SESSION_TIMEOUT ""
            join a v0 session=1800001
                a: INVALID_SESSION_TIMEOUT ""
            join a id=stranger
                a: UNKNOWN_MEMBER_ID "stranger"
            join b v0 type=
                b: INCONSISTENT_GROUP_PROTOCOL ""
            join c v0
            join d id=stranger
                d: UNKNOWN_MEMBER_ID "stranger"
            show
                PreparingRebalance 0 c#5*=
            +3000
                c: joined 1 by range as c#5 led by c#5 [c#5{t}]
            sync c gen=0
                c: ILLEGAL_GENERATION
            sync stranger
                stranger: UNKNOWN_MEMBER_ID
            beat stranger
                stranger: UNKNOWN_MEMBER_ID
            beat c gen=0
                c: ILLEGAL_GENERATION
            sync c c=x
                log: group=1[c#5=x]
                c: assigned "x"
            beat c i=nobody
                c: UNKNOWN_MEMBER_ID
        "#]],
    );
}

#[test]
fn a_full_group_takes_nobody_more() {
    let config = Config {
        group_members_max: 2,
        ..Config::default()
    };
    check_with(
        config,
        "join a v0
         join b v0
         join c v0
         +6000
         sync a a=x b=y
         sync b
         join c v0
         join b topics=u
         join a
         show",
        &expect![[r#"
            join a v0
            join b v0
            join c v0
                c: GROUP_MAX_SIZE_REACHED ""
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join c v0
                c: GROUP_MAX_SIZE_REACHED ""
            join b topics=u
            join a
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{u}]
                b: joined 2 by range as b#2 led by a#1 []
            show
                CompletingRebalance 2 a#1*=x b#2=y
        "#]],
    );
}

#[test]
fn too_much_metadata_is_refused() {
    let config = Config {
        member_metadata_bytes_max: 20,
        group_metadata_bytes_max: 30,
        ..Config::default()
    };
    check_with(
        config,
        "join a v0 p=x:0123456789012345678
         join b v0 p=x:01234567890123456789
         join c v0 p=x:0123456789
         +6000
         sync a a=0123456789012345678901234567890
         sync a a=x",
        &expect![[r#"
            join a v0 p=x:0123456789012345678
            join b v0 p=x:01234567890123456789
                b: INVALID_REQUEST ""
            join c v0 p=x:0123456789
                c: GROUP_MAX_SIZE_REACHED ""
            +6000
                a: joined 1 by x as a#1 led by a#1 [a#10123456789012345678]
            sync a a=0123456789012345678901234567890
                a: INVALID_REQUEST
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
        "#]],
    );
}

#[test]
fn a_repeated_request_takes_the_place_of_the_first() {
    check(
        "join a v0
         join b v0
         +6000
         sync b
         sync b
         sync a a=x b=y
         join a
         join a
         join b",
        &expect![[r#"
            join a v0
            join b v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            sync b
            sync b
                b: REBALANCE_IN_PROGRESS
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
                b: assigned "y"
            join a
            join a
                a: REBALANCE_IN_PROGRESS "a#1"
            join b
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 2 by range as b#2 led by a#1 []
        "#]],
    );
}

#[test]
fn the_assignment_counts_only_when_the_log_has_it() {
    check(
        "join a v0
         join b v0
         +6000
         hold
         sync b
         sync a a=x b=y
         show
         ack
         show
         join a
         join b
         sync a a=u b=v
         sync b
         fail NOT_ENOUGH_REPLICAS
         show
         join a
         join b
         sync a a=u b=v
         leave b
         ack
         show",
        &expect![[r#"
            join a v0
            join b v0
            +6000
                a: joined 1 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 1 by range as b#2 led by a#1 []
            hold
            sync b
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
            show
                CompletingRebalance 1 a#1*= b#2=
            ack
                a: assigned "x"
                b: assigned "y"
            show
                Stable 1 a#1*=x b#2=y
            join a
            join b
                a: joined 2 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 2 by range as b#2 led by a#1 []
            sync a a=u b=v
                log: group=2[a#1=u b#2=v]
            sync b
            fail NOT_ENOUGH_REPLICAS
                a: COORDINATOR_NOT_AVAILABLE
                b: COORDINATOR_NOT_AVAILABLE
            show
                PreparingRebalance 2 a#1*= b#2=
            join a
            join b
                a: joined 3 by range as a#1 led by a#1 [a#1{t} b#2{t}]
                b: joined 3 by range as b#2 led by a#1 []
            sync a a=u b=v
                log: group=3[a#1=u b#2=v]
            leave b
                a: REBALANCE_IN_PROGRESS
                leave: NONE
            ack
            show
                PreparingRebalance 3 a#1*=
        "#]],
    );
}
