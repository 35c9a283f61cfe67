//! What a shard wants done: answers to waiting requests and records for the log.

use std::sync::Arc;

use protocol::api::join_group::JoinGroupResponse;
use protocol::api::sync_group::SyncGroupResponse;
use protocol::error::ErrorCode;

use super::Record;

/// Names a waiting request; given by the caller, handed back in [`Action::Reply`] once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReplyTo(pub u64);

/// Names a write; given by the shard, handed back in `Event::Written`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub u64);

/// A wish of the shard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
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
pub(crate) enum Reply {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
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

/// The refusal of a JoinGroup.
pub(crate) fn refused_join(member_id: impl Into<String>, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        protocol_name: None,
        member_id: member_id.into().into(),
        ..JoinGroupResponse::default()
    }
}

/// The refusal of a SyncGroup.
pub(crate) fn refused_sync(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: error.code(),
        ..SyncGroupResponse::default()
    }
}

impl Reply {
    /// This answer, had its write failed with `error`: what was fine is not, what was wrong stays
    /// as wrong as it was.
    pub(super) fn failed(self, error: ErrorCode) -> Self {
        match self {
            Self::Join(reply) => Self::Join(refused_join(&*reply.member_id, error)),
            Self::Sync(_) => Self::Sync(refused_sync(error)),
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
