//! What a member of a group does next, judged from the coordinator's error codes. Pure.

use protocol::ErrorCode;

use crate::coordinator::is_elsewhere;

/// What was asked of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Join,
    Sync,
    Heartbeat,
    Commit,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same again, a little later.
    Again,
    /// The same, at the coordinator that is found anew.
    FindCoordinator,
    /// Join again with the id that came with the error.
    JoinWithId,
    /// The group is rebalancing: give up the partitions in order, and join as who we are.
    Rejoin,
    /// The group no longer knows us: the partitions are others' already. Join as somebody new.
    JoinAnew,
    /// Nothing that this member could do will help.
    GiveUp,
}

pub(super) fn next(asked: Asked, code: ErrorCode) -> Next {
    match code {
        ErrorCode::MemberIdRequired if asked == Asked::Join => Next::JoinWithId,
        ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => Next::JoinAnew,
        ErrorCode::RebalanceInProgress => Next::Rejoin,
        code if is_elsewhere(code) => Next::FindCoordinator,
        code if code.retriable() => Next::Again,
        _ => Next::GiveUp,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_way_on() {
        use Asked::{Commit, Heartbeat, Join, Sync};
        for (asked, code, expected) in [
            (Join, ErrorCode::MemberIdRequired, Next::JoinWithId),
            (Join, ErrorCode::UnknownMemberId, Next::JoinAnew),
            (Join, ErrorCode::CoordinatorLoadInProgress, Next::Again),
            (Join, ErrorCode::NotCoordinator, Next::FindCoordinator),
            (Join, ErrorCode::InconsistentGroupProtocol, Next::GiveUp),
            (Join, ErrorCode::FencedInstanceId, Next::GiveUp),
            (Join, ErrorCode::GroupAuthorizationFailed, Next::GiveUp),
            (Sync, ErrorCode::RebalanceInProgress, Next::Rejoin),
            (Sync, ErrorCode::IllegalGeneration, Next::JoinAnew),
            (Heartbeat, ErrorCode::RebalanceInProgress, Next::Rejoin),
            (Heartbeat, ErrorCode::UnknownMemberId, Next::JoinAnew),
            (
                Heartbeat,
                ErrorCode::CoordinatorNotAvailable,
                Next::FindCoordinator,
            ),
            (Heartbeat, ErrorCode::MemberIdRequired, Next::GiveUp),
            (Commit, ErrorCode::IllegalGeneration, Next::JoinAnew),
            (Commit, ErrorCode::OffsetMetadataTooLarge, Next::GiveUp),
        ] {
            assert_eq!(next(asked, code), expected, "{asked:?} {code:?}");
        }
    }
}
