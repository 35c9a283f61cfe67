//! What goes into the core and what comes out of it.

use std::sync::Arc;

use super::shared::{LocalSession, Reply};
use crate::Zxid;
use crate::error::MultiError;
use crate::storage::{Entry, StorageError};
use crate::tree::{OpResult, Password, Request, SessionRecord, Txn};

/// What a committed request gave.
pub(crate) struct Done {
    pub(crate) zxid: Zxid,
    /// Whose it is: of an opened session, its id.
    pub(crate) session: i64,
    /// The session that was opened, if it lives in this process.
    pub(crate) opened: Option<LocalSession>,
    pub(crate) results: Vec<OpResult>,
}

/// A moment on two clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since 1970, as the machine's clock has it: what ctime, mtime and TTLs are made of. It can jump either way.
    pub(crate) wall: i64,
    /// Of a clock that only goes on: what deadlines are made of.
    pub(crate) steady: i64,
}

/// What happens to the core.
pub(crate) enum Event {
    /// A request.
    Ask(Request, Reply),
    /// A new session of this process, whose id the core chooses.
    OpenLocal { timeout_ms: u32, reply: Reply },
    /// A new session of a client on the wire, whose id the core chooses.
    OpenClient {
        timeout_ms: u32,
        password: Password,
        reply: Reply,
    },
    /// A client goes on with its session from another connection.
    Resume {
        id: i64,
        timeout_ms: u32,
        password: Password,
        reply: Reply,
    },
    /// To be answered once everything before it is applied.
    Sync(Reply),
    /// A session of this process was dropped; its end need not be answered, but must come.
    Dropped(i64),
    /// The log is on disk up to here.
    Durable(Zxid),
    /// The disk was full: nothing of this generation of proposals from here on was written.
    Refused { generation: u64, reason: Arc<str> },
    /// The log has failed for good.
    Failed(Arc<StorageError>),
    /// No more requests; what is under way is finished.
    Stop,
}

/// What the log thread has to do. Proposals of a generation that was refused are passed over.
pub(crate) enum LogCommand {
    /// Appends and syncs.
    Append { generation: u64, entry: Entry },
    /// Starts a new file.
    Roll,
    /// Finishes what came before and ends.
    Stop,
}

/// Something to be handed out in order.
pub(crate) enum Delivery {
    /// A committed transaction, to be applied and then answered.
    Commit(Txn, Option<Reply>),
    /// A refusal; it was decided against the proposals before it, so it waits for them.
    Refusal(MultiError, Reply),
    /// An answer to this session that waits for what is before it, and says no more than that.
    Fence(i64, Reply),
}

/// One run of one member: what lives in its process ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The member, 1 to 127.
    pub(crate) member: u8,
    /// Which of its runs.
    pub(crate) incarnation: u64,
}

impl Run {
    /// Whether a session lives in this very process.
    pub(crate) fn owns(self, session: &SessionRecord) -> bool {
        session.member == u64::from(self.member) && session.incarnation == self.incarnation
    }

    /// Whether a session lived in a former process of this member.
    pub(crate) fn left(self, session: &SessionRecord) -> bool {
        session.member == u64::from(self.member) && session.incarnation != self.incarnation
    }
}

impl Delivery {
    pub(super) fn is_commit(&self) -> bool {
        matches!(self, Delivery::Commit(..))
    }
}

/// What is to be done, in order within each list.
#[derive(Default)]
pub(crate) struct Actions {
    pub(crate) log: Vec<LogCommand>,
    pub(crate) deliveries: Vec<Delivery>,
    /// What the operator should hear of.
    pub(crate) warning: Option<String>,
}
