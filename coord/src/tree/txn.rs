//! A transaction: what was decided, with its results (names, versions, counts, time), so that applying it decides
//! nothing and applying it again over a later state ends in the same tree.

use bytes::Bytes;

use super::SessionRecord;
use super::acl::AclList;
use crate::Zxid;

/// One atomic change of the tree and the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Txn {
    /// Its place in the order of all transactions.
    pub zxid: Zxid,
    /// When it was prepared, in milliseconds since 1970: the ctime or mtime of what it changes.
    pub time: i64,
    /// Who asked for it; 0 is the service itself.
    pub session: i64,
    /// By which request it came to be.
    pub origin: Origin,
    /// What changes.
    pub body: TxnBody,
}

/// Where the request of a transaction entered the ensemble, so that the member there knows whom to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The member, or 0 where nobody waits for an answer.
    pub member: u64,
    /// The member's own number for the request.
    pub request: u64,
}

/// What a transaction changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TxnBody {
    /// A session begins.
    OpenSession {
        /// Its id.
        id: i64,
        /// What is known of it.
        record: SessionRecord,
    },
    /// Sessions end, and these ephemeral znodes with them.
    CloseSessions(Vec<ClosedSession>),
    /// Znodes change, in this order.
    Changes(Vec<Change>),
}

/// A session that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClosedSession {
    /// Its id.
    pub id: i64,
    /// The ephemeral znodes that it leaves, sorted.
    pub paths: Vec<Box<str>>,
}

/// One change of one znode, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The znode comes to be.
    Create {
        /// Its full path.
        path: Box<str>,
        /// Its data.
        data: Bytes,
        /// Its kind in ZooKeeper's encoding.
        owner: i64,
        /// How many children its parent has ever had, this one counted.
        parent_created: i32,
        /// Who may do what with it.
        acl: AclList,
    },
    /// The znode is no more.
    Delete {
        /// Which.
        path: Box<str>,
    },
    /// The znode's data is this.
    Set {
        /// Which.
        path: Box<str>,
        /// The data.
        data: Bytes,
        /// The version that this data has.
        version: i32,
    },
    /// The znode's access control list is this.
    SetAcl {
        /// Which.
        path: Box<str>,
        /// The list.
        acl: AclList,
        /// The version that this list has.
        version: i32,
    },
    /// Nothing; a check that held, kept for the answer.
    Check,
}
