//! What can happen to a shard: requests in plain types, and what time and the log bring.

use bytes::Bytes;
use protocol::error::ErrorCode;
use uuid::Uuid;

use super::{ReplyTo, Token};

/// The moment of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Milliseconds on a clock that never jumps; deadlines are on it.
    pub ticks_ms: i64,
    /// Milliseconds since the epoch; commit and state timestamps, and so retention, are on it.
    pub wall_ms: i64,
}

/// A thing that happened to a shard.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// JoinGroup.
    Join(JoinRequest, ReplyTo),
    /// SyncGroup.
    Sync(SyncRequest, ReplyTo),
    /// Heartbeat.
    Heartbeat {
        group: String,
        generation: i32,
        member_id: String,
        group_instance_id: Option<String>,
        reply_to: ReplyTo,
    },
    /// LeaveGroup.
    Leave(LeaveRequest, ReplyTo),
    /// OffsetCommit.
    Commit(CommitRequest, ReplyTo),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsetsRequest, ReplyTo),
    /// One group of a DeleteGroups.
    DeleteGroup { group: String, reply_to: ReplyTo },
    /// Answered when all writes of the group that are under way have ended: an OffsetFetch that
    /// requires stable offsets.
    Settle { group: String, reply_to: ReplyTo },
    /// A topic was deleted, and its committed offsets with it.
    TopicDeleted(String),
    /// A write that was asked for by `Action::Append` has ended. Writes end in the order in which
    /// they were asked for.
    Written(Token, Result<(), ErrorCode>),
    /// Time has passed (see `Shard::next_deadline`).
    Tick,
}

/// A JoinGroup request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinRequest {
    pub group: String,
    /// Empty for a member that has none yet.
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// Names and metadata, the most wanted first.
    pub protocols: Vec<(String, Bytes)>,
    /// From version 4: a dynamic member first gets an id and joins again with it (KIP-394).
    pub member_id_required: bool,
    /// From version 9: a leader can be told not to assign (KIP-814).
    pub can_skip_assignment: bool,
    /// The random part of the id that a new member gets.
    pub new_id: Uuid,
}

/// A SyncGroup request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncRequest {
    pub group: String,
    pub generation: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// What the leader gives to whom; empty from the others.
    pub assignments: Vec<(String, Bytes)>,
}

/// A LeaveGroup request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaveRequest {
    pub group: String,
    pub members: Vec<Leaver>,
}

/// Who leaves: a member by its id, or by instance id alone when an administrator removes a static
/// member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaver {
    pub member_id: String,
    pub group_instance_id: Option<String>,
}

/// An OffsetCommit request, for topics that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitRequest {
    pub group: String,
    /// -1 from a consumer without group management.
    pub generation: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    /// Versions 2 to 4 may bring their own retention.
    pub retention_ms: Option<i64>,
    /// From version 9 an unknown group is told as such.
    pub group_not_found: bool,
    pub offsets: Vec<CommitOffset>,
}

/// One partition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitOffset {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// An OffsetDelete request, for topics that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeleteOffsetsRequest {
    pub group: String,
    pub partitions: Vec<(String, i32)>,
}
