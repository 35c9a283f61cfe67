//! The second stage of a write: a committed transaction changes the tree. Nothing is decided here.

use super::acl::AclList;
use super::node::{Kind, Node};
use super::path::{names, split};
use super::txn::{Change, Txn, TxnBody};
use super::watches::EventKind;
use super::{Applied, Created, Event, OpResult, SessionRecord, Stat, Tree, digest, quota};

impl Tree {
    /// Carries out a committed transaction. Must be called in zxid order; a transaction that the tree has seen may
    /// come again if all those after it come again, too (the replay over a fuzzy snapshot).
    pub(crate) fn apply(&mut self, txn: &Txn) -> Applied {
        let mut applied = Applied::default();
        match &txn.body {
            TxnBody::OpenSession { id, record } => self.put_session(*id, *record),
            TxnBody::CloseSessions(closed) => {
                for session in closed {
                    for path in &session.paths {
                        self.delete(path, txn, &mut applied.events);
                    }
                    self.take_session(session.id);
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
                acl,
            } => {
                let acl = self.acls.intern(acl);
                let node = Node::new(data, *owner, acl.clone(), txn.zxid, txn.time);
                let stat = node.stat();
                let (parent_path, _) = split(path);
                let parent = self.edit(parent_path, |parent| {
                    parent.created = *parent_created;
                    parent.pzxid = txn.zxid;
                    parent.acl.clone()
                });
                // A replay may meet a parent that a later transaction has deleted: then the child is gone, too.
                if let Some(parent_acl) = parent {
                    self.insert(path, node);
                    events.push(event(EventKind::Created, path, acl));
                    events.push(event(EventKind::ChildrenChanged, parent_path, parent_acl));
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
                let edited = self.edit(path, |node| {
                    let before = node.data.len();
                    node.data = data.as_ref().into();
                    node.version = *version;
                    node.mzxid = txn.zxid;
                    node.mtime = txn.time;
                    (before, node.stat(), node.acl.clone())
                });
                let Some((before, stat, acl)) = edited else {
                    return OpResult::Set(Stat::default());
                };
                self.data_bytes = self.data_bytes - before + data.len();
                self.quotas
                    .count(path, 0, data.len() as i64 - before as i64);
                events.push(event(EventKind::DataChanged, path, acl));
                OpResult::Set(stat)
            }
            Change::SetAcl { path, acl, version } => {
                let acl = self.acls.intern(acl);
                let edited = self.edit(path, |node| {
                    node.acl = acl;
                    node.aversion = *version;
                    node.stat()
                });
                OpResult::AclSet(edited.unwrap_or_default())
            }
            Change::Check => OpResult::Checked,
        }
    }

    fn delete(&mut self, path: &str, txn: &Txn, events: &mut Vec<Event>) {
        let (parent_path, name) = split(path);
        let parent = self.edit(parent_path, |parent| {
            parent.pzxid = txn.zxid;
            (parent.take(name), parent.acl.clone())
        });
        if let Some((Some(node), parent_acl)) = parent {
            self.forget(path, &node);
            events.push(event(EventKind::Deleted, path, node.acl));
            events.push(event(EventKind::ChildrenChanged, parent_path, parent_acl));
        }
    }

    pub(super) fn put_session(&mut self, id: i64, record: SessionRecord) {
        self.take_session(id);
        self.digest = self.digest.wrapping_add(digest::of_session(id, &record));
        self.sessions.insert(id, record);
    }

    fn take_session(&mut self, id: i64) {
        if let Some(record) = self.sessions.remove(&id) {
            self.digest = self.digest.wrapping_sub(digest::of_session(id, &record));
        }
    }

    /// Changes a znode's own fields, and the digest with them.
    fn edit<T>(&mut self, path: &str, change: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let mut find = names(path);
        let node = find.try_fold(&mut self.root, |node, name| node.child_mut(name))?;
        let before = digest::of_node(path, node);
        let done = change(node);
        let after = digest::of_node(path, node);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        Some(done)
    }

    /// Puts a node where its parent is known to be. One that stands there already (in a replay) gives way and leaves
    /// its children: each of them came by a transaction that is replayed as well.
    pub(super) fn insert(&mut self, path: &str, mut node: Node) {
        let (parent_path, name) = split(path);
        let mut on_the_way = names(parent_path);
        let parent = on_the_way.try_fold(&mut self.root, |node, name| node.child_mut(name));
        let old = parent.and_then(|parent| parent.child_mut(name)).map(|old| {
            let part = digest::of_node(path, old);
            node.adopt_children_of(old);
            (old.kind(), old.data.len(), part)
        });
        if let Some((kind, bytes, part)) = old {
            self.leaves(path, kind, bytes, part);
        }
        match node.kind() {
            Kind::Persistent => {}
            Kind::Ephemeral(session) => {
                let paths = self.ephemerals.entry(session).or_default();
                if paths.insert(path.into()) {
                    self.ephemeral_count += 1;
                }
            }
            Kind::Container | Kind::Ttl(_) => {
                self.mortals.insert(path.into());
            }
        }
        self.nodes += 1;
        self.data_bytes += node.data.len();
        self.path_bytes += path.len();
        self.quotas.count(path, 1, node.data.len() as i64);
        self.digest = self.digest.wrapping_add(digest::of_node(path, &node));
        let mut on_the_way = names(parent_path);
        if let Some(parent) = on_the_way.try_fold(&mut self.root, |node, name| node.child_mut(name))
        {
            parent.put(name, node);
        }
        if let Some(top) = quota::limits_of(path) {
            let counts = self.counts(top);
            self.quotas.begin(top, counts);
        }
    }

    /// Takes a removed node, and all under it, out of the indexes. Only a replay removes one with children.
    fn forget(&mut self, path: &str, node: &Node) {
        let part = digest::of_node(path, node);
        self.leaves(path, node.kind(), node.data.len(), part);
        for (name, child) in node.children().into_iter().flatten() {
            self.forget(&format!("{path}/{name}"), child);
        }
    }

    /// A single node has left: the counts, the indexes, the digest.
    fn leaves(&mut self, path: &str, kind: Kind, bytes: usize, part: u64) {
        match kind {
            Kind::Persistent => {}
            Kind::Ephemeral(session) => {
                if let Some(paths) = self.ephemerals.get_mut(&session) {
                    if paths.remove(path) {
                        self.ephemeral_count -= 1;
                    }
                    if paths.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
            Kind::Container | Kind::Ttl(_) => {
                self.mortals.remove(path);
            }
        }
        self.nodes -= 1;
        self.data_bytes -= bytes;
        self.path_bytes -= path.len();
        self.quotas.count(path, -1, -(bytes as i64));
        self.digest = self.digest.wrapping_sub(part);
        if let Some(top) = quota::limits_of(path) {
            self.quotas.end(top);
        }
    }
}

fn event(kind: EventKind, path: &str, acl: AclList) -> Event {
    Event {
        kind,
        path: path.into(),
        acl,
    }
}
