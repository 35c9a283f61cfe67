//! What a member of a group does next, judged from the coordinator's error codes. Pure.

use protocol::ErrorCode;

use crate::coordinator::{Committer, is_elsewhere};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same again, a little later.
    Again,
    /// The same, at the coordinator that is found anew.
    FindCoordinator,
    /// Join again with the id that came with the error.
    JoinWithId,
    /// The group is rebalancing: give up the partitions in order, and join as who we are.
    Rejoin,
    /// The group went on without us: the partitions are others' already. It may know us still,
    /// so join as who we are, or it would wait for the old one's session to end.
    Lost,
    /// The group no longer knows us: the partitions are others' already. Join as somebody new.
    JoinAnew,
    /// Nothing that this member could do will help.
    GiveUp,
}

pub(super) fn verdict(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::MemberIdRequired => Verdict::JoinWithId,
        ErrorCode::IllegalGeneration => Verdict::Lost,
        ErrorCode::UnknownMemberId => Verdict::JoinAnew,
        ErrorCode::RebalanceInProgress => Verdict::Rejoin,
        code if is_elsewhere(code) => Verdict::FindCoordinator,
        code if code.retriable() => Verdict::Again,
        _ => Verdict::GiveUp,
    }
}

/// Who this member is to its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// Empty before the coordinator gave one.
    pub(super) member_id: String,
    /// -1 outside of any.
    pub(super) generation: i32,
}

impl Identity {
    pub(super) fn nobody() -> Self {
        Self {
            member_id: String::new(),
            generation: -1,
        }
    }

    /// Whether it was this one that committed.
    pub(super) fn is(&self, committer: &Committer) -> bool {
        self.generation == committer.generation && self.member_id == committer.member_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_way_on() {
        for (code, expected) in [
            (ErrorCode::MemberIdRequired, Verdict::JoinWithId),
            (ErrorCode::UnknownMemberId, Verdict::JoinAnew),
            (ErrorCode::IllegalGeneration, Verdict::Lost),
            (ErrorCode::RebalanceInProgress, Verdict::Rejoin),
            (ErrorCode::CoordinatorLoadInProgress, Verdict::Again),
            (ErrorCode::NotCoordinator, Verdict::FindCoordinator),
            (ErrorCode::CoordinatorNotAvailable, Verdict::FindCoordinator),
            (ErrorCode::InconsistentGroupProtocol, Verdict::GiveUp),
            (ErrorCode::FencedInstanceId, Verdict::GiveUp),
            (ErrorCode::GroupAuthorizationFailed, Verdict::GiveUp),
            (ErrorCode::OffsetMetadataTooLarge, Verdict::GiveUp),
        ] {
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }
}
