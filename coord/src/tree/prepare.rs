//! The first stage of a write: from a request to its transaction, or to the reason why not.
//!
//! Many transactions are under way at once, so a request is judged against the tree *and* everything that was
//! proposed and not yet applied. That second part is the preparer's; it is thrown away when proposals are
//! (a full disk, and one day a lost leadership).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::node::{Kind, Node};
use super::path::{SPECIAL, check_path, split};
use super::request::{Op, Request};
use super::sweep::has_expired;
use super::txn::{Change, ClosedSession, Txn, TxnBody};
use super::{Tree, limits};
use crate::Zxid;
use crate::error::{CoordError, MultiError};

/// As much of a znode as decisions need.
#[derive(Clone, Copy, Debug)]
struct View {
    kind: Kind,
    version: i32,
    created: i32,
    children: usize,
    mtime: i64,
}

impl From<&Node> for View {
    fn from(node: &Node) -> Self {
        View {
            kind: node.kind(),
            version: node.version,
            created: node.created,
            children: node.child_count(),
            mtime: node.mtime,
        }
    }
}

/// Znodes as proposals will have left them; none for one that will be gone.
type Views = BTreeMap<Box<str>, Option<View>>;

/// What is proposed and not yet applied.
#[derive(Debug, Default)]
pub(crate) struct Preparer {
    /// Each with the last proposal that touches it.
    nodes: BTreeMap<Box<str>, (Zxid, Option<View>)>,
    /// Sessions that will have begun (true) or ended (false).
    sessions: BTreeMap<i64, (Zxid, bool)>,
    /// What each proposal touched, oldest first, to be forgotten once it is applied.
    touched: VecDeque<(Zxid, Vec<Box<str>>, Vec<i64>)>,
}

impl Preparer {
    /// With nothing proposed.
    pub(crate) fn new() -> Preparer {
        Preparer::default()
    }

    /// Decides the transaction of a request. `zxid` is the one it will have, the next in order; `now` is milliseconds
    /// since 1970. A refused request leaves no trace.
    pub(crate) fn prepare(
        &mut self,
        tree: &Tree,
        request: &Request,
        zxid: Zxid,
        now: i64,
    ) -> Result<Txn, MultiError> {
        let mut draft = Draft {
            before: self,
            tree,
            views: Views::new(),
            now,
        };
        let (session, body, sessions) = match request {
            Request::Ops { session, ops } => (*session, draft.ops(*session, ops)?, Vec::new()),
            Request::OpenSession {
                id,
                timeout_ms,
                member,
            } => {
                let (id, timeout_ms, member) = (*id, *timeout_ms, *member);
                (
                    id,
                    TxnBody::OpenSession {
                        id,
                        timeout_ms,
                        member,
                    },
                    vec![(id, true)],
                )
            }
            Request::CloseSessions { ids } => {
                let closed = draft.close_sessions(ids);
                let ended = closed.iter().map(|s| (s.id, false)).collect();
                (0, TxnBody::CloseSessions(closed), ended)
            }
        };
        let views = draft.views;
        let paths = views.keys().cloned().collect();
        let ids = sessions.iter().map(|(id, _)| *id).collect();
        self.touched.push_back((zxid, paths, ids));
        self.nodes
            .extend(views.into_iter().map(|(path, view)| (path, (zxid, view))));
        self.sessions
            .extend(sessions.into_iter().map(|(id, open)| (id, (zxid, open))));
        Ok(Txn {
            zxid,
            time: now,
            session,
            body,
        })
    }

    /// Forgets what the tree now shows by itself: everything up to `zxid` has been applied.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        while self.touched.front().is_some_and(|(at, ..)| *at <= zxid) {
            let Some((at, paths, ids)) = self.touched.pop_front() else {
                break;
            };
            for path in paths {
                if self.nodes.get(&path).is_some_and(|(last, _)| *last == at) {
                    self.nodes.remove(&path);
                }
            }
            for id in ids {
                if self.sessions.get(&id).is_some_and(|(last, _)| *last == at) {
                    self.sessions.remove(&id);
                }
            }
        }
    }

    /// Forgets every proposal: none of them will be applied.
    pub(crate) fn discard(&mut self) {
        *self = Preparer::new();
    }

    /// Whether the session has begun and not ended, proposals counted.
    pub(crate) fn has_session(&self, tree: &Tree, id: i64) -> bool {
        match self.sessions.get(&id) {
            Some((_, open)) => *open,
            None => tree.session(id).is_some(),
        }
    }
}

/// One request being decided.
struct Draft<'a> {
    before: &'a Preparer,
    tree: &'a Tree,
    /// What the request itself has changed so far.
    views: Views,
    now: i64,
}

impl Draft<'_> {
    fn view(&self, path: &str) -> Option<View> {
        if let Some(view) = self.views.get(path) {
            return *view;
        }
        if let Some((_, view)) = self.before.nodes.get(path) {
            return *view;
        }
        self.tree.find(path).map(View::from)
    }

    fn existing(&self, path: &str) -> Result<View, CoordError> {
        self.view(path).ok_or_else(|| CoordError::NoNode {
            path: path.to_owned(),
        })
    }

    fn see(&mut self, path: &str, view: Option<View>) {
        self.views.insert(path.into(), view);
    }

    fn ops(&mut self, session: i64, ops: &[Op]) -> Result<TxnBody, MultiError> {
        if session != 0 && !self.before.has_session(self.tree, session) {
            return Err(CoordError::SessionExpired { session }.into());
        }
        within(
            "a multi's count of operations",
            ops.len(),
            limits::MULTI_OPS_MAX,
        )?;
        within(
            "a multi's size",
            ops.iter().map(Op::size).sum(),
            limits::MULTI_BYTES_MAX,
        )?;
        let mut changes = Vec::with_capacity(ops.len());
        for (index, op) in ops.iter().enumerate() {
            changes.push(
                self.op(session, op)
                    .map_err(|error| MultiError { index, error })?,
            );
        }
        Ok(TxnBody::Changes(changes))
    }

    fn op(&mut self, session: i64, op: &Op) -> Result<Change, CoordError> {
        match op {
            Op::Create { path, data, mode } => self.create(session, path, data, *mode),
            Op::Delete { path, version } => {
                self.deletable(path)?;
                let node = self.existing(path)?;
                at_version(path, &node, *version)?;
                self.delete(path, &node)
            }
            Op::SetData {
                path,
                data,
                version,
            } => {
                within("a znode's data", data.len(), limits::DATA_BYTES_MAX)?;
                check_path(path)?;
                let mut node = self.existing(path)?;
                at_version(path, &node, *version)?;
                node.version = node.version.wrapping_add(1);
                node.mtime = self.now;
                self.see(path, Some(node));
                Ok(Change::Set {
                    path: path.as_str().into(),
                    data: data.clone(),
                    version: node.version,
                })
            }
            Op::Check { path, version } => {
                check_path(path)?;
                at_version(path, &self.existing(path)?, *version)?;
                Ok(Change::Check)
            }
            Op::Expire { path } => {
                self.deletable(path)?;
                let node = self.existing(path)?;
                if node.children == 0
                    && !has_expired(node.kind, node.created, 0, node.mtime, self.now)
                {
                    return Err(CoordError::BadVersion { path: path.clone() });
                }
                self.delete(path, &node)
            }
        }
    }

    fn create(
        &mut self,
        session: i64,
        path: &str,
        data: &Bytes,
        mode: super::CreateMode,
    ) -> Result<Change, CoordError> {
        within("a znode's data", data.len(), limits::DATA_BYTES_MAX)?;
        let bad = |reason| CoordError::BadArguments {
            path: path.to_owned(),
            reason,
        };
        let kind = mode
            .kind(session)
            .ok_or_else(|| bad("a TTL is 1 to 2^40 - 1 milliseconds"))?;
        if kind == Kind::Ephemeral(0) {
            return Err(bad("an ephemeral znode needs a session"));
        }
        // Judged with a digit where the number will be: a sequential path may end in a slash.
        if mode.is_sequential() {
            within("a path", path.len() + 10, limits::PATH_BYTES_MAX)?;
            check_path(&format!("{path}1"))?;
        } else {
            check_path(path)?;
            if path == "/" {
                return Err(CoordError::NodeExists {
                    path: path.to_owned(),
                });
            }
        }
        let (parent_path, _) = split(path);
        let mut parent = self.existing(parent_path)?;
        let path: Box<str> = if mode.is_sequential() {
            format!("{path}{:010}", parent.created).into()
        } else {
            path.into()
        };
        if self.view(&path).is_some() {
            return Err(CoordError::NodeExists { path: path.into() });
        }
        if matches!(parent.kind, Kind::Ephemeral(_)) {
            return Err(CoordError::NoChildrenForEphemerals {
                path: parent_path.to_owned(),
            });
        }
        parent.created = parent.created.wrapping_add(1);
        parent.children += 1;
        self.see(parent_path, Some(parent));
        let node = View {
            kind,
            version: 0,
            created: 0,
            children: 0,
            mtime: self.now,
        };
        self.see(&path, Some(node));
        Ok(Change::Create {
            path,
            data: data.clone(),
            owner: kind.to_owner(),
            parent_created: parent.created,
        })
    }

    fn deletable(&self, path: &str) -> Result<(), CoordError> {
        check_path(path)?;
        if SPECIAL.contains(&path) {
            let reason = "this znode belongs to the service";
            return Err(CoordError::BadArguments {
                path: path.to_owned(),
                reason,
            });
        }
        Ok(())
    }

    fn delete(&mut self, path: &str, node: &View) -> Result<Change, CoordError> {
        if node.children > 0 {
            return Err(CoordError::NotEmpty {
                path: path.to_owned(),
            });
        }
        self.remove(path);
        Ok(Change::Delete { path: path.into() })
    }

    fn remove(&mut self, path: &str) {
        self.see(path, None);
        let (parent_path, _) = split(path);
        if let Some(mut parent) = self.view(parent_path) {
            parent.children = parent.children.saturating_sub(1);
            self.see(parent_path, Some(parent));
        }
    }

    fn close_sessions(&mut self, ids: &[i64]) -> Vec<ClosedSession> {
        let mut closed = Vec::new();
        for &id in ids {
            let again = closed.iter().any(|s: &ClosedSession| s.id == id);
            if again || !self.before.has_session(self.tree, id) {
                continue;
            }
            let of_session = |view: &View| view.kind == Kind::Ephemeral(id);
            let mut paths: Vec<Box<str>> = self.tree.ephemerals(id).map(Into::into).collect();
            paths.retain(|path| self.view(path).is_some_and(|v| of_session(&v)));
            let proposed = self.before.nodes.iter();
            paths.extend(
                proposed
                    .filter(|(_, (_, view))| view.as_ref().is_some_and(of_session))
                    .map(|(path, _)| path.clone()),
            );
            paths.sort_unstable();
            paths.dedup();
            for path in &paths {
                self.remove(path);
            }
            closed.push(ClosedSession { id, paths });
        }
        closed
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), CoordError> {
    if size > limit {
        return Err(CoordError::TooLarge { what, size, limit });
    }
    Ok(())
}

fn at_version(path: &str, node: &View, version: Option<i32>) -> Result<(), CoordError> {
    match version {
        Some(version) if version != node.version => Err(CoordError::BadVersion {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}
