//! Faults to be put in on purpose, to see that the simulator finds them. Without the feature `planted-bugs` there are
//! none, and the questions whether there are fold to `false`.

/// Whether this member has that fault.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($member:expr, $bug:ident) => {
        $member.bug == Some($crate::zab::Bug::$bug)
    };
}

/// Whether this member has that fault: never.
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($member:expr, $bug:ident) => {
        $crate::zab::planted::never()
    };
}

/// Not the literal, so that nobody tidies the question away.
#[cfg(not(feature = "planted-bugs"))]
pub(super) const fn never() -> bool {
    false
}

pub(super) use planted;

/// A fault, named after what is done wrong.
#[cfg(feature = "planted-bugs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Proposals are acknowledged before they are on disk.
    AckBeforeFsync,
    /// The promise of an epoch leaves before it is on disk.
    PromiseBeforeFsync,
    /// A learner says that it has the leader's history before that is on disk.
    NewLeaderAckBeforeFsync,
    /// The current epoch is written before the history that belongs to it.
    CurrentEpochBeforeHistory,
    /// One voter less than a quorum commits.
    CommitBelowQuorum,
    /// One voter less than a quorum makes a leader.
    LeadBelowQuorum,
    /// What the leader does not have stays in the learner's log.
    NoTruncation,
    /// A proposal is logged although the ones before it are missing.
    GapAccepted,
    /// What an old link still delivers is taken in.
    StaleLinkAccepted,
    /// A voter that has lost its disk votes as if it had not.
    AmnesiacVotes,
    /// What was promised is forgotten: the epoch that is followed counts, not the one that was promised.
    PromiseForgotten,
    /// The leader does not care whether a follower has the newer history.
    NewerFollowerIgnored,
    /// Reads are confirmed without asking a quorum.
    SyncWithoutQuorum,
    /// What is committed is delivered before it is on this member's disk.
    DeliverBeforeDurable,
    /// A new follower is told that all that was proposed is committed.
    UpToDateTellsTooMuch,
    /// A change of members is committed by the new ones alone.
    ReconfigWithoutOldQuorum,
    /// A leader does not care whether it hears a quorum.
    LeaderIgnoresSilence,
    /// A diverged tree is not noticed.
    DigestIgnored,
}

#[cfg(feature = "planted-bugs")]
impl Bug {
    /// All of them.
    pub const ALL: &[Bug] = &[
        Bug::AckBeforeFsync,
        Bug::PromiseBeforeFsync,
        Bug::NewLeaderAckBeforeFsync,
        Bug::CurrentEpochBeforeHistory,
        Bug::CommitBelowQuorum,
        Bug::LeadBelowQuorum,
        Bug::NoTruncation,
        Bug::GapAccepted,
        Bug::StaleLinkAccepted,
        Bug::AmnesiacVotes,
        Bug::PromiseForgotten,
        Bug::NewerFollowerIgnored,
        Bug::SyncWithoutQuorum,
        Bug::DeliverBeforeDurable,
        Bug::UpToDateTellsTooMuch,
        Bug::ReconfigWithoutOldQuorum,
        Bug::LeaderIgnoresSilence,
        Bug::DigestIgnored,
    ];
}
