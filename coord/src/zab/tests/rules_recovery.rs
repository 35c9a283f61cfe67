//! Rules about epochs, elections, and what a start believes.

use super::super::*;
use super::probe::*;
use crate::Zxid;

#[test]
fn rule_01_the_promise_of_an_epoch_leaves_when_it_is_on_disk() {
    let mut probe = Probe::new(1, with_history(3));
    probe.link(3);
    probe.hear_of_leader(3).take();
    probe.from(
        3,
        Message::LeaderInfo {
            epoch: 2,
            heals: false,
        },
    );
    let Some(Action::PersistAcceptedEpoch { epoch: 2, token }) = probe.out.first().cloned() else {
        panic!("the epoch goes to disk first: {:?}", probe.out);
    };
    let promise = Message::AckEpoch {
        epoch: 2,
        current_epoch: 1,
        last: z(1, 3),
        counts: true,
    };
    assert_eq!(probe.sent_to(3), [(promise, Some(token))]);

    // The leader is one of its own quorum.
    let mut leader = Probe::elected(with_history(3));
    leader.info(2, 1, false);
    let Some(Action::PersistAcceptedEpoch { epoch: 2, token }) = leader.out.first().cloned() else {
        panic!("the epoch goes to disk first: {:?}", leader.out);
    };
    assert_eq!(
        leader.sent_to(2),
        [(
            Message::LeaderInfo {
                epoch: 2,
                heals: false
            },
            Some(token)
        )]
    );
    leader.take();
    leader.from(
        2,
        Message::AckEpoch {
            epoch: 2,
            current_epoch: 1,
            last: z(1, 3),
            counts: true,
        },
    );
    assert_eq!(leader.out, [], "one promise of three is no quorum");
    leader.durable();
    assert!(
        leader
            .out
            .iter()
            .any(|action| matches!(action, Action::PersistCurrentEpoch { epoch: 2, .. }))
    );
}

#[test]
fn an_older_epoch_than_the_promised_one_is_not_followed() {
    let mut probe = Probe::new(
        1,
        Recovered {
            accepted_epoch: 5,
            ..with_history(3)
        },
    );
    probe.link(3);
    probe.hear_of_leader(3).take();
    probe.from(
        3,
        Message::LeaderInfo {
            epoch: 4,
            heals: false,
        },
    );
    assert!(probe.is_looking());
    assert_eq!(probe.dropped_links(), 1);

    // A promise given before is not given twice.
    let mut probe = Probe::new(
        1,
        Recovered {
            accepted_epoch: 5,
            ..with_history(3)
        },
    );
    probe.link(3);
    probe.hear_of_leader(3).take();
    probe.from(
        3,
        Message::LeaderInfo {
            epoch: 5,
            heals: false,
        },
    );
    let again = Message::AckEpoch {
        epoch: 5,
        current_epoch: 1,
        last: z(1, 3),
        counts: false,
    };
    assert_eq!(probe.sent_to(3), [(again, None)]);
}

#[test]
fn a_leader_steps_down_for_a_voter_with_the_newer_history() {
    for (current_epoch, last) in [(1, z(1, 4)), (2, z(1, 1))] {
        let mut leader = Probe::elected(with_history(3));
        leader.info(2, 1, false).durable();
        leader.from(
            2,
            Message::AckEpoch {
                epoch: 2,
                current_epoch,
                last,
                counts: true,
            },
        );
        assert!(leader.is_looking(), "{current_epoch} {last}");
    }
}

#[test]
fn rule_06_stepping_down_waits_for_the_disk() {
    let mut probe = Probe::following(1, with_history(3), 2);
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=2),
        },
    );
    let link = probe.current_link(3);
    probe.take();
    probe.event(Event::LinkDown { link });
    probe.link(2);
    assert_eq!(
        probe.sent_to(2),
        [],
        "nobody is voted for while the log is still being written"
    );
    probe.durable();
    let vote = probe
        .sent_to(2)
        .into_iter()
        .find_map(|(message, _)| match message {
            Message::Notification(notification) => notification.vote,
            _ => None,
        });
    assert_eq!(
        vote,
        Some(Vote {
            epoch: 2,
            zxid: z(2, 2),
            leader: MemberId(1)
        })
    );
}

#[test]
fn rule_07_an_interrupted_snapshot_or_cut_is_read_back_from_disk() {
    // The link ends in the middle of a snapshot.
    let mut probe = Probe::promised(1, with_history(3), 2);
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: true,
        },
    );
    let link = probe.current_link(3);
    probe.take();
    probe.event(Event::LinkDown { link });
    assert!(probe.out.contains(&Action::DiscardSnapshot { link }));
    assert!(probe.out.contains(&Action::Reload));
    probe.link(2);
    assert_eq!(
        probe.sent_to(2),
        [],
        "nothing is said before the disk has been read"
    );
    probe.event(Event::Reloaded(with_history(2)));
    assert_eq!(
        probe.member.last_proposed(),
        z(1, 2),
        "the disk is believed"
    );
    assert_ne!(probe.sent_to(2), []);

    // The link ends before the cut is on disk: first it is waited for, then the disk is read.
    let mut probe = Probe::promised(
        1,
        Recovered {
            committed: z(1, 2),
            ..with_history(3)
        },
        2,
    );
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: Some(z(1, 2)),
            snapshot: false,
        },
    );
    let link = probe.current_link(3);
    probe.take();
    probe.event(Event::LinkDown { link });
    assert!(!probe.out.contains(&Action::Reload));
    probe.durable();
    assert!(probe.out.contains(&Action::Reload));
}

#[test]
fn rule_09_a_history_newer_than_the_current_epoch_is_a_start_like_any_other() {
    let mut recent = txns(1, 1..=3);
    recent.extend(txns(4, 1..=2));
    let recovered = Recovered {
        accepted_epoch: 5,
        recent,
        ..with_history(3)
    };
    let mut probe = Probe::new(3, recovered);
    probe.link(2);
    assert_eq!(probe.member.last_proposed(), z(4, 2));
    // Who has the epoch wins, whatever else this log holds.
    probe.vote(2, 4, z(4, 1), 2);
    assert!(matches!(
        probe.member.standing(),
        Standing::Following(MemberId(2))
    ));

    // And epochs of which only the second was written.
    let probe = Probe::new(
        3,
        Recovered {
            accepted_epoch: 1,
            current_epoch: 2,
            ..with_history(3)
        },
    );
    assert_eq!(probe.member.accepted_epoch(), 2);
}

#[test]
fn rule_13_what_an_old_link_delivers_is_dropped() {
    let mut probe = Probe::following(1, with_history(3), 2);
    let old = probe.current_link(3);
    let new = probe.link(3);
    assert!(
        probe.is_looking(),
        "the old link's end is the end of what was said on it"
    );
    probe.take();
    let message = Message::Propose {
        previous: z(1, 3),
        txns: txns(2, 1..=1),
    };
    probe.event(Event::Message {
        link: old,
        from: MemberId(3),
        message,
    });
    assert_eq!(probe.out, []);
    probe.event(Event::LinkDown { link: old });
    assert_eq!(
        probe.current_link(3),
        new,
        "a late end of the old link does not end the new one"
    );

    // The leader forgets what it knew of a follower on its old link.
    let mut leader = Probe::leading(with_history(3));
    let old = leader.current_link(2);
    leader.link(2);
    leader.propose(1).durable();
    leader.take();
    leader.event(Event::Message {
        link: old,
        from: MemberId(2),
        message: Message::Ack { zxid: z(2, 1) },
    });
    assert_eq!(leader.out, []);
    assert_eq!(leader.member.committed(), z(1, 3));
}

#[test]
fn rule_14_a_leader_without_a_quorum_stops_and_a_follower_without_a_leader_looks() {
    let limit_ms = Settings::default().sync_limit_ms;
    let mut leader = Probe::leading(with_history(3));
    leader.pass_ms(limit_ms);
    leader.from(
        2,
        Message::Pong {
            seq: 1,
            touches: Vec::new(),
        },
    );
    leader.pass_ms(limit_ms);
    assert_eq!(leader.member.role(), Role::Leading);
    leader.take();
    leader.pass_ms(1);
    assert!(leader.out.contains(&Action::RoleChanged {
        role: Role::Looking,
        epoch: 2
    }));
    leader.event(Event::Sync { request: 9 });
    assert!(leader.out.contains(&Action::SyncFailed { request: 9 }));

    let mut follower = Probe::following(1, with_history(3), 2);
    follower.pass_ms(limit_ms);
    follower.from(
        3,
        Message::Ping {
            seq: 1,
            digest: None,
        },
    );
    follower.pass_ms(limit_ms);
    assert!(!follower.is_looking());
    follower.pass_ms(1);
    assert!(follower.is_looking());
    assert_eq!(follower.member.role(), Role::Looking);
}

#[test]
fn rule_15_a_failed_disk_is_the_end_and_a_full_one_is_not() {
    let mut leader = Probe::leading(with_history(3));
    leader.propose(1).take();
    leader.event(Event::Failed("EIO".to_owned()));
    assert!(matches!(leader.out.last(), Some(Action::Fatal(sentence)) if sentence.contains("EIO")));
    leader.take();
    leader.durable().pass_ms(10);
    leader.from(2, Message::Ack { zxid: z(2, 1) });
    assert_eq!(
        leader.out,
        [],
        "a second sync that says it worked is not believed"
    );

    let mut leader = Probe::leading(with_history(3));
    leader.propose(1).take();
    leader.event(Event::Refused(Token(3)));
    assert_eq!(leader.member.role(), Role::Looking);
    assert!(leader.out.contains(&Action::Resume) && leader.out.contains(&Action::Reload));
    leader.event(Event::Reloaded(Recovered {
        accepted_epoch: 2,
        current_epoch: 2,
        ..with_history(3)
    }));
    leader.link(1);
    leader.vote(1, 2, z(1, 3), 3);
    assert!(
        leader.is_looking(),
        "it keeps out of elections while it may have no room"
    );
    leader.pass_ms(Settings::default().room_retry_ms);
    leader.vote(1, 2, z(1, 3), 3);
    assert!(
        matches!(leader.member.standing(), Standing::Leading { .. }),
        "and then goes on"
    );
}

#[test]
fn rule_18_an_amnesiac_voter_is_not_counted_until_a_quorum_without_it_has_synchronized_it() {
    // It does not vote, and does not become a leader.
    let mut amnesiac = Probe::new(
        1,
        Recovered {
            amnesiac: true,
            ..empty()
        },
    );
    amnesiac.link(2);
    assert!(
        amnesiac
            .sent_to(2)
            .iter()
            .all(|(message, _)| match message {
                Message::Notification(notification) => notification.vote.is_none(),
                _ => false,
            })
    );
    amnesiac.vote(2, 0, Zxid::ZERO, 1);
    assert!(amnesiac.is_looking());

    // A leader counts neither its word about epochs, nor its promise, nor its log.
    let mut leader = Probe::elected(with_history(3));
    leader.info(2, 0, true).durable();
    assert_eq!(
        leader.member.accepted_epoch(),
        1,
        "no epoch is chosen with it"
    );
    leader.link(1);
    leader.info(1, 1, false).durable();
    assert_eq!(leader.member.accepted_epoch(), 2);
    assert!(leader.sent_to(2).contains(&(
        Message::LeaderInfo {
            epoch: 2,
            heals: true
        },
        Some(Token(1))
    )));
    leader
        .from(
            2,
            Message::AckEpoch {
                epoch: 2,
                current_epoch: 0,
                last: Zxid::ZERO,
                counts: true,
            },
        )
        .durable();
    assert_eq!(leader.member.current_epoch(), 1);
    leader
        .from(
            1,
            Message::AckEpoch {
                epoch: 2,
                current_epoch: 1,
                last: z(1, 3),
                counts: true,
            },
        )
        .durable();
    leader.acknowledge_new_leader(2);
    assert_eq!(leader.member.role(), Role::Looking);
    leader.acknowledge_new_leader(1);
    assert_eq!(leader.member.role(), Role::Leading);
    // Its acknowledgements count when it has said that the mark is off its disk.
    let down = leader.current_link(1);
    leader.event(Event::LinkDown { link: down });
    leader.propose(1).durable();
    leader.from(2, Message::Ack { zxid: z(2, 1) });
    assert_eq!(leader.member.committed(), z(1, 3));
    leader.from(2, Message::Healed);
    assert_eq!(leader.member.committed(), z(2, 1));
}

#[test]
fn rule_18_an_amnesiac_voter_that_comes_late_gets_an_epoch_chosen_without_it() {
    let mut leader = Probe::leading(with_history(3));
    leader.link(1);
    leader.info(1, 0, true);
    leader
        .from(
            1,
            Message::AckEpoch {
                epoch: 2,
                current_epoch: 0,
                last: Zxid::ZERO,
                counts: true,
            },
        )
        .durable();
    leader.take();
    leader.acknowledge_new_leader(1);
    assert!(
        leader
            .sent_to(1)
            .iter()
            .any(|(message, _)| *message == Message::Renew)
    );
    assert!(
        leader
            .sent_to(2)
            .iter()
            .any(|(message, _)| *message == Message::Renew)
    );
    leader.info(1, 2, true).durable();
    assert_eq!(leader.member.accepted_epoch(), 2, "it does not choose");
    leader.take();
    leader.info(2, 2, false).durable();
    assert!(leader.sent_to(1).iter().any(|(message, _)| *message
        == Message::LeaderInfo {
            epoch: 3,
            heals: true
        }));

    // The voter takes the mark off when the leader says that the epoch is established.
    let mut amnesiac = Probe::new(
        1,
        Recovered {
            amnesiac: true,
            ..empty()
        },
    );
    amnesiac.link(3);
    amnesiac.hear_of_leader(3);
    amnesiac
        .from(
            3,
            Message::LeaderInfo {
                epoch: 3,
                heals: true,
            },
        )
        .durable();
    amnesiac.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: false,
        },
    );
    amnesiac
        .from(
            3,
            Message::NewLeader {
                epoch: 3,
                last: Zxid::ZERO,
                config: voters(&[1, 2, 3]),
            },
        )
        .durable();
    amnesiac.take();
    amnesiac.from(
        3,
        Message::UpToDate {
            committed: Zxid::ZERO,
            digest: None,
        },
    );
    let Some(Action::ClearAmnesia { token }) = amnesiac.out.first().cloned() else {
        panic!("the mark goes: {:?}", amnesiac.out);
    };
    assert!(
        amnesiac
            .sent_to(3)
            .contains(&(Message::Healed, Some(token)))
    );
}
