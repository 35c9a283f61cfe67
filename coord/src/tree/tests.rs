//! The tree's behaviour beside ZooKeeper's, request by request.

use super::node::Kind;
use super::*;
use crate::{ErrorCode, MultiError};
use CreateMode::{
    Container, Ephemeral, EphemeralSequential, Persistent, PersistentSequential, PersistentWithTtl,
};

/// A tree to which every request is applied at once, unless it is held back.
pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) prep: Preparer,
    pub(super) zxid: Zxid,
    pub(super) now: i64,
}

impl World {
    pub(super) fn new() -> World {
        World {
            tree: Tree::new(),
            prep: Preparer::default(),
            zxid: Zxid::new(1, 0),
            now: 1_000,
        }
    }

    pub(super) fn propose(&mut self, request: &Request) -> Result<Txn, MultiError> {
        let next = self.zxid.next().unwrap();
        let txn = self.prep.prepare(&self.tree, request, next, self.now)?;
        self.zxid = next;
        Ok(txn)
    }

    pub(super) fn commit(&mut self, txn: &Txn) -> Applied {
        let applied = self.tree.apply(txn);
        self.prep.applied(txn.zxid);
        applied
    }

    fn multi(&mut self, session: i64, ops: Vec<Op>) -> Result<Applied, MultiError> {
        let txn = self.propose(&Request::internal(session, ops))?;
        Ok(self.commit(&txn))
    }

    pub(super) fn op(&mut self, session: i64, op: Op) -> Result<OpResult, ErrorCode> {
        let applied = self.multi(session, vec![op]).map_err(|e| e.error.code())?;
        Ok(applied.results.into_iter().next().unwrap())
    }

    pub(super) fn create(
        &mut self,
        session: i64,
        path: &str,
        mode: CreateMode,
    ) -> Result<String, ErrorCode> {
        match self.op(session, Op::create(path, "data", mode))? {
            OpResult::Created(created) => Ok(created.path),
            other => panic!("{other:?}"),
        }
    }

    fn open(&mut self, id: i64) {
        let txn = self
            .propose(&Request::OpenSession {
                id,
                record: SessionRecord::of_client(10_000, Password::default()),
            })
            .unwrap();
        self.commit(&txn);
    }

    fn close(&mut self, id: i64) -> Applied {
        let txn = self
            .propose(&Request::CloseSessions { ids: vec![id] })
            .unwrap();
        self.commit(&txn)
    }
}

#[test]
fn a_fresh_tree_is_zookeepers() {
    let tree = Tree::new();
    assert_eq!(tree.children("/").unwrap(), ["zookeeper"]);
    assert_eq!(tree.children("/zookeeper").unwrap(), ["config", "quota"]);
    assert_eq!(tree.exists("/").unwrap().cversion, -1);
    assert_eq!(tree.exists("/zookeeper").unwrap().cversion, -2);
    assert_eq!(tree.node_count(), 4);
}

#[test]
fn a_stat_counts_as_zookeepers_does() {
    let mut w = World::new();
    w.create(0, "/a", Persistent).unwrap();
    let born = w.zxid;
    w.now += 5;
    w.create(0, "/a/b", Persistent).unwrap();
    w.create(0, "/a/c", Persistent).unwrap();
    w.op(0, Op::delete("/a/b", None)).unwrap();
    let child_change = w.zxid;
    w.op(0, Op::set("/a", "longer data", Some(0))).unwrap();
    let stat = w.tree.exists("/a").unwrap();
    let expected = Stat {
        czxid: born,
        mzxid: w.zxid,
        ctime: 1_000,
        mtime: 1_005,
        version: 1,
        cversion: 3,
        aversion: 0,
        ephemeral_owner: 0,
        data_length: 11,
        num_children: 1,
        pzxid: child_change,
    };
    assert_eq!(stat, expected);
    assert_eq!(
        w.tree.get("/a").unwrap(),
        (Bytes::from_static(b"longer data"), expected)
    );
    assert_eq!(w.tree.data_bytes(), 11 + 4);
}

#[test]
fn refusals_have_zookeepers_numbers() {
    let mut w = World::new();
    w.open(7);
    w.create(0, "/a", Persistent).unwrap();
    w.create(0, "/a/b", Persistent).unwrap();
    w.create(7, "/e", Ephemeral).unwrap();
    let table = [
        (Op::create("/a", "", Persistent), ErrorCode::NodeExists),
        (Op::create("/", "", Persistent), ErrorCode::NodeExists),
        (Op::create("/x/y", "", Persistent), ErrorCode::NoNode),
        (
            Op::create("/e/y", "", Persistent),
            ErrorCode::NoChildrenForEphemerals,
        ),
        (
            Op::create("/e/y", "", EphemeralSequential),
            ErrorCode::NoChildrenForEphemerals,
        ),
        (Op::create("x", "", Persistent), ErrorCode::BadArguments),
        (Op::create("/x/", "", Persistent), ErrorCode::BadArguments),
        (
            Op::create("/x", "", PersistentWithTtl(0)),
            ErrorCode::BadArguments,
        ),
        (
            Op::create("/x", "", PersistentWithTtl(1 << 40)),
            ErrorCode::BadArguments,
        ),
        (
            Op::create("/x", vec![0; limits::DATA_BYTES_MAX + 1], Persistent),
            ErrorCode::BadArguments,
        ),
        (Op::delete("/x", None), ErrorCode::NoNode),
        (Op::delete("/a", Some(1)), ErrorCode::BadVersion),
        (Op::delete("/a", None), ErrorCode::NotEmpty),
        (Op::delete("/", None), ErrorCode::BadArguments),
        (
            Op::delete("/zookeeper/quota", None),
            ErrorCode::BadArguments,
        ),
        (Op::set("/x", "", None), ErrorCode::NoNode),
        (Op::set("/a", "", Some(4)), ErrorCode::BadVersion),
        (Op::check("/x", None), ErrorCode::NoNode),
        (Op::check("/a", Some(1)), ErrorCode::BadVersion),
        (
            Op::Expire {
                path: "/a/b".into(),
            },
            ErrorCode::BadVersion,
        ),
        (Op::Expire { path: "/a".into() }, ErrorCode::NotEmpty),
    ];
    for (op, expected) in table {
        let before = (w.tree.clone(), w.zxid);
        assert_eq!(w.op(7, op.clone()), Err(expected), "{op:?}");
        assert_eq!(
            (&w.tree, w.zxid),
            (&before.0, before.1),
            "{op:?} left a trace"
        );
    }
    assert_eq!(
        w.create(99, "/z", Persistent),
        Err(ErrorCode::SessionExpired)
    );
    assert_eq!(w.create(0, "/z", Ephemeral), Err(ErrorCode::BadArguments));
    assert_eq!(
        w.op(0, Op::set("/", "root's data", Some(0))).map(|_| ()),
        Ok(())
    );
}

#[test]
fn numbers_count_the_children_ever_created() {
    let mut w = World::new();
    w.create(0, "/q", Persistent).unwrap();
    assert_eq!(
        w.create(0, "/q/n-", PersistentSequential).unwrap(),
        "/q/n-0000000000"
    );
    assert_eq!(w.create(0, "/q/plain", Persistent).unwrap(), "/q/plain");
    w.op(0, Op::delete("/q/n-0000000000", None)).unwrap();
    assert_eq!(
        w.create(0, "/q/", PersistentSequential).unwrap(),
        "/q/0000000002"
    );
    // Held back, they still go on counting.
    let ops = || vec![Op::create("/q/n-", "", PersistentSequential)];
    let first = w.propose(&Request::internal(0, ops())).unwrap();
    let second = w.propose(&Request::internal(0, ops())).unwrap();
    w.commit(&first);
    w.commit(&second);
    assert_eq!(
        w.tree.children("/q").unwrap(),
        ["0000000002", "n-0000000003", "n-0000000004", "plain"]
    );
}

#[test]
fn a_multi_is_all_or_nothing_and_sees_itself() {
    let mut w = World::new();
    let ops = vec![
        Op::create("/m", "1", Persistent),
        Op::create("/m/c", "2", Persistent),
        Op::check("/m", Some(0)),
        Op::set("/m", "3", Some(0)),
        Op::check("/m", Some(1)),
        Op::delete("/m/c", Some(0)),
    ];
    let applied = w.multi(0, ops).unwrap();
    assert_eq!(applied.results.len(), 6);
    assert_eq!(applied.results[5], OpResult::Deleted);
    assert_eq!(w.tree.get("/m").unwrap().0, "3");

    let before = w.tree.clone();
    let ops = vec![
        Op::create("/n", "", Persistent),
        Op::delete("/m", None),
        Op::set("/m", "", None),
        Op::create("/o", "", Persistent),
    ];
    let error = w.multi(0, ops).unwrap_err();
    assert_eq!(error.index, 2);
    assert_eq!(
        error.codes(4),
        [
            ErrorCode::Ok,
            ErrorCode::Ok,
            ErrorCode::NoNode,
            ErrorCode::RuntimeInconsistency
        ]
    );
    assert_eq!(w.tree, before);
    w.create(0, "/n", Persistent)
        .expect("what a failed multi drafted is forgotten");
    assert!(w.multi(0, Vec::new()).unwrap().results.is_empty());
    let many = vec![Op::check("/", None); limits::MULTI_OPS_MAX + 1];
    assert_eq!(
        w.multi(0, many).unwrap_err().error.code(),
        ErrorCode::BadArguments
    );
}

#[test]
fn requests_are_judged_against_what_is_proposed() {
    let mut w = World::new();
    let ops = |op| Request::internal(0, vec![op]);
    let create = w.propose(&ops(Op::create("/a", "", Persistent))).unwrap();
    assert_eq!(
        w.propose(&ops(Op::create("/a", "", Persistent)))
            .unwrap_err()
            .error
            .code(),
        ErrorCode::NodeExists
    );
    let set = w.propose(&ops(Op::set("/a", "x", Some(0)))).unwrap();
    assert_eq!(
        w.propose(&ops(Op::set("/a", "y", Some(0))))
            .unwrap_err()
            .error
            .code(),
        ErrorCode::BadVersion
    );
    let delete = w.propose(&ops(Op::delete("/a", Some(1)))).unwrap();
    assert_eq!(
        w.propose(&ops(Op::check("/a", None)))
            .unwrap_err()
            .error
            .code(),
        ErrorCode::NoNode
    );
    for txn in [create, set, delete] {
        w.commit(&txn);
    }
    assert!(w.tree.exists("/a").is_none());

    w.propose(&ops(Op::create("/b", "", Persistent))).unwrap();
    w.prep.discard();
    assert_eq!(
        w.propose(&ops(Op::check("/b", None)))
            .unwrap_err()
            .error
            .code(),
        ErrorCode::NoNode
    );
}

#[test]
fn ephemerals_end_with_their_session_even_while_proposed() {
    let mut w = World::new();
    w.open(7);
    w.open(8);
    w.create(7, "/e1", Ephemeral).unwrap();
    w.create(7, "/gone", Ephemeral).unwrap();
    w.create(8, "/other", Ephemeral).unwrap();
    let delete = w
        .propose(&Request::internal(8, vec![Op::delete("/gone", None)]))
        .unwrap();
    let create = w
        .propose(&Request::internal(
            7,
            vec![Op::create("/e2", "", Ephemeral)],
        ))
        .unwrap();
    let close = w
        .propose(&Request::CloseSessions {
            ids: vec![7, 7, 99],
        })
        .unwrap();
    let late = Request::internal(7, vec![Op::create("/e3", "", Ephemeral)]);
    assert_eq!(
        w.propose(&late).unwrap_err().error.code(),
        ErrorCode::SessionExpired
    );
    let TxnBody::CloseSessions(closed) = &close.body else {
        panic!()
    };
    assert_eq!(
        *closed,
        [ClosedSession {
            id: 7,
            paths: vec!["/e1".into(), "/e2".into()]
        }]
    );
    for txn in [delete, create, close] {
        w.commit(&txn);
    }
    assert_eq!(w.tree.children("/").unwrap(), ["other", "zookeeper"]);
    assert_eq!(w.tree.exists("/other").unwrap().ephemeral_owner, 8);
    assert!(w.tree.session(7).is_none());
    assert_eq!(w.tree.ephemerals(7).count(), 0);
    assert_eq!(w.tree.ephemerals(8).collect::<Vec<_>>(), ["/other"]);
    let events = w.close(8).events;
    assert_eq!(
        events[0],
        Event {
            kind: EventKind::Deleted,
            path: "/other".into(),
            acl: AclList::OPEN,
        }
    );
}

#[test]
fn containers_and_ttl_znodes_are_swept_when_their_time_has_come() {
    let mut w = World::new();
    w.create(0, "/never", Container).unwrap();
    w.create(0, "/once", Container).unwrap();
    w.create(0, "/once/child", Persistent).unwrap();
    w.create(0, "/ttl", PersistentWithTtl(100)).unwrap();
    w.create(0, "/parent", PersistentWithTtl(100)).unwrap();
    w.create(0, "/parent/child", Persistent).unwrap();
    assert_eq!(w.tree.exists("/ttl").unwrap().ephemeral_owner, 0);
    assert!(w.tree.sweep(w.now, 10).is_empty());
    w.op(0, Op::delete("/once/child", None)).unwrap();
    w.now += 100;
    assert_eq!(
        w.tree.sweep(w.now, 10),
        [Op::Expire {
            path: "/once".into()
        }]
    );
    w.now += 1;
    let swept = w.tree.sweep(w.now, 10);
    assert_eq!(
        swept,
        [
            Op::Expire {
                path: "/once".into()
            },
            Op::Expire {
                path: "/ttl".into()
            }
        ]
    );
    assert_eq!(w.tree.sweep(w.now, 1).len(), 1);
    w.op(0, Op::set("/ttl", "changed", None)).unwrap();
    assert_eq!(
        w.op(0, swept[1].clone()),
        Err(ErrorCode::BadVersion),
        "its data was set meanwhile"
    );
    w.create(0, "/once/late", Persistent).unwrap();
    assert_eq!(
        w.op(0, swept[0].clone()),
        Err(ErrorCode::NotEmpty),
        "a child came meanwhile"
    );
    w.op(0, Op::delete("/once/late", None)).unwrap();
    assert_eq!(w.op(0, swept[0].clone()), Ok(OpResult::Deleted));
    assert!(w.tree.sweep(w.now, 10).is_empty());
}

#[test]
fn watches_fire_as_zookeepers_do() {
    use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
    let mut watches = Watches::default();
    let all = |w: &mut Watches, kind, path| w.fire(kind, path);
    watches.add("/a", 1, DATA);
    watches.add("/a", 2, CHILDREN);
    watches.add("/a", 3, PERSISTENT);
    watches.add("/a", 4, RECURSIVE);
    watches.add("/", 5, RECURSIVE);
    watches.add("/a", 6, DATA | CHILDREN);
    assert_eq!(all(&mut watches, DataChanged, "/a"), [1, 3, 4, 5, 6]);
    assert_eq!(
        all(&mut watches, DataChanged, "/a"),
        [3, 4, 5],
        "one-shot watches are spent"
    );
    assert_eq!(
        all(&mut watches, ChildrenChanged, "/a"),
        [2, 3, 6],
        "recursive ones hear nothing of children"
    );
    assert_eq!(all(&mut watches, Created, "/a/b"), [4, 5]);
    assert_eq!(
        all(&mut watches, DataChanged, "/ab"),
        [5],
        "a name's prefix is no ancestor"
    );
    watches.add("/a", 2, CHILDREN);
    watches.add("/a", 6, DATA | CHILDREN);
    assert_eq!(all(&mut watches, Deleted, "/a"), [2, 3, 4, 5, 6]);
    assert_eq!(all(&mut watches, Created, "/a"), [3, 4, 5]);
    assert!(watches.remove("/a", 3, PERSISTENT));
    assert!(!watches.remove("/a", 3, PERSISTENT));
    watches.remove_watcher(4);
    watches.remove_watcher(5);
    assert!(all(&mut watches, Created, "/a").is_empty());
    assert_eq!(watches, Watches::default());
}

#[test]
fn a_changes_events_come_in_order() {
    let mut w = World::new();
    let applied = w
        .multi(
            0,
            vec![
                Op::create("/a", "", Persistent),
                Op::set("/a", "1", None),
                Op::delete("/a", None),
            ],
        )
        .unwrap();
    let events: Vec<_> = applied
        .events
        .iter()
        .map(|e| (e.kind, e.path.as_ref()))
        .collect();
    assert_eq!(
        events,
        [
            (EventKind::Created, "/a"),
            (EventKind::ChildrenChanged, "/"),
            (EventKind::DataChanged, "/a"),
            (EventKind::Deleted, "/a"),
            (EventKind::ChildrenChanged, "/"),
        ]
    );
}

#[test]
fn kinds_survive_their_encoding() {
    for kind in [
        Kind::Persistent,
        Kind::Ephemeral(1),
        Kind::Ephemeral(0x7e << 56),
        Kind::Container,
    ]
    .into_iter()
    .chain([Kind::Ttl(1), Kind::Ttl(limits::TTL_MS_MAX)])
    {
        assert_eq!(Kind::of_owner(kind.to_owner()), kind);
    }
    for flags in 0..7 {
        assert_eq!(CreateMode::of_flags(flags, 5).unwrap().flags().0, flags);
    }
    assert_eq!(CreateMode::of_flags(7, 0), None);
}
