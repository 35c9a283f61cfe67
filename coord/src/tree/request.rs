//! What can be asked of the tree, before it is known whether it can be done. Prepared into a `Txn` by `tree::prepare`.

use bytes::Bytes;

use super::SessionRecord;
use super::acl::{Acl, Caller};
use super::limits::TTL_MS_MAX;
use super::node::{Kind, Stat};

/// How a znode is created; the discriminants of ZooKeeper's flags are in [`CreateMode::flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// Goes with its session.
    Ephemeral,
    /// Stays, and its name ends with the parent's next number in ten digits.
    PersistentSequential,
    /// Goes with its session, and its name ends with the parent's next number in ten digits.
    EphemeralSequential,
    /// Goes some time after its last child has gone.
    Container,
    /// Goes after this many milliseconds (1 to 2^40 - 1) without a change and without children.
    PersistentWithTtl(i64),
    /// The same, with a number.
    PersistentSequentialWithTtl(i64),
}

impl CreateMode {
    /// ZooKeeper's number for the mode, and 0 or the TTL.
    pub const fn flags(self) -> (i32, i64) {
        match self {
            CreateMode::Persistent => (0, 0),
            CreateMode::Ephemeral => (1, 0),
            CreateMode::PersistentSequential => (2, 0),
            CreateMode::EphemeralSequential => (3, 0),
            CreateMode::Container => (4, 0),
            CreateMode::PersistentWithTtl(ttl) => (5, ttl),
            CreateMode::PersistentSequentialWithTtl(ttl) => (6, ttl),
        }
    }

    /// The mode of ZooKeeper's number, or none for one that does not exist.
    pub const fn of_flags(flags: i32, ttl: i64) -> Option<CreateMode> {
        Some(match flags {
            0 => CreateMode::Persistent,
            1 => CreateMode::Ephemeral,
            2 => CreateMode::PersistentSequential,
            3 => CreateMode::EphemeralSequential,
            4 => CreateMode::Container,
            5 => CreateMode::PersistentWithTtl(ttl),
            6 => CreateMode::PersistentSequentialWithTtl(ttl),
            _ => return None,
        })
    }

    pub(crate) const fn is_sequential(self) -> bool {
        matches!(
            self,
            CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential
                | CreateMode::PersistentSequentialWithTtl(_)
        )
    }

    pub(crate) const fn has_ttl(self) -> bool {
        matches!(
            self,
            CreateMode::PersistentWithTtl(_) | CreateMode::PersistentSequentialWithTtl(_)
        )
    }

    /// The kind of znode it makes for `session`, or none where the TTL is out of range.
    pub(crate) const fn kind(self, session: i64) -> Option<Kind> {
        Some(match self {
            CreateMode::Persistent | CreateMode::PersistentSequential => Kind::Persistent,
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => Kind::Ephemeral(session),
            CreateMode::Container => Kind::Container,
            CreateMode::PersistentWithTtl(ttl) | CreateMode::PersistentSequentialWithTtl(ttl) => {
                if ttl <= 0 || ttl > TTL_MS_MAX {
                    return None;
                }
                Kind::Ttl(ttl)
            }
        })
    }
}

/// One write. A version of none means whatever version the znode is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Creates a znode; with a sequential mode `path` is the name without its number, and may end in `/`.
    Create {
        /// Where.
        path: String,
        /// With what.
        data: Bytes,
        /// How.
        mode: CreateMode,
        /// Who may do what with it; none is everything for everybody.
        acl: Option<Vec<Acl>>,
    },
    /// Deletes a znode without children.
    Delete {
        /// Which.
        path: String,
        /// If at this version.
        version: Option<i32>,
    },
    /// Replaces a znode's data.
    SetData {
        /// Which.
        path: String,
        /// By what.
        data: Bytes,
        /// If at this version.
        version: Option<i32>,
    },
    /// Replaces a znode's access control list.
    SetAcl {
        /// Which.
        path: String,
        /// By what.
        acl: Vec<Acl>,
        /// If the list is at this version.
        version: Option<i32>,
    },
    /// Fails unless the znode is there, and at this version.
    Check {
        /// Which.
        path: String,
        /// At which version.
        version: Option<i32>,
    },
    /// Deletes a container or TTL znode if its time has come; the sweep proposes these.
    Expire {
        /// Which.
        path: String,
    },
}

impl Op {
    /// A create of a znode that is open to everybody.
    pub fn create(path: impl Into<String>, data: impl Into<Bytes>, mode: CreateMode) -> Op {
        let (path, data) = (path.into(), data.into());
        Op::Create {
            path,
            data,
            mode,
            acl: None,
        }
    }

    /// A create of a znode with an access control list.
    pub fn create_with(
        path: impl Into<String>,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Op {
        let (path, data) = (path.into(), data.into());
        Op::Create {
            path,
            data,
            mode,
            acl: Some(acl),
        }
    }

    /// A change of the access control list, of any version where `version` is none.
    pub fn set_acl(path: impl Into<String>, acl: Vec<Acl>, version: Option<i32>) -> Op {
        let path = path.into();
        Op::SetAcl { path, acl, version }
    }

    /// A delete, of any version where `version` is none.
    pub fn delete(path: impl Into<String>, version: Option<i32>) -> Op {
        let path = path.into();
        Op::Delete { path, version }
    }

    /// A set, of any version where `version` is none.
    pub fn set(path: impl Into<String>, data: impl Into<Bytes>, version: Option<i32>) -> Op {
        let (path, data) = (path.into(), data.into());
        Op::SetData {
            path,
            data,
            version,
        }
    }

    /// A check, of mere existence where `version` is none.
    pub fn check(path: impl Into<String>, version: Option<i32>) -> Op {
        let path = path.into();
        Op::Check { path, version }
    }

    /// Bytes of path, data and list.
    pub(crate) fn size(&self) -> usize {
        let listed = |acl: &[Acl]| -> usize { acl.iter().map(Acl::size).sum() };
        match self {
            Op::Create {
                path, data, acl, ..
            } => path.len() + data.len() + acl.as_deref().map_or(0, listed),
            Op::SetData { path, data, .. } => path.len() + data.len(),
            Op::SetAcl { path, acl, .. } => path.len() + listed(acl),
            Op::Delete { path, .. } | Op::Check { path, .. } | Op::Expire { path } => path.len(),
        }
    }
}

/// What a client, or the service itself, wants to become of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// All of these operations or none; `session` 0 is the service itself.
    Ops {
        /// Who asks; ephemeral znodes are this session's.
        session: i64,
        /// Who that is.
        caller: Caller,
        /// What, in order; each sees what those before it did.
        ops: Vec<Op>,
    },
    /// A new session.
    OpenSession {
        /// Its id: not 0, unused, and not starting with the byte 0xff.
        id: i64,
        /// What is to be known of it.
        record: SessionRecord,
    },
    /// The end of sessions and of their ephemeral znodes. Those already gone are passed over.
    CloseSessions {
        /// Which.
        ids: Vec<i64>,
    },
}

impl Request {
    /// These operations, asked by the service or a session that lives in this process.
    pub(crate) fn internal(session: i64, ops: Vec<Op>) -> Request {
        Request::Ops {
            session,
            caller: Caller::Service,
            ops,
        }
    }
}

/// A znode that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its path, with its number where it has one.
    pub path: String,
    /// Its numbers.
    pub stat: Stat,
}

/// What became of one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// Of [`Op::Create`].
    Created(Created),
    /// Of [`Op::Delete`] and [`Op::Expire`].
    Deleted,
    /// Of [`Op::SetData`]: the znode's new numbers.
    Set(Stat),
    /// Of [`Op::SetAcl`]: the znode's new numbers.
    AclSet(Stat),
    /// Of [`Op::Check`].
    Checked,
}
