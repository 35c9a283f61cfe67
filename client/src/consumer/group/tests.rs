//! What answers of the coordinator do to a member.

use super::*;
use crate::{Client, ClientConfig};

/// A member of generation 7, which nobody coordinates.
fn member() -> Group {
    let client = Client::new(ClientConfig::default()).expect("it has an address");
    let coordinator = Arc::new(Coordinator::new(client, "g"));
    let group = Group::new(coordinator, ConsumerConfig::default());
    {
        let mut state = group.state.lock();
        state.stable = true;
        state.identity = Identity {
            member_id: "m".to_owned(),
            generation: 7,
        };
    }
    group
}

#[test]
fn a_late_answer_to_an_older_commit_does_not_end_the_membership() {
    let group = member();
    let older = Committer {
        generation: 5,
        ..group.committer()
    };
    assert!(group.commit_failed(&older, ErrorCode::IllegalGeneration));
    assert_eq!(group.rejoin(), None);
    assert_eq!(group.committer().generation, 7);
}

#[test]
fn a_member_whose_generation_is_over_joins_as_who_it_is() {
    for (code, member_id) in [
        (ErrorCode::IllegalGeneration, "m"),
        (ErrorCode::UnknownMemberId, ""),
    ] {
        let group = member();
        assert!(group.commit_failed(&group.committer(), code));
        assert_eq!(group.rejoin(), Some(Rejoin::Lost));
        assert_eq!(group.committer().member_id, member_id, "{code:?}");
    }
}
