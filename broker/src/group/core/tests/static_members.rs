//! Static members (KIP-345, KIP-814): instances that keep their assignment over a restart.

use expect_test::expect;

use super::script::check;

const TWO: &str = "join a i=1
    join b i=2
    +6000
    sync a a=x b=y
    sync b
    ";

#[test]
fn a_restarted_instance_keeps_its_assignment_without_a_rebalance() {
    check(
        &format!(
            "{TWO} join b id=-
             sync b
             beat a
             show"
        ),
        &expect![[r#"
            join a i=1
            join b i=2
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join b id=-
                log: group=1[1#1=x 2#3=y]
                b: joined 1 by range as 2#3 led by 1#1 []
            sync b
                b: assigned "y"
            beat a
                a: NONE
            show
                Stable 1 1#1*=x 2#3=y
        "#]],
    );
}

#[test]
fn its_former_self_is_fenced() {
    check(
        &format!(
            "{TWO} join c i=2
             beat b
             sync b
             commit b t-0=1
             join b
             leave b
             beat c
             show"
        ),
        &expect![[r#"
            join a i=1
            join b i=2
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join c i=2
                log: group=1[1#1=x 2#3=y]
                c: joined 1 by range as 2#3 led by 1#1 []
            beat b
                b: FENCED_INSTANCE_ID
            sync b
                b: FENCED_INSTANCE_ID
            commit b t-0=1
                b: FENCED_INSTANCE_ID
            join b
                b: FENCED_INSTANCE_ID "2#2"
            leave b
                leave: FENCED_INSTANCE_ID
            beat c
                c: NONE
            show
                Stable 1 1#1*=x 2#3=y
        "#]],
    );
}

#[test]
fn a_restarted_leader_is_told_not_to_assign_or_who_led_before() {
    check(
        &format!(
            "{TWO} join a id=- v9
             sync a
             join a id=- v4
             sync a
             show"
        ),
        &expect![[r#"
            join a i=1
            join b i=2
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join a id=- v9
                log: group=1[1#3=x 2#2=y]
                a: joined 1 by range as 1#3 led by 1#3 skip [1#3{t} 2#2{t}]
            sync a
                a: assigned "x"
            join a id=- v4
                log: group=1[1#4=x 2#2=y]
                a: joined 1 by range as 1#4 led by 1#3 []
            sync a
                a: assigned "x"
            show
                Stable 1 1#4*=x 2#2=y
        "#]],
    );
}

#[test]
fn a_change_of_the_chosen_protocol_rebalances() {
    check(
        "join a i=1 p=x:1,y:1
         +3000
         sync a a=m
         join a id=- p=x:2,y:2
         show
         join a id=- p=y:2
         show",
        &expect![[r#"
            join a i=1 p=x:1,y:1
            +3000
                a: joined 1 by x as 1#1 led by 1#1 [1#11]
            sync a a=m
                log: group=1[1#1=m]
                a: assigned "m"
            join a id=- p=x:2,y:2
                log: group=1[1#2=m]
                a: joined 1 by x as 1#2 led by 1#1 []
            show
                Stable 1 1#2*=m
            join a id=- p=y:2
                a: joined 2 by y as 1#3 led by 1#3 [1#32]
            show
                CompletingRebalance 2 1#3*=m
        "#]],
    );
}

#[test]
fn replaced_during_a_rebalance_the_waiting_join_is_fenced() {
    check(
        &format!(
            "{TWO} join a
             join c i=1
             join b
             sync b
             join d i=2
             join c
             show"
        ),
        &expect![[r#"
            join a i=1
            join b i=2
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join a
            join c i=1
                a: FENCED_INSTANCE_ID "1#1"
            join b
                c: joined 2 by range as 1#4 led by 1#4 [1#4{t} 2#2{t}]
                b: joined 2 by range as 2#2 led by 1#4 []
            sync b
            join d i=2
                b: FENCED_INSTANCE_ID
            join c
                c: joined 3 by range as 1#4 led by 1#4 [1#4{t} 2#6{t}]
                d: joined 3 by range as 2#6 led by 1#4 []
            show
                CompletingRebalance 3 1#4*= 2#6=
        "#]],
    );
}

#[test]
fn a_failed_write_brings_the_former_self_back() {
    check(
        &format!(
            "{TWO} hold
             join c i=2
             beat b
             fail NOT_LEADER_OR_FOLLOWER
             beat b
             join c i=2
             leave a
             ack
             show"
        ),
        &expect![[r#"
            join a i=1
            join b i=2
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            hold
            join c i=2
                log: group=1[1#1=x 2#3=y]
            beat b
                b: FENCED_INSTANCE_ID
            fail NOT_LEADER_OR_FOLLOWER
                c: NOT_COORDINATOR ""
            beat b
                b: NONE
            join c i=2
                log: group=1[1#1=x 2#4=y]
            leave a
                c: joined 2 by range as 2#4 led by 2#4 [2#4{t}]
                leave: NONE
            ack
            show
                CompletingRebalance 2 2#4*=y
        "#]],
    );
}

#[test]
fn an_absent_instance_is_waited_for_until_its_session_ends() {
    check(
        "join a i=1 rebalance=4000
         join b i=2 rebalance=4000 session=20000
         +6000
         sync a a=x b=y
         sync b
         join a topics=u rebalance=4000
         +4000
         sync a a=z
         beat b
         +4000
         show",
        &expect![[r#"
            join a i=1 rebalance=4000
            join b i=2 rebalance=4000 session=20000
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join a topics=u rebalance=4000
            +4000
                a: joined 2 by range as 1#1 led by 1#1 [1#1{u} 2#2{t}]
            sync a a=z
                log: group=2[1#1=z 2#2=]
                a: assigned "z"
            beat b
                b: ILLEGAL_GENERATION
            +4000
            show
                PreparingRebalance 2 1#1*=z
        "#]],
    );
}

#[test]
fn an_administrator_removes_an_instance_by_its_name() {
    check(
        &format!(
            "{TWO} leave i=2 i=3
             beat b
             join a
             show"
        ),
        &expect![[r#"
            join a i=1
            join b i=2
            +6000
                a: joined 1 by range as 1#1 led by 1#1 [1#1{t} 2#2{t}]
                b: joined 1 by range as 2#2 led by 1#1 []
            sync a a=x b=y
                log: group=1[1#1=x 2#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            leave i=2 i=3
                leave: NONE UNKNOWN_MEMBER_ID
            beat b
                b: UNKNOWN_MEMBER_ID
            join a
                a: joined 2 by range as 1#1 led by 1#1 [1#1{t}]
            show
                CompletingRebalance 2 1#1*=x
        "#]],
    );
}

#[test]
fn an_instance_nobody_knows_has_no_member() {
    check(
        "join a v0\n+3000\nsync a a=x\nbeat a i=9\njoin b i=9 id=stranger",
        &expect![[r#"
            join a v0
            +3000
                a: joined 1 by range as a#1 led by a#1 [a#1{t}]
            sync a a=x
                log: group=1[a#1=x]
                a: assigned "x"
            beat a i=9
                a: UNKNOWN_MEMBER_ID
            join b i=9 id=stranger
                b: UNKNOWN_MEMBER_ID "stranger"
        "#]],
    );
}
