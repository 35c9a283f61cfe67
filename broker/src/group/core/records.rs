//! The records of `__consumer_offsets` in plain types. Their bytes are `group::records`' business.

use bytes::Bytes;

/// A record; `None` as its value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// A committed offset.
    Offset {
        group: String,
        topic: String,
        partition: i32,
        value: Option<CommittedOffset>,
    },
    /// A group's last generation that was given out.
    Group {
        group: String,
        value: Option<GroupRecord>,
    },
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub offset: i64,
    /// -1 when the client did not tell it.
    pub leader_epoch: i32,
    /// The client's own words, byte for byte.
    pub metadata: String,
    /// Milliseconds since the epoch.
    pub commit_timestamp_ms: i64,
    /// When an old client asked for a retention of its own.
    pub expire_timestamp_ms: Option<i64>,
}

/// A group in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol_name: Option<String>,
    pub leader: Option<String>,
    /// When the group entered its state; -1 in records of old brokers.
    pub state_timestamp_ms: i64,
    pub members: Vec<MemberRecord>,
}

/// A member in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The member's metadata for the protocol that was chosen.
    pub subscription: Bytes,
    pub assignment: Bytes,
}
