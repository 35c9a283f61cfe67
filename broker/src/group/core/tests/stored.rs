//! Offsets and groups in the log: commits and restarts.

use expect_test::expect;

use super::script::{check, check_with};
use crate::group::core::Config;

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
