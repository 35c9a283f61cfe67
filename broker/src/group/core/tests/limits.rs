//! Who is not let in.

use expect_test::expect;

use super::script::{check, check_with};
use crate::group::core::Config;

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
fn a_member_that_outgrows_its_group_is_out_and_the_others_go_on() {
    let config = Config {
        member_metadata_bytes_max: 40,
        group_metadata_bytes_max: 30,
        ..Config::default()
    };
    check_with(
        config,
        "join a v0 p=x:0123456789
         join b v0 p=x:0123456789
         +6000
         sync a a=x b=y
         sync b
         join a p=x:01234567890123456789
         beat b
         join c v0 p=x:0123456789
         join b p=x:0123456789
         sync c
         join b p=x:01234567890123456789
         join c p=x:0123456789
         sync c c=z
         join c p=x:012345678901234567890123456789
         show",
        &expect![[r#"
            join a v0 p=x:0123456789
            join b v0 p=x:0123456789
            +6000
                a: joined 1 by x as a#1 led by a#1 [a#10123456789 b#20123456789]
                b: joined 1 by x as b#2 led by a#1 []
            sync a a=x b=y
                log: group=1[a#1=x b#2=y]
                a: assigned "x"
            sync b
                b: assigned "y"
            join a p=x:01234567890123456789
                a: GROUP_MAX_SIZE_REACHED ""
            beat b
                b: REBALANCE_IN_PROGRESS
            join c v0 p=x:0123456789
            join b p=x:0123456789
                b: joined 2 by x as b#2 led by b#2 [b#20123456789 c#40123456789]
                c: joined 2 by x as c#4 led by b#2 []
            sync c
            join b p=x:01234567890123456789
                b: GROUP_MAX_SIZE_REACHED ""
                c: REBALANCE_IN_PROGRESS
            join c p=x:0123456789
                c: joined 3 by x as c#4 led by c#4 [c#40123456789]
            sync c c=z
                log: group=3[c#4=z]
                c: assigned "z"
            join c p=x:012345678901234567890123456789
                c: GROUP_MAX_SIZE_REACHED ""
                log: group=4[]
            show
                Empty 4
        "#]],
    );
}
