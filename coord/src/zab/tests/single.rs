//! An ensemble of one, and members without a vote.

use std::sync::Arc;

use super::super::*;
use super::probe::*;

#[test]
fn a_lone_voter_leads_at_once_and_commits_what_is_on_its_disk() {
    let recovered = Recovered {
        config: voters(&[3]),
        committed: z(1, 2),
        ..with_history(3)
    };
    let mut leader = Probe::new(3, recovered);
    leader.durable();
    assert_eq!(leader.member.role(), Role::Leading);
    assert_eq!(
        leader.member.delivered(),
        z(1, 3),
        "what was logged and not known to be committed is"
    );
    leader.propose(2).take();
    leader.durable();
    assert_eq!(leader.out, [Action::Deliver { up_to: z(2, 2) }]);
    leader.event(Event::Sync { request: 4 });
    assert!(leader.out.contains(&Action::Synced { request: 4 }));
}

#[test]
fn an_observer_is_informed_and_acknowledges_nothing() {
    let config = Arc::new(Config::new(&[3], &[1]));
    let mut leader = Probe::new(
        3,
        Recovered {
            config: config.clone(),
            ..with_history(3)
        },
    );
    leader.durable();
    leader.link(1);
    leader.join(1, z(1, 3)).take();
    leader.propose(1);
    assert_eq!(leader.sent_to(1), []);
    leader.durable();
    assert!(
        matches!(&leader.sent_to(1)[..], [(Message::Inform { previous, .. }, None)] if *previous == z(1, 3))
    );

    let mut observer = Probe::following(
        1,
        Recovered {
            config,
            ..with_history(3)
        },
        2,
    );
    assert_eq!(observer.member.role(), Role::Observing(MemberId(3)));
    observer.from(
        3,
        Message::Inform {
            previous: z(1, 3),
            txns: txns(2, 1..=1),
        },
    );
    assert_eq!(observer.sent_to(3), []);
    observer.durable();
    assert!(observer.out.contains(&Action::Deliver { up_to: z(2, 1) }));
}

#[test]
fn a_refusal_waits_for_the_history_it_was_decided_on() {
    let mut follower = Probe::following(1, with_history(3), 2);
    let reason = bytes::Bytes::from_static(b"no node");
    follower.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=1),
        },
    );
    follower.durable();
    follower.take();
    follower.from(
        3,
        Message::Refusal {
            request: 5,
            after: z(2, 1),
            reason: reason.clone(),
        },
    );
    assert_eq!(follower.out, []);
    follower.from(3, Message::Commit { up_to: z(2, 1) });
    assert_eq!(
        follower.out,
        [
            Action::Deliver { up_to: z(2, 1) },
            Action::Refusal { request: 5, reason }
        ]
    );
}
