//! What can go wrong with a request, and the numbers that ZooKeeper's clients know it by.
//!
//! `CoordError` is the crate's one error for requests; errors of opening the storage are in `storage`.

use std::sync::Arc;

use crate::storage::StorageError;

/// ZooKeeper's error numbers, as they stand in a reply's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorCode {
    /// No error.
    Ok = 0,
    /// The service could not do it: its storage failed, or it is stopping.
    SystemError = -1,
    /// An operation of a multi that was not tried, as one before it failed.
    RuntimeInconsistency = -2,
    /// Stored data contradicts itself.
    DataInconsistency = -3,
    /// The connection was lost before an answer.
    ConnectionLoss = -4,
    /// A request that cannot be decoded.
    MarshallingError = -5,
    /// An operation that this server does not know.
    Unimplemented = -6,
    /// The operation took too long.
    OperationTimeout = -7,
    /// An argument that no state of the tree would make valid.
    BadArguments = -8,
    /// A session that this server does not know.
    UnknownSession = -12,
    /// A new configuration without a quorum.
    NewConfigNoQuorum = -13,
    /// Another reconfiguration is under way.
    ReconfigInProgress = -14,
    /// The znode does not exist.
    NoNode = -101,
    /// Not permitted by the znode's ACL.
    NoAuth = -102,
    /// The version given is not the znode's.
    BadVersion = -103,
    /// Ephemeral znodes have no children.
    NoChildrenForEphemerals = -108,
    /// The znode exists already.
    NodeExists = -110,
    /// The znode has children.
    NotEmpty = -111,
    /// The session has ended.
    SessionExpired = -112,
    /// An ACL that cannot be.
    InvalidAcl = -114,
    /// Authentication failed.
    AuthFailed = -115,
    /// The session is served by another connection now.
    SessionMoved = -118,
    /// A write to a read-only server.
    NotReadOnly = -119,
    /// An ephemeral znode asked of a local session.
    EphemeralOnLocalSession = -120,
    /// No such watch.
    NoWatcher = -121,
    /// The request was not answered in time.
    RequestTimeout = -122,
    /// Reconfiguration is switched off.
    ReconfigDisabled = -123,
    /// Past the quota of the znode's subtree.
    QuotaExceeded = -125,
    /// The server has too much to do.
    ThrottledOp = -127,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// Why a request was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CoordError {
    /// The znode, or the parent of one to create, does not exist.
    #[error("znode {path} does not exist")]
    NoNode {
        /// The znode that is missing.
        path: String,
    },
    /// The znode to create is there already.
    #[error("znode {path} exists already")]
    NodeExists {
        /// The znode in question.
        path: String,
    },
    /// The znode is not at the version that the request names.
    #[error("znode {path} is not at the version asked for")]
    BadVersion {
        /// The znode in question.
        path: String,
    },
    /// A znode with children cannot be deleted.
    #[error("znode {path} has children")]
    NotEmpty {
        /// The znode in question.
        path: String,
    },
    /// An ephemeral znode cannot have children.
    #[error("znode {path} is ephemeral and has no children")]
    NoChildrenForEphemerals {
        /// The ephemeral parent.
        path: String,
    },
    /// Something that no state of the tree would make valid: a malformed path, a bad TTL, a special znode.
    #[error("invalid request on {path:?}: {reason}")]
    BadArguments {
        /// The path as it was given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Past one of the limits in `tree::limits`.
    #[error("{what} of {size} is over the limit of {limit}")]
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// How much it was.
        size: usize,
        /// How much it may be.
        limit: usize,
    },
    /// The znode's access control list does not permit it.
    #[error("not permitted by the access control list that governs {path}")]
    NoAuth {
        /// The znode in question.
        path: String,
    },
    /// An access control list that is empty, or has a line that cannot be.
    #[error("the access control list for {path} is not valid")]
    InvalidAcl {
        /// The znode in question.
        path: String,
    },
    /// Authentication failed: an unknown scheme, or nothing that proves anything.
    #[error("authentication by scheme {scheme:?} failed")]
    AuthFailed {
        /// The scheme as it was given.
        scheme: String,
    },
    /// Past the hard limit of a quota.
    #[error("the quota of {path} is exceeded")]
    QuotaExceeded {
        /// The top of the subtree under the quota.
        path: String,
    },
    /// There is no such watch.
    #[error("there is no such watch on {path}")]
    NoWatcher {
        /// The path in question.
        path: String,
    },
    /// Something that is switched off.
    #[error("{what}")]
    Unimplemented {
        /// What it is, and what switches it on.
        what: &'static str,
    },
    /// The session has ended: its ephemeral znodes are gone, and it can do no more writes.
    #[error("session 0x{session:x} has ended")]
    SessionExpired {
        /// The session in question.
        session: i64,
    },
    /// The disk has no room for the transaction log. Nothing was written, and the same request may succeed later.
    #[error("no room for the transaction log: {0}")]
    DiskFull(Arc<str>),
    /// A write or a sync failed. This is final: the service takes no more writes until it is started anew.
    #[error("the transaction log failed and takes no more writes: {0}")]
    Storage(Arc<StorageError>),
    /// The service is stopping or has stopped; whether the request took effect is unknown.
    #[error("the coordination service has stopped")]
    Stopped,
}

impl CoordError {
    /// ZooKeeper's number for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            CoordError::NoNode { .. } => ErrorCode::NoNode,
            CoordError::NodeExists { .. } => ErrorCode::NodeExists,
            CoordError::BadVersion { .. } => ErrorCode::BadVersion,
            CoordError::NotEmpty { .. } => ErrorCode::NotEmpty,
            CoordError::NoChildrenForEphemerals { .. } => ErrorCode::NoChildrenForEphemerals,
            CoordError::BadArguments { .. } | CoordError::TooLarge { .. } => {
                ErrorCode::BadArguments
            }
            CoordError::NoAuth { .. } => ErrorCode::NoAuth,
            CoordError::InvalidAcl { .. } => ErrorCode::InvalidAcl,
            CoordError::AuthFailed { .. } => ErrorCode::AuthFailed,
            CoordError::QuotaExceeded { .. } => ErrorCode::QuotaExceeded,
            CoordError::NoWatcher { .. } => ErrorCode::NoWatcher,
            CoordError::Unimplemented { .. } => ErrorCode::Unimplemented,
            CoordError::SessionExpired { .. } => ErrorCode::SessionExpired,
            CoordError::DiskFull(_) | CoordError::Storage(_) => ErrorCode::SystemError,
            CoordError::Stopped => ErrorCode::ConnectionLoss,
        }
    }
}

/// A multi that changed nothing, as one of its operations failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("operation {index} of the multi: {error}")]
pub struct MultiError {
    /// Which operation failed, from 0. A failure of the whole (a session's end, a full disk) is told of operation 0.
    pub index: usize,
    /// Why it failed.
    #[source]
    pub error: CoordError,
}

impl MultiError {
    /// Whether it is no one operation's failure but that of the request: the session has ended, the disk is full, the
    /// service has stopped, or all together is too large.
    pub fn is_whole(&self) -> bool {
        match &self.error {
            CoordError::SessionExpired { .. }
            | CoordError::DiskFull(_)
            | CoordError::Storage(_)
            | CoordError::Stopped => true,
            CoordError::TooLarge { what, .. } => what.starts_with("a multi"),
            _ => false,
        }
    }

    /// ZooKeeper's answer to each of `count` operations: 0 before the one that failed, its own error, -2 after it.
    pub fn codes(&self, count: usize) -> Vec<ErrorCode> {
        (0..count)
            .map(|i| match i.cmp(&self.index) {
                std::cmp::Ordering::Less => ErrorCode::Ok,
                std::cmp::Ordering::Equal => self.error.code(),
                std::cmp::Ordering::Greater => ErrorCode::RuntimeInconsistency,
            })
            .collect()
    }
}

impl From<CoordError> for MultiError {
    fn from(error: CoordError) -> Self {
        MultiError { index: 0, error }
    }
}
