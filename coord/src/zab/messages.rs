//! What members say to one another. How it is encoded is the link's business.

use std::sync::Arc;

use bytes::Bytes;

use super::membership::Config;
use super::types::{Digest, MemberId, NotProposed, Txn};
use crate::Zxid;

/// For whom a voter votes. Votes are ordered as candidates are: by the epoch whose history the candidate holds, then
/// by the last transaction it has logged, then by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    pub epoch: u32,
    pub zxid: Zxid,
    pub leader: MemberId,
}

/// What a member is doing, as elections see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    Looking,
    Following(MemberId),
    /// `established` once a quorum has its history.
    Leading {
        established: bool,
    },
}

/// A member's part in an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    pub round: u64,
    pub standing: Standing,
    /// None from a member that has no vote, or must not use it.
    pub vote: Option<Vote>,
    /// Whether an answer is wanted.
    pub asks: bool,
    /// The newest set of members that the sender knows to be committed.
    pub config: Arc<Config>,
}

/// How a learner stands when it turns to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FollowerInfo {
    pub accepted_epoch: u32,
    /// It has lost something it may have promised: it must not be counted.
    pub amnesiac: bool,
    /// Its tree has diverged: only a snapshot helps.
    pub wants_snapshot: bool,
}

/// A message of the protocol. The names are the paper's and `ZooKeeper`'s.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Notification(Notification),

    // Discovery.
    FollowerInfo(FollowerInfo),
    LeaderInfo {
        epoch: u32,
        /// The epoch was chosen while this amnesiac learner was known and not counted: it is whole once synchronized.
        heals: bool,
    },
    AckEpoch {
        epoch: u32,
        current_epoch: u32,
        last: Zxid,
        /// Whether the promise is new; one that was given before does not count again.
        counts: bool,
    },

    // Synchronization.
    /// First cut the log; then, if so said, wait for a snapshot. Proposals follow, as far as they are missing.
    Synchronize {
        truncate_to: Option<Zxid>,
        snapshot: bool,
    },
    NewLeader {
        epoch: u32,
        /// What the learner's log must end with by now.
        last: Zxid,
        config: Arc<Config>,
    },
    AckNewLeader {
        epoch: u32,
        last: Zxid,
    },
    UpToDate {
        committed: Zxid,
        digest: Option<Digest>,
    },
    /// From an amnesiac voter: it is whole, and its promises are kept from here on.
    Healed,

    // Broadcast.
    Propose {
        /// The transaction before the first: what must be the end of the learner's log.
        previous: Zxid,
        txns: Vec<Txn>,
    },
    Ack {
        zxid: Zxid,
    },
    Commit {
        up_to: Zxid,
    },
    /// For members without a vote: proposals that are committed already. They are not acknowledged.
    Inform {
        previous: Zxid,
        txns: Vec<Txn>,
    },
    Ping {
        seq: u64,
        digest: Option<Digest>,
    },
    Pong {
        seq: u64,
        touches: Vec<Bytes>,
    },
    /// The leader begins a new epoch over the same links: back to discovery.
    Renew,

    // Requests of clients.
    Request {
        request: u64,
        bytes: Bytes,
    },
    Refusal {
        request: u64,
        /// What was decided was decided on the history up to here.
        after: Zxid,
        reason: Bytes,
    },
    NotProposed {
        request: u64,
        reason: NotProposed,
    },
    Sync {
        request: u64,
    },
    SyncReply {
        request: u64,
        zxid: Zxid,
    },
}
