//! The znodes as ZooKeeper's files tell of them. A log is replayed over a fuzzy snapshot as ZooKeeper does it: what is
//! there already stays, what is gone already is passed over.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::tree::{AclList, NodeRecord};
use crate::{Acl, Zxid};

/// What every tree has.
const ALWAYS: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// One znode, in the terms of ZooKeeper's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) data: Bytes,
    pub(super) acl: Vec<Acl>,
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    /// In the files it counts the children ever created.
    pub(super) cversion: i32,
    pub(super) aversion: i32,
    pub(super) owner: i64,
    pub(super) pzxid: i64,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<String, Node>,
    ephemerals: BTreeMap<i64, BTreeSet<String>>,
    pub(super) zxid: Zxid,
}

/// Containers and TTL znodes have owners that are no sessions.
fn is_session(owner: i64) -> bool {
    owner != 0 && owner != i64::MIN && (owner as u64) >> 56 != 0xff
}

fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

impl State {
    /// Before the first transaction.
    pub(super) fn new() -> State {
        let mut state = State::default();
        for path in ALWAYS {
            state.insert(path.to_owned(), Node::default());
        }
        state
    }

    /// A znode of a snapshot.
    pub(super) fn insert(&mut self, path: String, node: Node) {
        if is_session(node.owner) {
            self.ephemerals
                .entry(node.owner)
                .or_default()
                .insert(path.clone());
        }
        self.nodes.insert(path, node);
    }

    /// `children` is how many children the parent has ever had, or -1 where the transaction does not say.
    pub(super) fn create(&mut self, path: String, node: Node, children: i32) {
        let Some(above) = parent(&path).and_then(|above| self.nodes.get_mut(above)) else {
            return;
        };
        let children = if children == -1 {
            above.cversion + 1
        } else {
            children
        };
        if children > above.cversion {
            above.cversion = children;
            above.pzxid = node.czxid;
        }
        if !self.nodes.contains_key(&path) {
            self.insert(path, node);
        }
    }

    pub(super) fn delete(&mut self, path: &str, zxid: i64) {
        let Some(node) = self.nodes.remove(path) else {
            return;
        };
        if let Some(paths) = self.ephemerals.get_mut(&node.owner) {
            paths.remove(path);
        }
        if let Some(above) = parent(path).and_then(|above| self.nodes.get_mut(above)) {
            above.pzxid = above.pzxid.max(zxid);
        }
    }

    pub(super) fn close_session(&mut self, session: i64, zxid: i64) {
        for path in self.ephemerals.remove(&session).unwrap_or_default() {
            self.delete(&path, zxid);
        }
    }

    /// Takes the ephemeral znodes away that are left, and says how many they were.
    pub(super) fn drop_ephemerals(&mut self) -> usize {
        let all = std::mem::take(&mut self.ephemerals);
        let paths: Vec<String> = all.into_values().flatten().collect();
        for path in &paths {
            self.nodes.remove(path);
        }
        paths.len()
    }

    /// The znodes as a snapshot of ours has them, parents first; those that every tree has are among them.
    pub(super) fn records(&self) -> impl Iterator<Item = NodeRecord> + '_ {
        let mut nodes: BTreeMap<&str, Option<&Node>> =
            ALWAYS.into_iter().map(|path| (path, None)).collect();
        nodes.extend(
            self.nodes
                .iter()
                .map(|(path, node)| (path.as_str(), Some(node))),
        );
        nodes
            .into_iter()
            .map(|(path, node)| record(path, node.unwrap_or(&Node::default())))
    }
}

fn record(path: &str, node: &Node) -> NodeRecord {
    NodeRecord {
        path: path.to_owned(),
        data: node.data.as_ref().into(),
        owner: node.owner,
        czxid: Zxid(node.czxid as u64),
        mzxid: Zxid(node.mzxid as u64),
        pzxid: Zxid(node.pzxid as u64),
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        created: node.cversion,
        aversion: node.aversion,
        acl: if node.acl.is_empty() {
            AclList::OPEN
        } else {
            AclList::of(node.acl.clone())
        },
    }
}
