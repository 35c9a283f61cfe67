//! From generation to generation: who causes a rebalance, and how it goes.

use expect_test::expect;

use super::script::check;

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
