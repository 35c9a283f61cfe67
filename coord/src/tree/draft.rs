//! One request being decided: each of its operations is judged against the tree, what is proposed, and what the
//! operations before it have done. The order of the checks, and so which error a client sees, is ZooKeeper 3.9's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::acl::{self, Acl, AclList, Caller, Rules, perms};
use super::node::Kind;
use super::path::{SPECIAL, check_path, split};
use super::prepare::{Preparer, View, Views};
use super::quota::Verdict;
use super::request::{CreateMode, Op};
use super::sweep::has_expired;
use super::txn::{Change, ClosedSession, TxnBody};
use super::{Tree, limits};
use crate::error::{CoordError, MultiError};

/// One request being decided.
pub(super) struct Draft<'a> {
    before: &'a Preparer,
    tree: &'a Tree,
    rules: Rules,
    /// What the request itself has changed so far.
    views: Views,
    warning: Option<String>,
    /// Bytes of the lists that its operations set, as they will be stored.
    listed: usize,
    now: i64,
}

impl<'a> Draft<'a> {
    pub(super) fn new(before: &'a Preparer, tree: &'a Tree, rules: Rules, now: i64) -> Draft<'a> {
        Draft {
            before,
            tree,
            rules,
            views: Views::new(),
            warning: None,
            listed: 0,
            now,
        }
    }

    /// What it has changed, and a warning for the operator.
    pub(super) fn end(self) -> (Views, Option<String>) {
        (self.views, self.warning)
    }

    fn view(&self, path: &str) -> Option<View> {
        if let Some(view) = self.views.get(path) {
            return view.clone();
        }
        if let Some((_, view)) = self.before.nodes.get(path) {
            return view.clone();
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

    pub(super) fn ops(
        &mut self,
        session: i64,
        caller: &Caller,
        ops: &[Op],
    ) -> Result<TxnBody, MultiError> {
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
            let change = self.op(session, caller, op);
            changes.push(change.map_err(|error| MultiError { index, error })?);
        }
        Ok(TxnBody::Changes(changes))
    }

    fn op(&mut self, session: i64, caller: &Caller, op: &Op) -> Result<Change, CoordError> {
        match op {
            Op::Create {
                path,
                data,
                mode,
                acl,
            } => self.create(session, caller, path, data, *mode, acl.as_deref()),
            Op::Delete { path, version } => {
                deletable(path)?;
                let (parent_path, _) = split(path);
                let parent = self.existing(parent_path)?;
                self.check(&parent.acl, perms::DELETE, caller, path)?;
                let node = self.existing(path)?;
                at_version(path, node.version, *version)?;
                self.delete(path, &node)
            }
            Op::SetData {
                path,
                data,
                version,
            } => self.set_data(caller, path, data, *version),
            Op::SetAcl { path, acl, version } => {
                check_path(path)?;
                let acl = self.settle(path, acl, caller)?;
                let mut node = self.existing(path)?;
                self.check(&node.acl, perms::ADMIN, caller, path)?;
                at_version(path, node.aversion, *version)?;
                node.aversion = next_version(node.aversion);
                node.acl = acl.clone();
                let version = node.aversion;
                self.see(path, Some(node));
                let path = path.as_str().into();
                Ok(Change::SetAcl { path, acl, version })
            }
            Op::Check { path, version } => {
                check_path(path)?;
                let node = self.existing(path)?;
                self.check(&node.acl, perms::READ, caller, path)?;
                at_version(path, node.version, *version)?;
                Ok(Change::Check)
            }
            Op::Expire { path } => {
                deletable(path)?;
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

    fn set_data(
        &mut self,
        caller: &Caller,
        path: &str,
        data: &Bytes,
        version: Option<i32>,
    ) -> Result<Change, CoordError> {
        within("a znode's data", data.len(), limits::DATA_BYTES_MAX)?;
        check_path(path)?;
        let mut node = self.existing(path)?;
        self.check(&node.acl, perms::WRITE, caller, path)?;
        self.within_quota(caller, path, 0, data.len() as i64 - node.bytes as i64)?;
        at_version(path, node.version, version)?;
        node.version = next_version(node.version);
        node.mtime = self.now;
        node.bytes = data.len();
        let version = node.version;
        self.see(path, Some(node));
        Ok(Change::Set {
            path: path.into(),
            data: data.clone(),
            version,
        })
    }

    fn create(
        &mut self,
        session: i64,
        caller: &Caller,
        path: &str,
        data: &Bytes,
        mode: CreateMode,
        asked: Option<&[Acl]>,
    ) -> Result<Change, CoordError> {
        within("a znode's data", data.len(), limits::DATA_BYTES_MAX)?;
        let bad = |reason| CoordError::BadArguments {
            path: path.to_owned(),
            reason,
        };
        if mode.has_ttl() && *caller != Caller::Service && !self.rules.extended_types {
            return Err(CoordError::Unimplemented {
                what: "znodes with a TTL are switched off (extendedTypesEnabled)",
            });
        }
        let kind = mode
            .kind(session)
            .ok_or_else(|| bad("a TTL is 1 to 2^40 - 1 milliseconds"))?;
        if kind == Kind::Ephemeral(0) {
            return Err(bad("an ephemeral znode needs a session"));
        }
        let acl = match asked {
            Some(asked) => self.settle(path, asked, caller)?,
            None => AclList::OPEN,
        };
        // Judged with a digit where the number will be: a sequential path may end in a slash.
        if mode.is_sequential() {
            within("a path", path.len() + 10, limits::PATH_BYTES_MAX)?;
            check_path(&format!("{path}1"))?;
        } else {
            check_path(path)?;
        }
        let (parent_path, _) = split(path);
        let mut parent = self.existing(parent_path)?;
        self.check(&parent.acl, perms::CREATE, caller, path)?;
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
        self.within_quota(caller, &path, 1, data.len() as i64)?;
        parent.created = parent.created.wrapping_add(1);
        parent.children += 1;
        let parent_created = parent.created;
        self.see(parent_path, Some(parent));
        let node = View {
            kind,
            version: 0,
            aversion: 0,
            created: 0,
            children: 0,
            mtime: self.now,
            bytes: data.len(),
            acl: acl.clone(),
        };
        self.see(&path, Some(node));
        Ok(Change::Create {
            path,
            data: data.clone(),
            owner: kind.to_owner(),
            parent_created,
            acl,
        })
    }

    /// The list that is asked for, as it will be stored. What was asked may be a fraction of that.
    fn settle(
        &mut self,
        path: &str,
        asked: &[Acl],
        caller: &Caller,
    ) -> Result<AclList, CoordError> {
        let acl = acl::settle(path, asked, caller, self.rules)?;
        self.listed += acl.size();
        within(
            "the size of the lists",
            self.listed,
            limits::MULTI_BYTES_MAX,
        )?;
        Ok(acl)
    }

    fn check(
        &self,
        acl: &AclList,
        perms: i32,
        caller: &Caller,
        path: &str,
    ) -> Result<(), CoordError> {
        acl.check(perms, caller, self.rules, path)
    }

    fn within_quota(
        &mut self,
        caller: &Caller,
        path: &str,
        znodes: i64,
        bytes: i64,
    ) -> Result<(), CoordError> {
        if self.rules.enforce_quota
            && *caller != Caller::Service
            && let Verdict::Past(words) = self.tree.within_quota(path, znodes, bytes)?
        {
            self.warning = Some(words);
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

    pub(super) fn close_sessions(&mut self, ids: &[i64]) -> Vec<ClosedSession> {
        let is_open = |id: &&i64| self.before.has_session(self.tree, **id);
        let mut left: BTreeMap<i64, BTreeSet<Box<str>>> = ids
            .iter()
            .filter(is_open)
            .map(|id| (*id, BTreeSet::new()))
            .collect();
        for (id, paths) in &mut left {
            let of_session = |view: View| view.kind == Kind::Ephemeral(*id);
            let stays = |path: &&str| self.view(path).is_some_and(of_session);
            paths.extend(self.tree.ephemerals(*id).filter(stays).map(Into::into));
        }
        for (path, (_, view)) in &self.before.nodes {
            if let Some(Kind::Ephemeral(id)) = view.as_ref().map(|view| view.kind)
                && let Some(paths) = left.get_mut(&id)
            {
                paths.insert(path.clone());
            }
        }
        for path in left.values().flatten() {
            self.remove(path);
        }
        let closed = |(id, paths): (i64, BTreeSet<Box<str>>)| ClosedSession {
            id,
            paths: paths.into_iter().collect(),
        };
        left.into_iter().map(closed).collect()
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), CoordError> {
    if size > limit {
        return Err(CoordError::TooLarge { what, size, limit });
    }
    Ok(())
}

fn deletable(path: &str) -> Result<(), CoordError> {
    check_path(path)?;
    if SPECIAL.contains(&path) {
        return Err(CoordError::BadArguments {
            path: path.to_owned(),
            reason: "this znode belongs to the service",
        });
    }
    Ok(())
}

fn at_version(path: &str, at: i32, asked: Option<i32>) -> Result<(), CoordError> {
    match asked {
        Some(version) if version != at => Err(CoordError::BadVersion {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The version after this one. -1 is passed over, as a client's -1 means any version.
fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}
