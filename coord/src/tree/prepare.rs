//! The first stage of a write: from a request to its transaction, or to the reason why not.
//!
//! Many transactions are under way at once, so a request is judged against the tree *and* everything that was
//! proposed and not yet applied. That second part is the preparer's; it is thrown away when proposals are
//! (a full disk, and one day a lost leadership).

use std::collections::{BTreeMap, VecDeque};

use super::Tree;
use super::acl::{AclList, Rules};
use super::draft::Draft;
use super::node::{Kind, Node};
use super::request::Request;
use super::txn::{Origin, Txn, TxnBody};
use crate::Zxid;
use crate::error::MultiError;

/// As much of a znode as decisions need.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) kind: Kind,
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) created: i32,
    pub(super) children: usize,
    pub(super) mtime: i64,
    /// Bytes of data.
    pub(super) bytes: usize,
    pub(super) acl: AclList,
}

impl From<&Node> for View {
    fn from(node: &Node) -> Self {
        View {
            kind: node.kind(),
            version: node.version,
            aversion: node.aversion,
            created: node.created,
            children: node.child_count(),
            mtime: node.mtime,
            bytes: node.data.len(),
            acl: node.acl.clone(),
        }
    }
}

/// Znodes as proposals will have left them; none for one that will be gone.
pub(super) type Views = BTreeMap<Box<str>, Option<View>>;

/// What is proposed and not yet applied.
#[derive(Debug, Default)]
pub(crate) struct Preparer {
    /// Each with the last proposal that touches it.
    pub(super) nodes: BTreeMap<Box<str>, (Zxid, Option<View>)>,
    /// Sessions that will have begun (true) or ended (false).
    sessions: BTreeMap<i64, (Zxid, bool)>,
    /// What each proposal touched, oldest first, to be forgotten once it is applied.
    touched: VecDeque<(Zxid, Vec<Box<str>>, Vec<i64>)>,
    rules: Rules,
    /// What the operator should hear of, until somebody takes it.
    warning: Option<String>,
}

impl Preparer {
    /// With nothing proposed.
    pub(crate) fn new(rules: Rules) -> Preparer {
        Preparer {
            rules,
            ..Preparer::default()
        }
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
        let mut draft = Draft::new(self, tree, self.rules, now);
        let (session, body, sessions) = match request {
            Request::Ops {
                session,
                caller,
                ops,
            } => (*session, draft.ops(*session, caller, ops)?, Vec::new()),
            Request::OpenSession { id, record } => {
                let (id, record) = (*id, *record);
                let body = TxnBody::OpenSession { id, record };
                (id, body, vec![(id, true)])
            }
            Request::CloseSessions { ids } => {
                let closed = draft.close_sessions(ids);
                let ended = closed.iter().map(|s| (s.id, false)).collect();
                (0, TxnBody::CloseSessions(closed), ended)
            }
        };
        let (views, warning) = draft.end();
        if warning.is_some() {
            self.warning = warning;
        }
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
            origin: Origin::default(),
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
        *self = Preparer::new(self.rules);
    }

    /// A warning for the operator, if there is one since the last call: a soft limit was passed.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Whether the session has begun and not ended, proposals counted.
    pub(crate) fn has_session(&self, tree: &Tree, id: i64) -> bool {
        match self.sessions.get(&id) {
            Some((_, open)) => *open,
            None => tree.session(id).is_some(),
        }
    }
}
