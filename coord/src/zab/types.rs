//! The small types that the phases share: who, over which link, what, and how long.

use std::sync::Arc;

use bytes::Bytes;

use super::membership::Config;
use crate::Zxid;

/// A member's id, the `N` of `server.N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// One connection to one member, as numbered by this member's shell. A number is never used again: what a link that
/// has ended still delivers must be known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One thing that was ordered from the disk. Tokens go up by one, and the disk does what they stand for in that order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One transaction of the history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Txn {
    pub zxid: Zxid,
    /// The member at which it was asked for, and that member's number for the request.
    pub origin: MemberId,
    pub request: u64,
    pub payload: Payload,
}

/// What a transaction carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Something for the tree; never looked into here.
    Data(Bytes),
    /// A new set of members. It counts for quorums as soon as it is logged.
    Config(Arc<Config>),
}

/// The tree's digest after a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    pub zxid: Zxid,
    pub value: u64,
}

/// What a member is to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Serves nobody: it looks for a leader, or has not caught up with one yet.
    Looking,
    /// A voter with a leader.
    Following(MemberId),
    /// A member without a vote, with a leader.
    Observing(MemberId),
    /// The leader of an established epoch.
    Leading,
}

/// Time limits in milliseconds, and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How often a leader pings.
    pub ping_ms: u64,
    /// For how long a leader goes on without a quorum, and a follower without its leader.
    pub sync_limit_ms: u64,
    /// How long discovery and synchronization may take.
    pub init_limit_ms: u64,
    /// How long a voter that has found a quorum waits for a better vote. It waits only for voters it cannot hear.
    pub finalize_ms: u64,
    /// How often a looking member says again whom it votes for.
    pub notify_ms: u64,
    /// For how long a member whose disk was full keeps out of elections.
    pub room_retry_ms: u64,
    /// The last counter of an epoch; less than it can be only to see what happens there.
    pub counter_max: u32,
    /// Committed transactions kept in memory for followers that come back.
    pub window: usize,
    /// Transactions in one message of a synchronization.
    pub batch_max: usize,
    /// Proposals that may be under way.
    pub outstanding_max: usize,
}

impl Default for Settings {
    /// For members in one data centre.
    fn default() -> Settings {
        Settings {
            ping_ms: 100,
            sync_limit_ms: 1_000,
            init_limit_ms: 5_000,
            finalize_ms: 50,
            notify_ms: 200,
            room_retry_ms: 5_000,
            counter_max: u32::MAX,
            window: 10_000,
            batch_max: 256,
            outstanding_max: 10_000,
        }
    }
}

/// What a member's disk holds when it starts, or when it reads its state again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recovered {
    pub accepted_epoch: u32,
    pub current_epoch: u32,
    /// Up to here the history is known to be committed, and the tree shows it.
    pub committed: Zxid,
    /// The transaction before the first of `recent`: at or before `committed`.
    pub base: Zxid,
    /// The log after `base`, whole to its end.
    pub recent: Vec<Txn>,
    /// The newest set of members known to be committed.
    pub config: Arc<Config>,
    /// Something that this voter may have promised or acknowledged is gone.
    pub amnesiac: bool,
}

/// Why something that was asked for was not proposed. It has changed nothing and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotProposed {
    /// There is no leader, or this member is not it.
    NoLeader,
    /// The leader changes its epoch; a moment later it takes proposals again.
    EpochEnds,
    /// Too much is under way.
    Busy,
    /// Another change of members is under way.
    ChangeUnderWay,
    /// The set of members is not of the version that was asked for.
    BadVersion,
    /// The change names members twice, or leaves no voter.
    BadChange,
    /// No quorum of the new voters has the history yet.
    NewQuorumNotReady,
}
