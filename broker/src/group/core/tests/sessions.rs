//! Who is late, silent or leaves.

use expect_test::expect;

use super::script::check;

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
