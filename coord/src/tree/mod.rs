//! The znode tree as a pure state machine: no clock, no I/O, no async.
//!
//! A request goes through two stages, as in ZooKeeper: [`Preparer::prepare`] decides, against the tree and everything
//! proposed but not yet applied, what its transaction is; [`Tree::apply`] carries a committed transaction out and
//! decides nothing. A transaction holds its results, so replaying a log over a *fuzzy* snapshot (one taken while
//! transactions went on) ends in the same tree.
//!
//! Not here: who gives zxids and commits (`service::voter`), what is on disk (`storage`), whose session has gone
//! silent (`session`).

pub(crate) mod acl;
mod apply;
mod digest;
mod draft;
pub(crate) mod limits;
mod node;
mod path;
mod prepare;
mod quota;
mod request;
mod sweep;
mod txn;
mod walk;
mod watches;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use acl::{Acl, Id, perms};
pub(crate) use acl::{AclList, Caller, Rules, veiled};
pub(crate) use node::Kind;
pub use node::Stat;
pub(crate) use path::{CONFIG, check_path};
pub(crate) use prepare::Preparer;
pub(crate) use request::Request;
pub use request::{CreateMode, Created, Op, OpResult};
pub(crate) use txn::{Change, ClosedSession, Origin, Txn, TxnBody};
pub(crate) use walk::NodeRecord;
pub(crate) use watches::{CHILDREN, DATA, EventKind, PERSISTENT, RECURSIVE, Watches};

use crate::Zxid;
use crate::error::CoordError;
use acl::AclTable;
use node::Node;
use quota::Quotas;

/// A session as the tree knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// After how many milliseconds of silence it ends.
    pub timeout_ms: u32,
    /// The member in whose process it lives, or 0 for one of a client on the wire.
    pub member: u64,
    /// In which of that member's runs, as its sessions end with it; 0 for one of a client on the wire.
    pub incarnation: u64,
    /// What a client shows to go on with it from another connection.
    pub password: Password,
}

impl SessionRecord {
    /// Of a client on the wire.
    pub(crate) fn of_client(timeout_ms: u32, password: Password) -> SessionRecord {
        SessionRecord {
            timeout_ms,
            member: 0,
            incarnation: 0,
            password,
        }
    }

    /// Of a member's own process.
    pub(crate) fn of_member(timeout_ms: u32, member: u64, incarnation: u64) -> SessionRecord {
        SessionRecord {
            timeout_ms,
            member,
            incarnation,
            password: Password::default(),
        }
    }
}

/// A session's password, which no log shows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Password(pub(crate) [u8; 16]);

impl Password {
    /// Whether it is this one; how long that takes does not tell how much of it is.
    pub(crate) fn is(&self, other: &Password) -> bool {
        let differ = self.0.iter().zip(other.0).map(|(a, b)| a ^ b);
        differ.fold(0, |all, bits| all | bits) == 0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// What a change does to those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which znode.
    pub path: Box<str>,
    /// Who may read it, and so be told.
    pub acl: AclList,
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
    path_bytes: usize,
    ephemeral_count: usize,
    acls: AclTable,
    quotas: Quotas,
    digest: u64,
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
            let mut node = Node::new(b"", 0, AclList::OPEN, Zxid::ZERO, 0);
            // What the ensemble is made of is for all to see and for none to set.
            if *path == path::CONFIG {
                node.acl = AclList::of(vec![Acl::new(perms::READ, "world", "anyone")]);
                node.aversion = -1;
            }
            tree.insert(path, node);
        }
        tree
    }

    /// The root alone, for a snapshot to be restored into.
    pub(crate) fn bare() -> Tree {
        let root = Node::new(b"", 0, AclList::OPEN, Zxid::ZERO, 0);
        Tree {
            digest: digest::of_node("/", &root),
            root,
            sessions: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            mortals: BTreeSet::new(),
            applied: Zxid::ZERO,
            nodes: 1,
            data_bytes: 0,
            path_bytes: 1,
            ephemeral_count: 0,
            acls: AclTable::default(),
            quotas: Quotas::default(),
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

    /// Bytes of all paths together.
    pub(crate) fn path_bytes(&self) -> usize {
        self.path_bytes
    }

    /// Ephemeral znodes of all sessions.
    pub(crate) fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// The number of the whole tree, see [`digest`].
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// A znode's data (a copy) and numbers.
    pub(crate) fn get(&self, path: &str) -> Result<(Bytes, Stat), CoordError> {
        let node = self.find_checked(path)?;
        let data = match self.quota_stats(path) {
            Some(text) => Bytes::from(text),
            None => Bytes::copy_from_slice(&node.data),
        };
        Ok((data, self.stat(path, node)))
    }

    /// A znode's numbers, or none where there is no such znode.
    pub(crate) fn exists(&self, path: &str) -> Option<Stat> {
        let node = self.find_checked(path).ok()?;
        Some(self.stat(path, node))
    }

    /// A znode's access control list.
    pub(crate) fn acl(&self, path: &str) -> Option<&AclList> {
        self.find(path).map(|node| &node.acl)
    }

    /// How many znodes there are below a znode.
    pub(crate) fn count_below(&self, path: &str) -> usize {
        if path == "/" {
            return self.nodes - 1;
        }
        (self.counts(path).znodes as usize).saturating_sub(1)
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

    /// How many sessions there are.
    pub(crate) fn session_count(&self) -> usize {
        self.sessions.len()
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

    fn find(&self, path: &str) -> Option<&Node> {
        path::names(path).try_fold(&self.root, |node, name| node.child(name))
    }

    fn find_checked(&self, path: &str) -> Result<&Node, CoordError> {
        check_path(path)?;
        self.find(path).ok_or_else(|| CoordError::NoNode {
            path: path.to_owned(),
        })
    }

    fn stat(&self, path: &str, node: &Node) -> Stat {
        let mut stat = node.stat();
        if let Some(text) = self.quota_stats(path) {
            stat.data_length = text.len() as i32;
        }
        stat
    }
}
