//! What a shard wants done: answers to waiting requests and records for the log.

use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;

use super::Record;

/// Names a waiting request; given by the caller, handed back in [`Action::Reply`] once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// Names a write; given by the shard, handed back in `Event::Written`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A wish of the shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answer a request.
    Reply(ReplyTo, Reply),
    /// Write records after all earlier ones, and tell the end by `Event::Written`. No records: only
    /// wait for the earlier.
    Append {
        token: Token,
        records: Arc<[Record]>,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Heartbeat(ErrorCode),
    /// An error for all, or one for each member in the request's order.
    Leave(Result<Vec<ErrorCode>, ErrorCode>),
    /// One code for each offset in the request's order.
    Commit(Vec<ErrorCode>),
    /// An error for all, or one code for each partition in the request's order.
    DeleteOffsets(Result<Vec<ErrorCode>, ErrorCode>),
    DeleteGroup(ErrorCode),
    Settled(ErrorCode),
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinReply {
    pub error: ErrorCode,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// Filled for the leader alone.
    pub members: Vec<JoinedMember>,
}

/// A member as its group's leader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub metadata: Bytes,
}

/// The answer to a SyncGroup.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncReply {
    pub error: ErrorCode,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

impl JoinReply {
    /// A refusal.
    pub fn error(member_id: impl Into<String>, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

impl SyncReply {
    /// A refusal.
    pub fn error(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

impl Reply {
    /// This answer, had its write failed with `error`: what was fine is not, what was wrong stays
    /// as wrong as it was.
    pub(super) fn failed(self, error: ErrorCode) -> Self {
        match self {
            Self::Join(reply) => Self::Join(JoinReply::error(reply.member_id, error)),
            Self::Sync(_) => Self::Sync(SyncReply::error(error)),
            Self::Heartbeat(_) => Self::Heartbeat(error),
            Self::Leave(_) => Self::Leave(Err(error)),
            Self::Commit(codes) => Self::Commit(
                codes
                    .into_iter()
                    .map(|code| if code == ErrorCode::None { error } else { code })
                    .collect(),
            ),
            Self::DeleteOffsets(_) => Self::DeleteOffsets(Err(error)),
            Self::DeleteGroup(_) => Self::DeleteGroup(error),
            Self::Settled(_) => Self::Settled(error),
        }
    }
}
