//! Rules about proposals and the counter, and that what is delivered can be delivered again.

use super::super::*;
use super::probe::*;

#[test]
fn rule_12_the_counters_end_moves_to_a_new_epoch() {
    // Next to it; the settings make it 12, so that one can get there.
    let end = 12;
    let mut leader = Probe::leading(with_history(3));
    leader.propose(10).durable();
    leader.from(2, Message::Ack { zxid: z(2, 10) }).take();
    leader.propose(4);
    assert!(
        matches!(
            &leader.out[0],
            Action::NotProposed {
                reason: NotProposed::EpochEnds,
                ..
            }
        ),
        "what does not fit any more is said at once: {:?}",
        leader.out
    );
    let sent: Vec<Message> = leader
        .sent_to(2)
        .into_iter()
        .map(|(message, _)| message)
        .collect();
    assert!(
        matches!(&sent[..], [Message::Propose { txns, .. }, Message::Renew] if txns.len() == 2)
    );
    assert_eq!(
        leader.dropped_links(),
        0,
        "no election: the links stay, and the leader too"
    );
    leader.propose(1);
    assert_eq!(leader.member.last_proposed(), z(2, end));
    // Acknowledgements of the old epoch do not count any more; the new one commits what it left.
    leader.durable();
    leader.from(2, Message::Ack { zxid: z(2, end) });
    assert_eq!(leader.member.committed(), z(2, 10));
    leader.info(2, 2, false).durable();
    leader
        .from(
            2,
            Message::AckEpoch {
                epoch: 3,
                current_epoch: 2,
                last: z(2, end),
                counts: true,
            },
        )
        .durable();
    leader.acknowledge_new_leader(2);
    assert_eq!(leader.member.role(), Role::Leading);
    assert_eq!(leader.member.committed(), z(2, end));
    leader.propose(1);
    assert_eq!(leader.member.last_proposed(), z(3, 1));

    // And where it really is.
    assert_eq!(z(2, u32::MAX).next(), None);

    // The follower goes back to discovery over the same link.
    let mut follower = Probe::following(1, with_history(3), 2);
    follower.from(3, Message::Renew);
    assert_eq!(follower.dropped_links(), 0);
    assert_eq!(follower.member.role(), Role::Looking);
    let info = FollowerInfo {
        accepted_epoch: 2,
        amnesiac: false,
        wants_snapshot: false,
    };
    assert!(
        follower
            .sent_to(3)
            .contains(&(Message::FollowerInfo(info), None))
    );
}

#[test]
fn rule_16_what_is_delivered_after_a_snapshot_may_be_delivered_again() {
    // The core's part: after a restart everything since the last place known to be committed is delivered again, in
    // order and with the same zxids; the tree's part is that transactions carry their results.
    let mut probe = Probe::new(
        1,
        Recovered {
            committed: z(1, 2),
            base: z(1, 1),
            recent: txns(1, 2..=5),
            ..with_history(5)
        },
    );
    probe.link(3);
    probe.hear_of_leader(3);
    probe
        .from(
            3,
            Message::LeaderInfo {
                epoch: 2,
                heals: false,
            },
        )
        .durable();
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: false,
        },
    );
    probe
        .from(
            3,
            Message::NewLeader {
                epoch: 2,
                last: z(1, 5),
                config: voters(&[1, 2, 3]),
            },
        )
        .durable();
    probe.take();
    probe.from(
        3,
        Message::UpToDate {
            committed: z(1, 5),
            digest: None,
        },
    );
    assert!(probe.out.contains(&Action::Deliver { up_to: z(1, 5) }));
    assert_eq!(probe.member.delivered(), z(1, 5));
}

#[test]
fn a_proposal_is_acknowledged_when_it_is_on_disk() {
    let mut probe = Probe::following(1, with_history(3), 2);
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=2),
        },
    );
    let Action::Append { token, .. } = probe.out[0] else {
        panic!("{:?}", probe.out)
    };
    assert_eq!(
        probe.sent_to(3),
        [(Message::Ack { zxid: z(2, 2) }, Some(token))]
    );
}

#[test]
fn only_what_is_committed_and_on_this_members_disk_is_delivered() {
    let mut probe = Probe::following(1, with_history(3), 2);
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=2),
        },
    );
    probe.from(3, Message::Commit { up_to: z(2, 1) });
    assert!(
        !probe
            .out
            .iter()
            .any(|action| matches!(action, Action::Deliver { .. }))
    );
    probe.durable();
    assert!(probe.out.contains(&Action::Deliver { up_to: z(2, 1) }));
    assert_eq!(probe.member.delivered(), z(2, 1));

    // A leader whose own disk is behind its quorum's waits, too.
    let mut leader = Probe::leading(with_history(3));
    leader.link(1);
    leader.join(1, z(1, 3));
    leader.propose(1).take();
    leader.from(1, Message::Ack { zxid: z(2, 1) });
    leader.from(2, Message::Ack { zxid: z(2, 1) });
    assert_eq!(leader.member.committed(), z(2, 1));
    assert_eq!(leader.member.delivered(), z(1, 3));
    leader.durable();
    assert_eq!(leader.member.delivered(), z(2, 1));
}

#[test]
fn a_read_is_confirmed_by_a_ping_sent_after_it() {
    let mut leader = Probe::leading(with_history(3));
    leader.event(Event::Sync { request: 1 });
    leader.event(Event::Sync { request: 2 });
    let pings = leader
        .sent_to(2)
        .iter()
        .filter(|(message, _)| matches!(message, Message::Ping { seq: 1, .. }))
        .count();
    assert_eq!(pings, 1);
    leader.take();
    leader.from(
        2,
        Message::Pong {
            seq: 1,
            touches: Vec::new(),
        },
    );
    assert_eq!(leader.out[0], Action::Synced { request: 1 });
    assert!(
        !leader.out.contains(&Action::Synced { request: 2 }),
        "the ping was on its way before this read came"
    );
    leader.from(
        2,
        Message::Pong {
            seq: 2,
            touches: Vec::new(),
        },
    );
    assert!(leader.out.contains(&Action::Synced { request: 2 }));
}

#[test]
fn a_change_of_members_needs_a_quorum_of_the_old_and_of_the_new() {
    let mut leader = Probe::leading(with_history(3));
    for id in [4, 5] {
        leader.link(id);
        leader.join(id, z(1, 3));
    }
    leader.take();
    let members = Config::new(&[3, 4, 5], &[]).members;
    let reconfigure = |leader: &mut Probe, version| {
        let change = Change::Whole(Config::new(&[3, 4, 5], &[]).members);
        leader.event(Event::Reconfigure {
            origin: MemberId(3),
            request: 7,
            change,
            version,
        });
    };
    reconfigure(&mut leader, Some(z(1, 1)));
    assert_eq!(
        leader.take(),
        [Action::NotProposed {
            request: 7,
            reason: NotProposed::BadVersion
        }]
    );
    reconfigure(&mut leader, Some(crate::Zxid::ZERO));
    assert!(
        leader
            .sent_to(4)
            .iter()
            .any(|(message, _)| matches!(message, Message::Propose { .. }))
    );
    leader.durable();
    leader.from(4, Message::Ack { zxid: z(2, 1) });
    leader.from(5, Message::Ack { zxid: z(2, 1) });
    assert_eq!(
        leader.member.committed(),
        z(1, 3),
        "the new ones alone are not enough"
    );
    leader.from(2, Message::Ack { zxid: z(2, 1) });
    assert_eq!(leader.member.committed(), z(2, 1));
    assert_eq!(leader.member.config().members, members);
    assert_eq!(leader.member.config().version, z(2, 1));
    // From here on the new ones decide.
    leader.propose(1).durable();
    leader.from(2, Message::Ack { zxid: z(2, 2) });
    assert_eq!(leader.member.committed(), z(2, 1));
    leader.from(4, Message::Ack { zxid: z(2, 2) });
    assert_eq!(leader.member.committed(), z(2, 2));
}

#[test]
fn a_leader_that_is_voted_out_says_so_and_goes() {
    let mut leader = Probe::leading(with_history(3));
    leader.link(1);
    leader.join(1, z(1, 3)).take();
    let change = Change::Incremental {
        joining: std::collections::BTreeMap::new(),
        leaving: vec![MemberId(3)],
    };
    leader.event(Event::Reconfigure {
        origin: MemberId(3),
        request: 7,
        change,
        version: None,
    });
    leader.durable();
    leader.from(1, Message::Ack { zxid: z(2, 1) });
    leader.from(2, Message::Ack { zxid: z(2, 1) });
    assert!(
        leader
            .sent_to(2)
            .iter()
            .any(|(message, _)| *message == Message::Commit { up_to: z(2, 1) })
    );
    assert!(leader.is_looking());
}

#[test]
fn the_outbox_holds_messages_until_their_token() {
    let mut outbox = Outbox::default();
    let ack = |counter| Outgoing {
        link: LinkId(1),
        to: MemberId(3),
        message: Message::Ack {
            zxid: z(1, counter),
        },
    };
    assert_eq!(outbox.send(None, ack(0)), Some(ack(0)));
    for counter in 1..=3 {
        assert_eq!(
            outbox.send(Some(Token(u64::from(counter))), ack(counter)),
            None
        );
    }
    assert_eq!(
        outbox.durable(Token(2)),
        [ack(2)],
        "one acknowledgement stands for those before it"
    );
    outbox.link_down(LinkId(1));
    assert_eq!(outbox.durable(Token(3)), []);
}
