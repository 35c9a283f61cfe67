//! Rules about how a learner's history becomes its leader's.

use super::super::*;
use super::probe::*;
use crate::Zxid;

#[test]
fn rule_02_current_epoch_is_durable_only_after_the_history() {
    let mut probe = Probe::promised(1, with_history(3), 2);
    probe.take();
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: false,
        },
    );
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(1, 4..=5),
        },
    );
    assert!(
        !probe
            .out
            .iter()
            .any(|action| matches!(action, Action::PersistCurrentEpoch { .. }))
    );
    probe.from(
        3,
        Message::NewLeader {
            epoch: 2,
            last: z(1, 5),
            config: voters(&[1, 2, 3]),
        },
    );
    let history = place(&probe.out, |action| matches!(action, Action::Append { .. }));
    let epoch = place(&probe.out, |action| {
        matches!(action, Action::PersistCurrentEpoch { epoch: 2, .. })
    });
    assert!(history < epoch, "the history first");
    let Action::PersistCurrentEpoch { token, .. } = probe.out[epoch] else {
        unreachable!()
    };
    let ack = Message::AckNewLeader {
        epoch: 2,
        last: z(1, 5),
    };
    assert_eq!(
        probe.sent_to(3),
        [(ack, Some(token))],
        "then the epoch, and then the ACK"
    );
}

#[test]
fn rule_03_no_proposal_is_acknowledged_before_new_leader() {
    let mut probe = Probe::promised(1, with_history(3), 2);
    probe.take();
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: false,
        },
    );
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(1, 4..=5),
        },
    );
    assert_eq!(
        probe.sent_to(3),
        [],
        "what synchronizes is not acknowledged by itself"
    );
    probe.from(
        3,
        Message::NewLeader {
            epoch: 2,
            last: z(1, 5),
            config: voters(&[1, 2, 3]),
        },
    );
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 5),
            txns: txns(2, 1..=1),
        },
    );
    let sent = probe.sent_to(3);
    assert!(
        matches!(sent[0].0, Message::AckNewLeader { .. })
            && matches!(sent[1].0, Message::Ack { .. })
    );
    assert!(
        sent[0].1 < sent[1].1,
        "the outbox lets them go in this order"
    );

    // A leader does not count one that comes too early.
    let mut leader = Probe::leading(with_history(3));
    leader.link(1);
    leader.info(1, 1, false);
    leader.from(
        1,
        Message::AckEpoch {
            epoch: 2,
            current_epoch: 1,
            last: z(1, 3),
            counts: true,
        },
    );
    leader.propose(1).durable();
    leader.from(1, Message::Ack { zxid: z(2, 1) });
    assert_eq!(leader.member.committed(), z(1, 3));
    assert_eq!(leader.dropped_links(), 1);
}

#[test]
fn rule_04_a_commit_right_after_new_leader_may_be_ahead_of_its_proposals() {
    let mut probe = Probe::promised(1, with_history(3), 2);
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: false,
        },
    );
    probe.from(
        3,
        Message::NewLeader {
            epoch: 2,
            last: z(1, 3),
            config: voters(&[1, 2, 3]),
        },
    );
    probe.take();
    probe.from(3, Message::Commit { up_to: z(2, 2) });
    assert_eq!(probe.out, []);
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=2),
        },
    );
    probe.from(
        3,
        Message::UpToDate {
            committed: z(2, 2),
            digest: None,
        },
    );
    probe.durable();
    assert!(probe.out.contains(&Action::Deliver { up_to: z(2, 2) }));
    assert_eq!(probe.dropped_links(), 0);
}

#[test]
fn rule_05_a_gap_is_refused_and_the_link_dropped() {
    let gaps = [
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 2..=2),
        },
        Message::Propose {
            previous: z(2, 1),
            txns: txns(2, 2..=3),
        },
        Message::Propose {
            previous: z(1, 2),
            txns: txns(2, 1..=1),
        },
        Message::Propose {
            previous: z(1, 3),
            txns: vec![txn(2, 1), txn(2, 3)],
        },
        Message::Inform {
            previous: z(2, 1),
            txns: txns(2, 2..=2),
        },
    ];
    for gap in gaps {
        let mut probe = Probe::following(1, with_history(3), 2);
        probe.from(3, gap.clone());
        assert!(
            !probe
                .out
                .iter()
                .any(|action| matches!(action, Action::Append { .. })),
            "{gap:?}"
        );
        assert_eq!(probe.dropped_links(), 1, "{gap:?}");
        assert_eq!(probe.member.last_proposed(), z(1, 3));
    }
    // A synchronization that lost its end.
    let mut probe = Probe::promised(1, with_history(3), 2);
    probe
        .from(
            3,
            Message::Synchronize {
                truncate_to: None,
                snapshot: false,
            },
        )
        .take();
    probe.from(
        3,
        Message::NewLeader {
            epoch: 2,
            last: z(1, 4),
            config: voters(&[1, 2, 3]),
        },
    );
    assert_eq!(probe.dropped_links(), 1);
}

#[test]
fn rule_08_new_leader_waits_until_the_snapshot_has_been_sent() {
    let mut leader = Probe::leading(Recovered {
        base: z(1, 4),
        recent: txns(1, 5..=8),
        ..with_history(8)
    });
    let link = leader.link(1);
    leader.info(1, 1, false);
    leader.from(
        1,
        Message::AckEpoch {
            epoch: 2,
            current_epoch: 0,
            last: Zxid::ZERO,
            counts: true,
        },
    );
    assert!(
        leader
            .out
            .iter()
            .any(|action| matches!(action, Action::ReadHistory { .. }))
    );
    leader.event(Event::HistoryMissing { link });
    assert!(leader.out.contains(&Action::SendSnapshot {
        link,
        to: MemberId(1),
        at_least: z(1, 8)
    }));
    // Commits go on meanwhile.
    leader.propose(2).durable();
    leader.from(2, Message::Ack { zxid: z(2, 2) });
    assert_eq!(leader.member.committed(), z(2, 2));
    let told = |probe: &Probe| {
        probe
            .sent_to(1)
            .iter()
            .any(|(message, _)| matches!(message, Message::NewLeader { .. }))
    };
    assert!(!told(&leader));
    assert!(
        !leader
            .sent_to(1)
            .iter()
            .any(|(message, _)| matches!(message, Message::Propose { .. }))
    );
    leader.take();
    leader.event(Event::SnapshotSent {
        link,
        zxid: z(2, 1),
    });
    let sent = leader.sent_to(1);
    assert!(
        matches!(&sent[0].0, Message::Propose { previous, txns } if *previous == z(2, 1) && txns.len() == 1)
    );
    assert!(matches!(&sent[1].0, Message::NewLeader { last, .. } if *last == z(2, 2)));
}

#[test]
fn rule_10_the_cut_is_at_the_last_common_transaction() {
    // The learner has (1,4) and (1,5), which this leader never had; and the leader's own reign has begun.
    let mut leader = Probe::leading(with_history(3));
    leader.propose(2).durable();
    leader.link(1);
    leader.info(1, 1, false);
    leader.take();
    leader.from(
        1,
        Message::AckEpoch {
            epoch: 2,
            current_epoch: 1,
            last: z(1, 5),
            counts: true,
        },
    );
    let sent = leader.sent_to(1);
    assert_eq!(
        sent[0].0,
        Message::Synchronize {
            truncate_to: Some(z(1, 3)),
            snapshot: false
        }
    );
    assert!(
        matches!(&sent[1].0, Message::Propose { previous, txns } if *previous == z(1, 3) && txns.len() == 2)
    );

    // From the log on disk, if memory does not go back that far. Its epoch 1 ended before what the learner has.
    let mut recent = txns(2, 1..=8);
    recent.drain(..4);
    let recovered = Recovered {
        current_epoch: 2,
        accepted_epoch: 2,
        committed: z(2, 8),
        base: z(2, 4),
        recent,
        ..empty()
    };
    let mut leader = Probe::leading(recovered);
    let link = leader.link(1);
    leader.info(1, 1, false);
    leader.take();
    leader.from(
        1,
        Message::AckEpoch {
            epoch: 3,
            current_epoch: 1,
            last: z(1, 5),
            counts: true,
        },
    );
    assert_eq!(
        leader.take(),
        [Action::ReadHistory {
            link,
            after: z(1, 5),
            up_to: z(2, 4)
        }]
    );
    leader.event(Event::HistoryRead {
        link,
        common: z(1, 3),
        txns: txns(2, 1..=4),
    });
    let sent = leader.sent_to(1);
    assert_eq!(
        sent[0].0,
        Message::Synchronize {
            truncate_to: Some(z(1, 3)),
            snapshot: false
        }
    );
    assert!(matches!(&sent[3].0, Message::NewLeader { last, .. } if *last == z(2, 8)));

    // The learner cuts there and nowhere else.
    let mut probe = Probe::promised(
        1,
        Recovered {
            committed: z(1, 2),
            ..with_history(5)
        },
        2,
    );
    probe.take();
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: Some(z(1, 3)),
            snapshot: false,
        },
    );
    assert!(matches!(probe.out[..], [Action::Truncate { to, .. }] if to == z(1, 3)));
    // Never below what is committed: that would be another history.
    let mut probe = Probe::promised(
        1,
        Recovered {
            committed: z(1, 4),
            ..with_history(5)
        },
        2,
    );
    probe.take();
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: Some(z(1, 3)),
            snapshot: false,
        },
    );
    assert!(
        matches!(probe.out.last(), Some(Action::Fatal(sentence)) if sentence.contains("committed"))
    );
}

#[test]
fn rule_11_a_diverged_tree_is_noticed_and_replaced() {
    let digest = |counter, value| Digest {
        zxid: z(1, counter),
        value,
    };
    let mut probe = Probe::promised(1, with_history(3), 2);
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: false,
        },
    );
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(1, 4..=6),
        },
    );
    probe.from(
        3,
        Message::NewLeader {
            epoch: 2,
            last: z(1, 6),
            config: voters(&[1, 2, 3]),
        },
    );
    probe.durable();
    probe.take();
    probe.from(
        3,
        Message::UpToDate {
            committed: z(1, 6),
            digest: Some(digest(5, 55)),
        },
    );
    let delivered: Vec<Action> = probe
        .take()
        .into_iter()
        .filter(|a| matches!(a, Action::Deliver { .. }))
        .collect();
    assert_eq!(
        delivered,
        [
            Action::Deliver { up_to: z(1, 5) },
            Action::Deliver { up_to: z(1, 6) }
        ],
        "the delivery stops where the trees are compared"
    );
    probe.event(Event::Applied(digest(5, 54)));
    assert!(probe.is_looking());
    assert_eq!(probe.dropped_links(), 1);
    probe.link(3);
    probe.take();
    probe.hear_of_leader(3);
    let asked = probe
        .sent_to(3)
        .into_iter()
        .find_map(|(message, _)| match message {
            Message::FollowerInfo(info) => Some(info.wants_snapshot),
            _ => None,
        });
    assert_eq!(asked, Some(true));

    // The log, which is this member's word, outlives the snapshot.
    probe.from(
        3,
        Message::LeaderInfo {
            epoch: 2,
            heals: false,
        },
    );
    let link = probe.current_link(3);
    probe.from(
        3,
        Message::Synchronize {
            truncate_to: None,
            snapshot: true,
        },
    );
    probe.take();
    probe.event(Event::SnapshotReceived {
        link,
        zxid: z(1, 5),
        config: voters(&[1, 2, 3]),
    });
    assert!(matches!(
        probe.out[..],
        [Action::InstallSnapshot { keep_log: true, .. }]
    ));
    probe.durable();
    assert!(probe.out.contains(&Action::Deliver { up_to: z(1, 6) }));

    // The leader gives the tree to whom the log does not help, and trees that agree are left alone.
    let mut leader = Probe::leading(with_history(3));
    let link = leader.link(1);
    let info = FollowerInfo {
        accepted_epoch: 1,
        amnesiac: false,
        wants_snapshot: true,
    };
    leader.from(1, Message::FollowerInfo(info));
    leader.from(
        1,
        Message::AckEpoch {
            epoch: 2,
            current_epoch: 1,
            last: z(1, 3),
            counts: true,
        },
    );
    assert!(leader.out.contains(&Action::SendSnapshot {
        link,
        to: MemberId(1),
        at_least: z(1, 3)
    }));
    let mut probe = Probe::following(1, with_history(3), 2);
    probe.event(Event::Applied(digest(3, 33)));
    probe.from(
        3,
        Message::Ping {
            seq: 1,
            digest: Some(digest(3, 33)),
        },
    );
    assert!(!probe.is_looking());
    probe.from(
        3,
        Message::Ping {
            seq: 2,
            digest: Some(digest(3, 34)),
        },
    );
    assert!(probe.is_looking());
}

#[test]
fn rule_17_the_papers_three_unclear_spots() {
    // Proposals go to every follower from NEWLEADER on, acknowledged or not.
    let mut leader = Probe::leading(with_history(3));
    leader.link(1);
    leader.info(1, 1, false);
    leader.from(
        1,
        Message::AckEpoch {
            epoch: 2,
            current_epoch: 1,
            last: z(1, 3),
            counts: true,
        },
    );
    leader.take();
    leader.propose(2);
    assert!(
        matches!(&leader.sent_to(1)[0].0, Message::Propose { previous, .. } if *previous == z(1, 3))
    );
    leader.durable();
    leader.from(2, Message::Ack { zxid: z(2, 2) });
    leader.take();
    // The commit after synchronization carries the newest committed transaction.
    leader.from(
        1,
        Message::AckNewLeader {
            epoch: 2,
            last: z(1, 3),
        },
    );
    assert!(
        matches!(leader.sent_to(1)[0].0, Message::UpToDate { committed, .. } if committed == z(2, 2))
    );

    // What a follower has already is dropped, and what is new taken.
    let mut probe = Probe::following(1, with_history(3), 2);
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=2),
        },
    );
    probe.take();
    probe.from(
        3,
        Message::Propose {
            previous: z(1, 3),
            txns: txns(2, 1..=3),
        },
    );
    assert!(matches!(&probe.out[0], Action::Append { txns, .. } if txns[..] == [txn(2, 3)]));
    assert_eq!(probe.dropped_links(), 0);
}
