//! One member under test, with everybody else played by the test.

use std::sync::Arc;

use bytes::Bytes;

use super::super::*;
use crate::Zxid;

pub(super) const fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

pub(super) fn txn(epoch: u32, counter: u32) -> Txn {
    Txn {
        zxid: z(epoch, counter),
        origin: MemberId(1),
        request: u64::from(counter),
        payload: Payload::Data(Bytes::from(format!("{epoch}/{counter}"))),
    }
}

pub(super) fn txns(epoch: u32, counters: std::ops::RangeInclusive<u32>) -> Vec<Txn> {
    counters.map(|counter| txn(epoch, counter)).collect()
}

pub(super) fn voters(ids: &[u64]) -> Arc<Config> {
    Arc::new(Config::new(ids, &[]))
}

/// A disk with nothing on it, of a voter among 1, 2 and 3.
pub(super) fn empty() -> Recovered {
    Recovered {
        accepted_epoch: 0,
        current_epoch: 0,
        committed: Zxid::ZERO,
        base: Zxid::ZERO,
        recent: Vec::new(),
        config: voters(&[1, 2, 3]),
        amnesiac: false,
    }
}

/// A disk with epoch 1 and `count` transactions of it, all committed.
pub(super) fn with_history(count: u32) -> Recovered {
    Recovered {
        accepted_epoch: 1,
        current_epoch: 1,
        committed: z(1, count),
        recent: txns(1, 1..=count),
        ..empty()
    }
}

pub(super) struct Probe {
    pub(super) member: Member,
    pub(super) now_ms: u64,
    next_link: u64,
    /// The actions since they were last taken.
    pub(super) out: Vec<Action>,
    newest_token: Token,
}

impl Probe {
    pub(super) fn new(id: u64, recovered: Recovered) -> Probe {
        let settings = Settings {
            window: 4,
            counter_max: 12,
            ..Settings::default()
        };
        let member = Member::new(MemberId(id), settings);
        let mut probe = Probe {
            member,
            now_ms: 0,
            next_link: 1,
            out: Vec::new(),
            newest_token: Token(0),
        };
        probe.event(Event::Start(recovered));
        probe
    }

    pub(super) fn event(&mut self, event: Event) -> &mut Probe {
        self.member.handle(self.now_ms, event, &mut self.out);
        for action in &self.out {
            let token = match action {
                Action::Append { token, .. }
                | Action::Truncate { token, .. }
                | Action::PersistAcceptedEpoch { token, .. }
                | Action::PersistCurrentEpoch { token, .. }
                | Action::InstallSnapshot { token, .. }
                | Action::ClearAmnesia { token } => *token,
                _ => continue,
            };
            self.newest_token = self.newest_token.max(token);
        }
        self
    }

    /// The actions since the last call.
    pub(super) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn link(&mut self, peer: u64) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.event(Event::LinkUp {
            peer: MemberId(peer),
            link,
        });
        link
    }

    pub(super) fn current_link(&self, peer: u64) -> LinkId {
        self.member.links[&MemberId(peer)]
    }

    /// A message over the link to `peer` as it is now.
    pub(super) fn from(&mut self, peer: u64, message: Message) -> &mut Probe {
        let link = self.current_link(peer);
        self.event(Event::Message {
            link,
            from: MemberId(peer),
            message,
        })
    }

    /// Everything that was ordered is on disk.
    pub(super) fn durable(&mut self) -> &mut Probe {
        // What becomes durable may order more.
        loop {
            let token = self.newest_token;
            self.event(Event::Durable(token));
            if token == self.newest_token {
                return self;
            }
        }
    }

    pub(super) fn pass_ms(&mut self, ms: u64) -> &mut Probe {
        self.now_ms += ms;
        self.event(Event::Tick)
    }

    /// Hears that `leader` leads, so that it is followed.
    pub(super) fn hear_of_leader(&mut self, leader: u64) -> &mut Probe {
        let notification = Notification {
            round: 1,
            standing: Standing::Leading { established: true },
            vote: None,
            asks: false,
            config: self.member.config().clone(),
        };
        self.from(leader, Message::Notification(notification))
    }

    /// A learner of member 3 that has promised `epoch`.
    pub(super) fn promised(id: u64, recovered: Recovered, epoch: u32) -> Probe {
        let mut probe = Probe::new(id, recovered);
        probe.link(3);
        probe.hear_of_leader(3);
        probe.from(
            3,
            Message::LeaderInfo {
                epoch,
                heals: false,
            },
        );
        probe.durable();
        probe
    }

    /// A follower of member 3 that serves in `epoch` with the history it came with.
    pub(super) fn following(id: u64, recovered: Recovered, epoch: u32) -> Probe {
        let mut probe = Probe::promised(id, recovered, epoch);
        let last = probe.member.last_proposed();
        let config = probe.member.config().clone();
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
                epoch,
                last,
                config,
            },
        );
        probe.durable();
        probe.from(
            3,
            Message::UpToDate {
                committed: last,
                digest: None,
            },
        );
        probe.take();
        probe
    }

    pub(super) fn vote(&mut self, from: u64, epoch: u32, zxid: Zxid, leader: u64) -> &mut Probe {
        let round = self.member.round;
        let notification = Notification {
            round,
            standing: Standing::Looking,
            vote: Some(Vote {
                epoch,
                zxid,
                leader: MemberId(leader),
            }),
            asks: false,
            config: self.member.config().clone(),
        };
        self.from(from, Message::Notification(notification))
    }

    pub(super) fn info(&mut self, from: u64, accepted_epoch: u32, amnesiac: bool) -> &mut Probe {
        let info = FollowerInfo {
            accepted_epoch,
            amnesiac,
            wants_snapshot: false,
        };
        self.from(from, Message::FollowerInfo(info))
    }

    /// Member 3, elected by 2, before it knows of anybody's epoch.
    pub(super) fn elected(recovered: Recovered) -> Probe {
        let mut probe = Probe::new(3, recovered);
        probe.link(2);
        let (epoch, zxid) = (probe.member.current_epoch(), probe.member.last_proposed());
        probe.vote(2, epoch, zxid, 3);
        probe.take();
        probe
    }

    /// A learner does all it has to up to the ACK of NEWLEADER, with `last` as the end of its log.
    pub(super) fn join(&mut self, from: u64, last: Zxid) -> &mut Probe {
        let accepted = self.member.accepted_epoch();
        self.info(from, accepted.saturating_sub(1), false).durable();
        let epoch = self.member.accepted_epoch();
        let current_epoch = last.epoch();
        self.from(
            from,
            Message::AckEpoch {
                epoch,
                current_epoch,
                last,
                counts: true,
            },
        )
        .durable();
        self.acknowledge_new_leader(from)
    }

    pub(super) fn acknowledge_new_leader(&mut self, from: u64) -> &mut Probe {
        let (epoch, last) = (self.member.accepted_epoch(), self.member.last_proposed());
        self.from(from, Message::AckNewLeader { epoch, last })
            .durable()
    }

    /// Member 3, leading an established epoch with 2.
    pub(super) fn leading(recovered: Recovered) -> Probe {
        let mut probe = Probe::elected(recovered);
        let last = probe.member.last_proposed();
        probe.join(2, last);
        assert_eq!(probe.member.role(), Role::Leading);
        probe.take();
        probe
    }

    pub(super) fn propose(&mut self, count: u64) -> &mut Probe {
        let proposal = |request| Proposal {
            origin: MemberId(3),
            request,
            bytes: Bytes::from_static(b"x"),
        };
        self.event(Event::Propose((0..count).map(proposal).collect()))
    }

    /// Messages to `peer` among the actions so far, with what they wait for.
    pub(super) fn sent_to(&self, peer: u64) -> Vec<(Message, Option<Token>)> {
        let sent = |action: &Action| match action {
            Action::Send {
                to, message, after, ..
            } if *to == MemberId(peer) => Some((message.clone(), *after)),
            _ => None,
        };
        self.out.iter().filter_map(sent).collect()
    }

    pub(super) fn is_looking(&self) -> bool {
        self.member.standing() == Standing::Looking
    }

    pub(super) fn dropped_links(&self) -> usize {
        self.out
            .iter()
            .filter(|action| matches!(action, Action::DropLink { .. }))
            .count()
    }
}

/// The token of the first disk action that `matches`.
pub(super) fn place(actions: &[Action], matches: impl Fn(&Action) -> bool) -> usize {
    actions
        .iter()
        .position(matches)
        .expect("the action is there")
}
