//! The znode tree as a pure state machine: no clock, no I/O, no async.
//!
//! A request goes through two stages, as in ZooKeeper: [`Preparer::prepare`] decides, against the tree and everything
//! proposed but not yet applied, what its transaction is; [`Tree::apply`] carries a committed transaction out and
//! decides nothing. A transaction holds its results, so replaying a log over a *fuzzy* snapshot (one taken while
//! transactions went on) ends in the same tree.
//!
//! Not here: who gives zxids and commits (`service::voter`), what is on disk (`storage`), whose session has gone
//! silent (`session`).

pub(crate) mod limits;
mod node;
mod path;
mod prepare;
mod request;
mod sweep;
mod txn;
mod walk;
mod watches;

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub(crate) use node::Kind;
pub use node::Stat;
pub(crate) use path::{check_path, split};
pub(crate) use prepare::Preparer;
pub(crate) use request::Request;
pub use request::{CreateMode, Created, Op, OpResult};
pub(crate) use txn::{Change, ClosedSession, Txn, TxnBody};
pub(crate) use walk::NodeRecord;
pub(crate) use watches::{CHILDREN, DATA, EventKind, PERSISTENT, RECURSIVE, Watches};

use crate::Zxid;
use crate::error::CoordError;
use node::Node;

/// A session as the tree knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// After how many milliseconds of silence it ends.
    pub timeout_ms: u32,
    /// The member in whose process it lives, or 0 for one of a client on the wire.
    pub member: u64,
}

/// What a change does to those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which znode.
    pub path: Box<str>,
}

/// What applying a transaction gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// One for each change, in order.
    pub results: Vec<OpResult>,
    /// In order; each is to be offered to the watches.
    pub events: Vec<Event>,
}

/// Every znode and session at one point in the order of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    root: Node,
    sessions: BTreeMap<i64, SessionRecord>,
    /// The ephemeral znodes of each session; a session without any is not in it.
    ephemerals: BTreeMap<i64, BTreeSet<Box<str>>>,
    /// Every container and TTL znode: what a sweep must look at.
    mortals: BTreeSet<Box<str>>,
    applied: Zxid,
    nodes: usize,
    data_bytes: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new()
    }
}

impl Tree {
    /// The tree before the first transaction: the root and ZooKeeper's own znodes.
    pub(crate) fn new() -> Tree {
        let mut tree = Tree::bare();
        for path in &path::SPECIAL[1..] {
            tree.insert(path, Node::new(b"", 0, Zxid::ZERO, 0));
        }
        tree
    }

    /// The root alone, for a snapshot to be restored into.
    pub(crate) fn bare() -> Tree {
        Tree {
            root: Node::new(b"", 0, Zxid::ZERO, 0),
            sessions: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            mortals: BTreeSet::new(),
            applied: Zxid::ZERO,
            nodes: 1,
            data_bytes: 0,
        }
    }

    /// The last transaction applied.
    pub(crate) fn applied(&self) -> Zxid {
        self.applied
    }

    /// Znodes, the root counted.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes
    }

    /// Bytes of data in all znodes.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// A znode's data (a copy) and numbers.
    pub(crate) fn get(&self, path: &str) -> Result<(Bytes, Stat), CoordError> {
        let node = self.find_checked(path)?;
        Ok((Bytes::copy_from_slice(&node.data), node.stat()))
    }

    /// A znode's numbers, or none where there is no such znode.
    pub(crate) fn exists(&self, path: &str) -> Option<Stat> {
        self.find(path).map(Node::stat)
    }

    /// The names of a znode's children, sorted.
    pub(crate) fn children(&self, path: &str) -> Result<Vec<String>, CoordError> {
        let node = self.find_checked(path)?;
        Ok(node
            .children()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.to_string())
            .collect())
    }

    /// The sessions and what is known of each, by id.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (i64, SessionRecord)> + '_ {
        self.sessions.iter().map(|(id, record)| (*id, *record))
    }

    /// One session, if it has not ended.
    pub(crate) fn session(&self, id: i64) -> Option<SessionRecord> {
        self.sessions.get(&id).copied()
    }

    /// The ephemeral znodes of a session, sorted.
    pub(crate) fn ephemerals(&self, session: i64) -> impl Iterator<Item = &str> {
        self.ephemerals
            .get(&session)
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    /// Carries out a committed transaction. Must be called in zxid order; a transaction that the tree has seen may
    /// come again if all those after it come again, too (the replay over a fuzzy snapshot).
    pub(crate) fn apply(&mut self, txn: &Txn) -> Applied {
        let mut applied = Applied::default();
        match &txn.body {
            TxnBody::OpenSession {
                id,
                timeout_ms,
                member,
            } => {
                let (timeout_ms, member) = (*timeout_ms, *member);
                self.sessions
                    .insert(*id, SessionRecord { timeout_ms, member });
            }
            TxnBody::CloseSessions(closed) => {
                for session in closed {
                    for path in &session.paths {
                        self.delete(path, txn, &mut applied.events);
                    }
                    self.sessions.remove(&session.id);
                }
            }
            TxnBody::Changes(changes) => {
                applied.results.reserve(changes.len());
                for change in changes {
                    let result = self.change(change, txn, &mut applied.events);
                    applied.results.push(result);
                }
            }
        }
        self.applied = txn.zxid;
        applied
    }

    fn change(&mut self, change: &Change, txn: &Txn, events: &mut Vec<Event>) -> OpResult {
        match change {
            Change::Create {
                path,
                data,
                owner,
                parent_created,
            } => {
                let node = Node::new(data, *owner, txn.zxid, txn.time);
                let stat = node.stat();
                let (parent_path, _) = split(path);
                // A replay may meet a parent that a later transaction has deleted: then the child is gone, too.
                if let Some(parent) = self.find_mut(parent_path) {
                    parent.created = *parent_created;
                    parent.pzxid = txn.zxid;
                    self.insert(path, node);
                    events.push(Event {
                        kind: EventKind::Created,
                        path: path.clone(),
                    });
                    events.push(Event {
                        kind: EventKind::ChildrenChanged,
                        path: parent_path.into(),
                    });
                }
                OpResult::Created(Created {
                    path: path.to_string(),
                    stat,
                })
            }
            Change::Delete { path } => {
                self.delete(path, txn, events);
                OpResult::Deleted
            }
            Change::Set {
                path,
                data,
                version,
            } => {
                let Some(node) = self.find_mut(path) else {
                    return OpResult::Set(Stat::default());
                };
                let before = node.data.len();
                node.data = data.as_ref().into();
                node.version = *version;
                node.mzxid = txn.zxid;
                node.mtime = txn.time;
                let stat = node.stat();
                self.data_bytes = self.data_bytes - before + data.len();
                events.push(Event {
                    kind: EventKind::DataChanged,
                    path: path.clone(),
                });
                OpResult::Set(stat)
            }
            Change::Check => OpResult::Checked,
        }
    }

    fn delete(&mut self, path: &str, txn: &Txn, events: &mut Vec<Event>) {
        let (parent_path, name) = split(path);
        let Some(parent) = self.find_mut(parent_path) else {
            return;
        };
        parent.pzxid = txn.zxid;
        if let Some(node) = parent.take(name) {
            self.forget(path, &node);
            events.push(Event {
                kind: EventKind::Deleted,
                path: path.into(),
            });
            events.push(Event {
                kind: EventKind::ChildrenChanged,
                path: parent_path.into(),
            });
        }
    }

    fn find(&self, path: &str) -> Option<&Node> {
        path::names(path).try_fold(&self.root, |node, name| node.child(name))
    }

    fn find_checked(&self, path: &str) -> Result<&Node, CoordError> {
        check_path(path)?;
        self.find(path).ok_or_else(|| CoordError::NoNode {
            path: path.to_owned(),
        })
    }

    fn find_mut(&mut self, path: &str) -> Option<&mut Node> {
        path::names(path).try_fold(&mut self.root, |node, name| node.child_mut(name))
    }

    /// Puts a node where its parent is known to be. One that stands there already (in a replay) gives way and leaves
    /// its children: each of them came by a transaction that is replayed as well.
    fn insert(&mut self, path: &str, mut node: Node) {
        let (parent_path, name) = split(path);
        if let Some(old) = self
            .find_mut(parent_path)
            .and_then(|parent| parent.child_mut(name))
        {
            node.adopt_children_of(old);
            let (owner, bytes) = (old.owner, old.data.len());
            self.unlist(path, Kind::of_owner(owner));
            self.nodes -= 1;
            self.data_bytes -= bytes;
        }
        match node.kind() {
            Kind::Persistent => {}
            Kind::Ephemeral(session) => {
                self.ephemerals
                    .entry(session)
                    .or_default()
                    .insert(path.into());
            }
            Kind::Container | Kind::Ttl(_) => {
                self.mortals.insert(path.into());
            }
        }
        self.nodes += 1;
        self.data_bytes += node.data.len();
        if let Some(parent) = self.find_mut(parent_path) {
            parent.put(name, node);
        }
    }

    /// Takes a removed node, and all under it, out of the indexes. Only a replay removes one with children.
    fn forget(&mut self, path: &str, node: &Node) {
        self.unlist(path, node.kind());
        self.nodes -= 1;
        self.data_bytes -= node.data.len();
        for (name, child) in node.children().into_iter().flatten() {
            self.forget(&format!("{path}/{name}"), child);
        }
    }

    fn unlist(&mut self, path: &str, kind: Kind) {
        match kind {
            Kind::Persistent => {}
            Kind::Ephemeral(session) => {
                if let Some(paths) = self.ephemerals.get_mut(&session) {
                    paths.remove(path);
                    if paths.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
            Kind::Container | Kind::Ttl(_) => {
                self.mortals.remove(path);
            }
        }
    }
}
