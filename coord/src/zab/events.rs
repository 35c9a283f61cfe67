//! What happens to a member, and what it wants done.

use std::sync::Arc;

use bytes::Bytes;

use super::membership::{Change, Config};
use super::messages::Message;
use super::types::{Digest, LinkId, MemberId, NotProposed, Recovered, Role, Token, Txn};
use crate::Zxid;

/// A transaction to be proposed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    pub origin: MemberId,
    pub request: u64,
    pub bytes: Bytes,
}

/// What happens to a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The first event of all.
    Start(Recovered),
    /// Time has passed. A few times in each of the limits is often enough.
    Tick,
    LinkUp {
        peer: MemberId,
        link: LinkId,
    },
    LinkDown {
        link: LinkId,
    },
    Message {
        link: LinkId,
        from: MemberId,
        message: Message,
    },

    // The disk.
    /// Everything up to this token is on disk.
    Durable(Token),
    /// There was no room for this append. Neither it nor anything ordered after it was done, or will be.
    Refused(Token),
    /// The disk has failed, and with it this process.
    Failed(String),
    /// The answer to [`Action::Reload`].
    Reloaded(Recovered),
    /// The answer to [`Action::ReadHistory`]: the last transaction of the log at or before the one asked for, and
    /// what follows it.
    HistoryRead {
        link: LinkId,
        common: Zxid,
        txns: Vec<Txn>,
    },
    /// The log does not reach back that far.
    HistoryMissing {
        link: LinkId,
    },
    /// Bytes of a snapshot went over the link, one way or the other.
    SnapshotProgress {
        link: LinkId,
    },
    /// All of the snapshot has been handed to the link; it shows the tree at `zxid`.
    SnapshotSent {
        link: LinkId,
        zxid: Zxid,
    },
    /// All of a snapshot has come in.
    SnapshotReceived {
        link: LinkId,
        zxid: Zxid,
        config: Arc<Config>,
    },

    // The tree and its clients.
    /// The tree shows everything up to the digest's zxid. Comes after every [`Action::Deliver`], and after a start, a
    /// reload and an installed snapshot.
    Applied(Digest),
    /// A client of this member wants to write.
    Request {
        request: u64,
        bytes: Bytes,
    },
    /// The leader's answer to [`Action::Execute`]: transactions, whose zxids follow [`super::Member::last_proposed`].
    Propose(Vec<Proposal>),
    /// The leader's other answer to [`Action::Execute`]: it will not be done.
    Refuse {
        origin: MemberId,
        request: u64,
        reason: Bytes,
    },
    /// The members shall change, if they are still of this version.
    Reconfigure {
        origin: MemberId,
        request: u64,
        change: Change,
        version: Option<Zxid>,
    },
    /// A client of this member wants its next read to show everything that was acknowledged anywhere before.
    Sync {
        request: u64,
    },
    /// Sessions of this member's clients that are alive, for the leader.
    Touches(Bytes),
}

/// What a member wants done. Actions are done in the order in which they were pushed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    // The disk: done in order, each answered by its token.
    Append {
        txns: Vec<Txn>,
        token: Token,
    },
    /// Cuts the log after `to`.
    Truncate {
        to: Zxid,
        token: Token,
    },
    PersistAcceptedEpoch {
        epoch: u32,
        token: Token,
    },
    PersistCurrentEpoch {
        epoch: u32,
        token: Token,
    },
    /// Makes the received snapshot the tree. The log goes, unless `keep_log`: then the snapshot takes the place of the
    /// tree as it was at `zxid`, and what was delivered after it will be delivered again.
    InstallSnapshot {
        link: LinkId,
        zxid: Zxid,
        keep_log: bool,
        token: Token,
    },
    /// Takes away the mark that something was lost.
    ClearAmnesia {
        token: Token,
    },
    /// After [`Event::Refused`]: what is ordered from here on is to be done again.
    Resume,
    /// Reads back what the disk holds, when all that was ordered is done.
    Reload,
    /// What has come in of a snapshot is thrown away.
    DiscardSnapshot {
        link: LinkId,
    },
    /// Reads the log from the last transaction at or before `after`, up to `up_to`, or a part of that.
    ReadHistory {
        link: LinkId,
        after: Zxid,
        up_to: Zxid,
    },

    // The links.
    /// Sends, but not before `after` is durable: what [`super::Outbox`] is for.
    Send {
        link: LinkId,
        to: MemberId,
        message: Message,
        after: Option<Token>,
    },
    /// Sends the tree as it is at `at_least` or later, in the order of the link's messages.
    SendSnapshot {
        link: LinkId,
        to: MemberId,
        at_least: Zxid,
    },
    /// Ends the link. What it still delivers is to be dropped; a new one may be made at once.
    DropLink {
        link: LinkId,
    },

    // The tree and its clients.
    /// Everything up to here is committed, and in this member's log on disk.
    Deliver {
        up_to: Zxid,
    },
    RoleChanged {
        role: Role,
        epoch: u32,
    },
    /// Members to be linked with, and whether another set is on its way.
    ConfigChanged {
        committed: Arc<Config>,
        pending: Option<Arc<Config>>,
    },
    /// The leader is to make a transaction of this request, or refuse it.
    Execute {
        origin: MemberId,
        request: u64,
        bytes: Bytes,
    },
    /// A request of this member's client was refused by the leader, on a history that this member's tree now shows.
    Refusal {
        request: u64,
        reason: Bytes,
    },
    NotProposed {
        request: u64,
        reason: NotProposed,
    },
    /// The tree is fresh enough for the read.
    Synced {
        request: u64,
    },
    SyncFailed {
        request: u64,
    },
    Touched {
        member: MemberId,
        touches: Vec<Bytes>,
    },
    /// Going on would break a promise. The process ends with this sentence; the member does nothing any more.
    Fatal(String),
}
