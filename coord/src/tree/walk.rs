//! The tree piece by piece, for a snapshot that is written while transactions go on, and back again.
//!
//! A walk holds no reference into the tree: it goes on after the last path it gave, whatever has happened to it.
//! Parents come before their children, in path order by names.

use super::acl::AclList;
use super::node::{Kind, Node};
use super::path::{names, split};
use super::{SessionRecord, Tree, digest};
use crate::Zxid;

/// A znode as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRecord {
    /// Its full path.
    pub path: String,
    /// Its data.
    pub data: Box<[u8]>,
    /// Its kind in ZooKeeper's encoding.
    pub owner: i64,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// The transaction that last changed its children.
    pub pzxid: Zxid,
    /// When it was created.
    pub ctime: i64,
    /// When its data was last set.
    pub mtime: i64,
    /// How often its data was set.
    pub version: i32,
    /// How many children it ever had.
    pub created: i32,
    /// How often its access control list was set.
    pub aversion: i32,
    /// Who may do what with it.
    pub acl: AclList,
}

/// Why a node of a snapshot has no place in the tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("znode {0:?} has no parent, or came twice")]
pub(crate) struct RestoreError(pub String);

impl Tree {
    /// Gives `visit` the znodes that come after `after` (from the root on where it is none), until it says false.
    /// Returns the path to go on after, or none when the walk is over.
    pub(crate) fn walk(
        &self,
        after: Option<&str>,
        visit: &mut dyn FnMut(NodeRecord) -> bool,
    ) -> Option<String> {
        let mut path = String::new();
        // The siblings still to come at each level, with the length of their parent's path.
        let mut levels: Vec<(usize, Siblings<'_>)> = Vec::new();
        if let Some(after) = after {
            let mut node = Some(&self.root);
            for name in names(after) {
                let Some(parent) = node else { break };
                if let Some(children) = parent.children() {
                    let bounds = (std::ops::Bound::Excluded(name), std::ops::Bound::Unbounded);
                    levels.push((
                        path.len(),
                        Siblings::Range(children.range::<str, _>(bounds)),
                    ));
                }
                node = parent.child(name);
                path.push('/');
                path.push_str(name);
            }
            if let Some(children) = node.and_then(Node::children) {
                levels.push((path.len(), Siblings::All(children.iter())));
            }
        } else {
            let go_on = visit(record("/", &self.root));
            if !go_on {
                return Some("/".to_owned());
            }
            levels.extend(self.root.children().map(|c| (0, Siblings::All(c.iter()))));
        }
        while let Some((parent_len, siblings)) = levels.last_mut() {
            path.truncate(*parent_len);
            let Some((name, node)) = siblings.next() else {
                levels.pop();
                continue;
            };
            path.push('/');
            path.push_str(name);
            levels.extend(
                node.children()
                    .map(|c| (path.len(), Siblings::All(c.iter()))),
            );
            if !visit(record(&path, node)) {
                return Some(path);
            }
        }
        None
    }

    /// Puts a znode from a snapshot in its place. The root comes first and once, parents before children.
    pub(crate) fn restore(&mut self, record: NodeRecord) -> Result<(), RestoreError> {
        let acl = self.acls.intern(&record.acl);
        let mut node = Node::new(b"", record.owner, acl, record.czxid, record.ctime);
        node.data = record.data;
        node.mzxid = record.mzxid;
        node.pzxid = record.pzxid;
        node.mtime = record.mtime;
        node.version = record.version;
        node.created = record.created;
        node.aversion = record.aversion;
        if record.path == "/" {
            if self.nodes != 1 || node.kind() != Kind::Persistent {
                return Err(RestoreError(record.path));
            }
            self.data_bytes = node.data.len();
            self.digest = self
                .digest
                .wrapping_sub(digest::of_node("/", &self.root))
                .wrapping_add(digest::of_node("/", &node));
            self.root = node;
            return Ok(());
        }
        let parent = self.find(split(&record.path).0);
        if parent.is_none_or(|parent| parent.child(split(&record.path).1).is_some()) {
            return Err(RestoreError(record.path));
        }
        self.insert(&record.path, node);
        Ok(())
    }

    /// Puts a session from a snapshot back.
    pub(crate) fn restore_session(&mut self, id: i64, record: SessionRecord) {
        self.put_session(id, record);
    }

    /// Says up to where a restored snapshot is whole; what comes after is replayed.
    pub(crate) fn restored_to(&mut self, zxid: Zxid) {
        self.applied = zxid;
    }
}

enum Siblings<'a> {
    All(std::collections::btree_map::Iter<'a, Box<str>, Box<Node>>),
    Range(std::collections::btree_map::Range<'a, Box<str>, Box<Node>>),
}

impl<'a> Iterator for Siblings<'a> {
    type Item = (&'a Box<str>, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        let next = match self {
            Siblings::All(all) => all.next(),
            Siblings::Range(range) => range.next(),
        };
        next.map(|(name, node)| (name, node.as_ref()))
    }
}

fn record(path: &str, node: &Node) -> NodeRecord {
    NodeRecord {
        path: path.to_owned(),
        data: node.data.clone(),
        owner: node.owner,
        czxid: node.czxid,
        mzxid: node.mzxid,
        pzxid: node.pzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        created: node.created,
        aversion: node.aversion,
        acl: node.acl.clone(),
    }
}
