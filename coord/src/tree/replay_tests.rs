//! Properties of replay: over any earlier or torn-by-time state, the log ends in the live tree.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::node::Kind;
use super::path::split;
use super::tests::World;
use super::*;

/// One step of a history: a request, some commits of what is proposed, or a piece of the snapshot under way.
#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    Commit(usize),
    Snap(usize),
    Pass(i64),
}

fn path() -> impl Strategy<Value = String> {
    // Few names and three levels, so that requests meet.
    let name = prop::sample::select(vec!["/a", "/b", "/c", "/d"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.concat())
}

/// Znodes whose coming and going switches counting on and off.
fn quota_path() -> impl Strategy<Value = String> {
    let below = |path: &str| format!("/zookeeper/quota{path}");
    prop::sample::select(vec![
        below("/a"),
        below("/a/zookeeper_limits"),
        below("/a/zookeeper_stats"),
        below("/a/b"),
        below("/a/b/zookeeper_limits"),
    ])
}

fn acl() -> impl Strategy<Value = Vec<Acl>> {
    let line = |id: &'static str| Acl::new(perms::READ, "digest", id);
    prop::sample::select(vec![
        vec![Acl::new(perms::ALL, "world", "anyone")],
        vec![line("a:x")],
        vec![line("a:x"), line("b:y")],
    ])
}

fn mode() -> impl Strategy<Value = CreateMode> {
    prop_oneof![
        4 => Just(CreateMode::Persistent),
        2 => Just(CreateMode::Ephemeral),
        1 => Just(CreateMode::PersistentSequential),
        1 => Just(CreateMode::EphemeralSequential),
        1 => Just(CreateMode::Container),
        1 => Just(CreateMode::PersistentWithTtl(3)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let version = || prop_oneof![3 => Just(None), 1 => (0..3).prop_map(Some)];
    prop_oneof![
        5 => (path(), mode(), 0_usize..9).prop_map(|(p, m, n)| Op::create(p, vec![n as u8; n], m)),
        3 => (path(), version()).prop_map(|(p, v)| Op::delete(p, v)),
        3 => (path(), version(), 0_usize..9).prop_map(|(p, v, n)| Op::set(p, vec![n as u8; n], v)),
        1 => (path(), version()).prop_map(|(p, v)| Op::check(p, v)),
        1 => path().prop_map(|path| Op::Expire { path }),
        1 => (path(), mode(), acl()).prop_map(|(p, m, acl)| Op::create_with(p, "acl", m, acl)),
        1 => (path(), acl(), version()).prop_map(|(p, acl, v)| Op::set_acl(p, acl, v)),
        2 => quota_path().prop_map(|p| Op::create(p, "count=9", CreateMode::Persistent)),
        1 => quota_path().prop_map(|p| Op::delete(p, None)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let open = |id| Request::OpenSession {
        id,
        record: SessionRecord::of_client(1, Password::default()),
    };
    prop_oneof![
        8 => (0_i64..4, prop::collection::vec(op(), 1..4)).prop_map(|(session, ops)| Step::Ask(Request::internal(session, ops))),
        1 => (1_i64..4).prop_map(move |id| Step::Ask(open(id))),
        1 => (1_i64..4).prop_map(|id| Step::Ask(Request::CloseSessions { ids: vec![id] })),
        4 => (1_usize..5).prop_map(Step::Commit),
        3 => (1_usize..4).prop_map(Step::Snap),
        1 => (1_i64..5).prop_map(Step::Pass),
    ]
}

struct History {
    tree: Tree,
    log: Vec<Txn>,
    /// Where the snapshot began, what it holds.
    snapshot: (Zxid, Vec<(i64, SessionRecord)>, Vec<NodeRecord>),
}

fn run(steps: Vec<Step>, snap_after: usize) -> History {
    let mut world = World::new();
    let mut proposed = std::collections::VecDeque::new();
    let mut log = Vec::new();
    let mut snapshot = (Zxid::ZERO, Vec::new(), Vec::new());
    let mut cursor: Option<Option<String>> = None;
    let mut snap = |tree: &Tree, pieces: usize, snapshot: &mut (Zxid, Vec<_>, Vec<_>)| {
        if cursor.is_none() {
            snapshot.0 = tree.applied();
            snapshot.1 = tree.sessions().collect();
            cursor = Some(None);
        } else if cursor == Some(Some(String::new())) {
            return;
        }
        let mut left = pieces;
        let after = cursor.clone().flatten();
        let next = tree.walk(after.as_deref(), &mut |record| {
            snapshot.2.push(record);
            left = left.saturating_sub(1);
            left > 0
        });
        cursor = Some(Some(next.unwrap_or_default()));
    };
    for (i, step) in steps.into_iter().enumerate() {
        match step {
            Step::Ask(request) => {
                if let Ok(txn) = world.propose(&request) {
                    proposed.push_back(txn);
                }
            }
            Step::Commit(n) => {
                for _ in 0..n {
                    if let Some(txn) = proposed.pop_front() {
                        world.commit(&txn);
                        log.push(txn);
                    }
                }
            }
            Step::Snap(n) if i >= snap_after => snap(&world.tree, n, &mut snapshot),
            Step::Snap(_) => {}
            Step::Pass(ms) => world.now += ms,
        }
    }
    for txn in proposed {
        world.commit(&txn);
        log.push(txn);
    }
    for _ in 0..2 {
        snap(&world.tree, usize::MAX, &mut snapshot);
    }
    History {
        tree: world.tree,
        log,
        snapshot,
    }
}

/// What a tree keeps count of must be what is in it, and its digest that of a tree built from the same parts.
fn check_counts(tree: &Tree) -> Result<(), TestCaseError> {
    let (mut nodes, mut bytes, mut paths, mut ephemerals) = (0, 0, 0, 0);
    let mut built = Tree::bare();
    for (id, record) in tree.sessions() {
        built.restore_session(id, record);
    }
    tree.walk(None, &mut |record| {
        nodes += 1;
        bytes += record.data.len();
        paths += record.path.len();
        ephemerals += usize::from(matches!(Kind::of_owner(record.owner), Kind::Ephemeral(_)));
        built.restore(record).expect("has its place");
        true
    });
    prop_assert_eq!((tree.node_count(), tree.data_bytes()), (nodes, bytes));
    prop_assert_eq!(
        (tree.path_bytes(), tree.ephemeral_count()),
        (paths, ephemerals)
    );
    built.restored_to(tree.applied());
    prop_assert_eq!(built.digest(), tree.digest());
    prop_assert_eq!(&built, tree);
    for top in ["/a", "/a/b"] {
        let Ok((text, stat)) = tree.get(&format!("/zookeeper/quota{top}/zookeeper_stats")) else {
            continue;
        };
        prop_assert_eq!(stat.data_length as usize, text.len());
        let has_limits = tree.exists(&format!("/zookeeper/quota{top}/zookeeper_limits"));
        if has_limits.is_some() {
            let counts = tree.counts(top);
            let expected = format!("count={},bytes={}", counts.znodes, counts.bytes);
            prop_assert_eq!(text, expected);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_log_replayed_over_a_fuzzy_snapshot_ends_in_the_live_tree(
        steps in prop::collection::vec(step(), 1..120),
        snap_after in 0_usize..100,
    ) {
        let history = run(steps, snap_after);
        let (start, sessions, nodes) = history.snapshot;
        let mut tree = Tree::bare();
        for (id, record) in sessions {
            tree.restore_session(id, record);
        }
        for record in nodes {
            prop_assert_eq!(tree.restore(record), Ok(()));
        }
        tree.restored_to(start);
        for txn in history.log.iter().filter(|txn| txn.zxid > start) {
            tree.apply(txn);
        }
        prop_assert_eq!(&tree, &history.tree);
        check_counts(&tree)?;
    }

    #[test]
    fn any_prefix_of_the_log_may_be_applied_twice(
        steps in prop::collection::vec(step(), 1..100),
        part in 0.0_f64..1.0,
    ) {
        let history = run(steps, usize::MAX);
        let prefix = (history.log.len() as f64 * part) as usize;
        let mut tree = Tree::new();
        for txn in history.log[..prefix].iter().chain(&history.log) {
            tree.apply(txn);
        }
        prop_assert_eq!(&tree, &history.tree);
        check_counts(&tree)?;
    }

    #[test]
    fn every_proposal_that_was_accepted_applies(steps in prop::collection::vec(step(), 1..100)) {
        // What `prepare` promised against the proposals must hold when they are applied: no change finds its znode
        // missing, and none its place taken.
        let history = run(steps, usize::MAX);
        let mut tree = Tree::new();
        for txn in &history.log {
            if let TxnBody::Changes(changes) = &txn.body {
                let mut before = tree.clone();
                for change in changes {
                    match change {
                        Change::Create { path, .. } => {
                            prop_assert!(before.exists(path).is_none());
                            prop_assert!(before.exists(split(path).0).is_some());
                        }
                        Change::Delete { path } => {
                            prop_assert_eq!(before.exists(path).map(|s| s.num_children), Some(0));
                        }
                        Change::Set { path, version, .. } => {
                            prop_assert_eq!(before.exists(path).map(|s| s.version + 1), Some(*version));
                        }
                        Change::SetAcl { path, version, .. } => {
                            prop_assert_eq!(before.exists(path).map(|s| s.aversion + 1), Some(*version));
                        }
                        Change::Check => {}
                    }
                    let single = Txn { body: TxnBody::Changes(vec![change.clone()]), ..txn.clone() };
                    before.apply(&single);
                }
            }
            tree.apply(txn);
        }
        prop_assert_eq!(&tree, &history.tree);
    }
}
