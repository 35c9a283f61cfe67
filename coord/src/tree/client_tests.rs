//! What clients on the wire may ask of the tree, and what the tree costs.

use super::tests::World;
use super::*;
use crate::ErrorCode;
use CreateMode::Persistent;

#[test]
fn a_clients_requests_are_judged_by_the_lists_as_they_will_be() {
    let mut w = World::new();
    let bob = Caller::Client(std::sync::Arc::new(vec![Id::new("digest", "bob:x")]));
    let eve = Caller::Client(std::sync::Arc::new(vec![Id::new("ip", "10.0.0.1")]));
    let ask = |w: &mut World, caller: &Caller, ops| {
        let request = Request::Ops {
            session: 0,
            caller: caller.clone(),
            ops,
        };
        w.propose(&request).map_err(|e| (e.index, e.error.code()))
    };
    let only_bob = || vec![Acl::new(perms::ALL, "auth", "")];
    let create = |path: &str, acl| Op::create_with(path, "", Persistent, acl);
    // None of these is applied before the last was asked for.
    let made = ask(&mut w, &bob, vec![create("/a", only_bob())]).unwrap();
    let no = |index| Err((index, ErrorCode::NoAuth));
    assert_eq!(ask(&mut w, &eve, vec![Op::set("/a", "", None)]), no(0));
    let open = vec![Acl::new(perms::ALL, "world", "anyone")];
    let opened = ask(&mut w, &bob, vec![Op::set_acl("/a", open.clone(), Some(0))]).unwrap();
    let ops = vec![
        Op::set("/a", "hers", None),
        create("/a/b", vec![Acl::new(perms::READ, "world", "anyone")]),
        Op::check("/a/b", None),
        Op::set("/a/b", "", None),
    ];
    assert_eq!(ask(&mut w, &eve, ops), no(3));
    let set = ask(&mut w, &eve, vec![Op::set("/a", "hers", None)]).unwrap();
    let bad = ask(&mut w, &bob, vec![Op::set_acl("/a", open, Some(0))]);
    assert_eq!(bad, Err((0, ErrorCode::BadVersion)));
    let empty = ask(&mut w, &bob, vec![Op::set_acl("/a", vec![], None)]);
    assert_eq!(empty, Err((0, ErrorCode::InvalidAcl)));
    for txn in [made, opened, set] {
        w.commit(&txn);
    }
    let stat = w.tree.exists("/a").unwrap();
    assert_eq!((stat.version, stat.aversion), (1, 1));
    assert!(w.tree.acl("/a").unwrap().is_open());
    assert_eq!(
        w.tree.exists("/zookeeper/config").unwrap().aversion,
        -1,
        "as ZooKeeper has it"
    );
}

#[test]
fn a_version_never_becomes_the_one_that_means_any() {
    let mut w = World::new();
    let set = |version| Change::Set {
        path: "/a".into(),
        data: Bytes::new(),
        version,
    };
    w.create(0, "/a", Persistent).unwrap();
    let txn = Txn {
        zxid: w.zxid.next().unwrap(),
        time: 1,
        session: 0,
        origin: Origin::default(),
        body: TxnBody::Changes(vec![set(-2)]),
    };
    w.zxid = txn.zxid;
    w.commit(&txn);
    let Ok(OpResult::Set(stat)) = w.op(0, Op::set("/a", "", Some(-2))) else {
        panic!()
    };
    assert_eq!(stat.version, 0);
}

/// 1,000,000 znodes of 100 bytes, a thousand to a parent, in less than 400 MB.
#[test]
#[ignore = "takes a while and 300 MB"]
fn a_million_znodes_fit() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<usize>().unwrap() << 10
    };
    let before = resident();
    let mut tree = Tree::new();
    let mut zxid = Zxid::new(1, 0);
    let acl = || AclList::of(vec![Acl::new(perms::ALL, "digest", "user:hash")]);
    let mut create = |path: String, data: usize, parent_created| {
        zxid = zxid.next().unwrap();
        let change = Change::Create {
            path: path.into(),
            data: vec![7; data].into(),
            owner: 0,
            parent_created,
            acl: acl(),
        };
        tree.apply(&Txn {
            zxid,
            time: 1,
            session: 0,
            origin: Origin::default(),
            body: TxnBody::Changes(vec![change]),
        });
    };
    for parent in 0..1_000 {
        create(format!("/parent-{parent:04}"), 0, parent + 1);
        for child in 0..1_000 {
            create(
                format!("/parent-{parent:04}/child-{child:06}"),
                100,
                child + 1,
            );
        }
    }
    let held = resident() - before;
    assert_eq!(tree.node_count(), 1_001_004);
    println!("{held} bytes for {} znodes", tree.node_count());
    assert!(held < 400_000_000, "{held} bytes");
}

#[test]
fn the_lists_of_a_multi_count_as_they_will_be_stored() {
    let mut w = World::new();
    let name = |n: usize| Id::new("digest", format!("{n}{}:x", "u".repeat(1_000)));
    let many = Caller::Client(std::sync::Arc::new((0..60).map(name).collect()));
    let auth = || vec![Acl::new(perms::ALL, "auth", "")];
    let mut ask = |count: usize| {
        let create = |n| Op::create_with(format!("/n{count}-{n}"), "", Persistent, auth());
        let request = Request::Ops {
            session: 0,
            caller: many.clone(),
            ops: (0..count).map(create).collect(),
        };
        w.propose(&request).map_err(|e| e.error.code())
    };
    assert!(ask(500).is_ok());
    assert_eq!(ask(600).unwrap_err(), ErrorCode::BadArguments);
}
