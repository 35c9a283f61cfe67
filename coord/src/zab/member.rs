//! The member: what all phases share, and which phase handles what.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::digests::Digests;
use super::election::Election;
use super::events::{Action, Event};
use super::history::History;
use super::leader::Leader;
use super::learner::Learner;
use super::membership::{Config, Membership};
use super::messages::{Message, Standing};
use super::planted::planted;
use super::requests::Waiting;
use super::types::{LinkId, MemberId, Recovered, Role, Settings, Token};
use crate::Zxid;

/// Where a member stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Before the start.
    Down,
    /// Between two phases: waits until the disk has done all that was ordered from it. What is on its way to the disk
    /// must not come down on what the next leader orders, nor be missing from what is voted with.
    Draining {
        /// Whether what is in memory is in doubt and comes from the disk again.
        reload: bool,
    },
    Reloading,
    Looking(Election),
    Learning(Learner),
    Leading(Leader),
    Dead,
}

/// Tokens that were given out, and how far the disk has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tokens {
    pub(super) issued: Token,
    pub(super) durable: Token,
}

impl Tokens {
    pub(super) fn issue(&mut self) -> Token {
        self.issued.0 += 1;
        self.issued
    }

    pub(super) fn all_durable(self) -> bool {
        self.durable == self.issued
    }
}

/// One member of the ensemble: the whole protocol, and nothing that could wait, fail or be random.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub(super) id: MemberId,
    pub(super) settings: Settings,
    pub(super) now_ms: u64,
    /// Promised: no older epoch is followed.
    pub(super) accepted_epoch: u32,
    /// The epoch whose history the log holds.
    pub(super) current_epoch: u32,
    pub(super) history: History,
    /// Known to be committed; may be ahead of the log.
    pub(super) committed: Zxid,
    pub(super) delivered: Zxid,
    pub(super) membership: Membership,
    pub(super) links: BTreeMap<MemberId, LinkId>,
    pub(super) tokens: Tokens,
    pub(super) phase: Phase,
    role: (Role, u32),
    pub(super) round: u64,
    pub(super) amnesiac: bool,
    pub(super) wants_snapshot: bool,
    /// The disk was full: until then this member neither votes nor follows.
    pub(super) abstains_until_ms: u64,
    pub(super) digests: Digests,
    pub(super) waiting: Waiting,
    pub(super) touches: Vec<Bytes>,
    #[cfg(feature = "planted-bugs")]
    pub(super) bug: Option<super::Bug>,
}

impl Member {
    /// A member before its start.
    pub fn new(id: MemberId, settings: Settings) -> Member {
        assert!(
            settings.ping_ms < settings.sync_limit_ms,
            "a follower must be pinged within its limit"
        );
        assert!(settings.batch_max > 0 && settings.outstanding_max > 0);
        Member {
            id,
            settings,
            now_ms: 0,
            accepted_epoch: 0,
            current_epoch: 0,
            history: History::new(Zxid::ZERO, Vec::new()),
            committed: Zxid::ZERO,
            delivered: Zxid::ZERO,
            membership: Membership::new(Arc::new(Config::new(&[], &[])), &[]),
            links: BTreeMap::new(),
            tokens: Tokens::default(),
            phase: Phase::Down,
            role: (Role::Looking, 0),
            round: 0,
            amnesiac: false,
            wants_snapshot: false,
            abstains_until_ms: 0,
            digests: Digests::default(),
            waiting: Waiting::default(),
            touches: Vec::new(),
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    /// Puts a fault in.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: super::Bug) {
        self.bug = Some(bug);
    }

    pub fn id(&self) -> MemberId {
        self.id
    }

    pub fn role(&self) -> Role {
        self.role.0
    }

    /// The epoch whose history this member holds.
    pub fn current_epoch(&self) -> u32 {
        self.current_epoch
    }

    /// The newest epoch this member has promised to follow.
    pub fn accepted_epoch(&self) -> u32 {
        self.accepted_epoch
    }

    /// The end of the log; for a leader the last proposal.
    pub fn last_proposed(&self) -> Zxid {
        self.history.last()
    }

    /// What the next transaction's zxid will be, if this member leads and may propose.
    pub fn next_zxid(&self) -> Option<Zxid> {
        match &self.phase {
            Phase::Leading(leader) if leader.is_established() => {
                leader.next_zxid(self.history.last(), self.settings.counter_max)
            }
            _ => None,
        }
    }

    pub fn committed(&self) -> Zxid {
        self.committed
    }

    pub fn delivered(&self) -> Zxid {
        self.delivered
    }

    /// The newest set of members known to be committed.
    pub fn config(&self) -> &Arc<Config> {
        &self.membership.committed
    }

    /// Takes in one event at a time of a clock that never goes back, and pushes what is to be done.
    pub fn handle(&mut self, now_ms: u64, event: Event, out: &mut Vec<Action>) {
        self.now_ms = self.now_ms.max(now_ms);
        match (&self.phase, event) {
            (Phase::Dead, _) => {}
            (Phase::Down, Event::Start(recovered)) => self.start(recovered, out),
            (Phase::Down, Event::LinkUp { peer, link }) => {
                self.links.insert(peer, link);
            }
            (Phase::Down, _) | (_, Event::Start(_)) => {
                debug_assert!(false, "there is one start, and it comes first");
            }
            (_, Event::Tick) => self.tick(out),
            (_, Event::LinkUp { peer, link }) => self.link_up(peer, link, out),
            (_, Event::LinkDown { link }) => {
                let peer = self
                    .links
                    .iter()
                    .find(|(_, known)| **known == link)
                    .map(|(peer, _)| *peer);
                if let Some(peer) = peer {
                    self.link_lost(peer, link, out);
                }
            }
            (
                _,
                Event::Message {
                    link,
                    from,
                    message,
                },
            ) => {
                let stale = self.links.get(&from) != Some(&link);
                if !stale || planted!(self, StaleLinkAccepted) {
                    self.message(from, link, message, out);
                }
            }
            (_, Event::Durable(token)) => self.durable(token, out),
            (_, Event::Refused(_)) => self.refused(out),
            (_, Event::Failed(reason)) => self.die(format!("the disk has failed: {reason}"), out),
            (Phase::Reloading, Event::Reloaded(recovered)) => {
                self.recover(recovered);
                self.look(out);
            }
            (_, Event::Reloaded(_)) => debug_assert!(false, "a reload was not asked for"),
            (_, Event::HistoryRead { link, common, txns }) => {
                self.history_read(link, common, txns, out);
            }
            (_, Event::HistoryMissing { link }) => self.history_missing(link, out),
            (_, Event::SnapshotProgress { link }) => self.snapshot_progress(link),
            (_, Event::SnapshotSent { link, zxid }) => self.snapshot_sent(link, zxid, out),
            (_, Event::SnapshotReceived { link, zxid, config }) => {
                self.snapshot_received(link, zxid, &config, out);
            }
            (_, Event::Applied(digest)) => self.applied(digest, out),
            (_, Event::Request { request, bytes }) => self.request(request, bytes, out),
            (_, Event::Propose(proposals)) => self.propose(proposals, out),
            (
                _,
                Event::Refuse {
                    origin,
                    request,
                    reason,
                },
            ) => self.refuse(origin, request, reason, out),
            (
                _,
                Event::Reconfigure {
                    origin,
                    request,
                    change,
                    version,
                },
            ) => {
                self.reconfigure(origin, request, change, version, out);
            }
            (_, Event::Sync { request }) => self.sync(request, out),
            (_, Event::Touches(touches)) => self.touch(touches),
        }
    }

    fn start(&mut self, recovered: Recovered, out: &mut Vec<Action>) {
        self.membership.committed = Arc::clone(&recovered.config);
        self.recover(recovered);
        self.config_changed(out);
        self.look(out);
    }

    /// Believes the disk. The epochs and the history were written one after the other, so a crash may have left a
    /// history that is newer than the current epoch: that is a start like any other, as a member that had the epoch
    /// wins any election against this one.
    fn recover(&mut self, recovered: Recovered) {
        let Recovered {
            accepted_epoch,
            current_epoch,
            committed,
            base,
            recent,
            config,
            amnesiac,
        } = recovered;
        assert!(
            base <= committed,
            "what is not known to be committed must be in memory"
        );
        self.accepted_epoch = accepted_epoch.max(current_epoch);
        self.current_epoch = current_epoch;
        self.history = History::new(base, recent);
        self.committed = committed;
        self.delivered = committed;
        self.amnesiac = amnesiac;
        let known = Arc::clone(&self.membership.committed);
        let tail = self
            .history
            .slice(committed, self.history.last(), usize::MAX);
        self.membership = Membership::new(config, &tail);
        self.membership.learn(&known);
        self.digests = Digests::default();
    }

    fn tick(&mut self, out: &mut Vec<Action>) {
        match &self.phase {
            Phase::Looking(_) => self.tick_looking(out),
            Phase::Learning(_) => self.tick_learning(out),
            Phase::Leading(_) => self.tick_leading(out),
            _ => {}
        }
    }

    fn link_up(&mut self, peer: MemberId, link: LinkId, out: &mut Vec<Action>) {
        if let Some(old) = self.links.get(&peer).copied() {
            self.link_lost(peer, old, out);
        }
        self.links.insert(peer, link);
        if matches!(self.phase, Phase::Looking(_)) {
            self.notify(peer, true, out);
        }
    }

    fn link_lost(&mut self, peer: MemberId, link: LinkId, out: &mut Vec<Action>) {
        self.links.remove(&peer);
        match &mut self.phase {
            Phase::Looking(_) => self.lost_while_looking(peer, out),
            Phase::Learning(learner) if learner.link == link => self.leave(out),
            Phase::Leading(leader)
                if leader.followers.get(&peer).is_some_and(|f| f.link == link) =>
            {
                leader.followers.remove(&peer);
            }
            _ => {}
        }
    }

    /// Ends a link that is in use.
    pub(super) fn drop_link(&mut self, peer: MemberId, link: LinkId, out: &mut Vec<Action>) {
        if self.links.get(&peer) == Some(&link) {
            self.links.remove(&peer);
            out.push(Action::DropLink { link });
        }
    }

    fn message(&mut self, from: MemberId, link: LinkId, message: Message, out: &mut Vec<Action>) {
        match message {
            Message::Notification(notification) => self.notified(from, notification, out),
            Message::FollowerInfo(info) => self.follower_info(from, link, info, out),
            message => match &self.phase {
                Phase::Learning(learner) if learner.leader == from => {
                    self.hear_leader(message, out);
                }
                Phase::Leading(leader) if leader.followers.contains_key(&from) => {
                    self.hear_follower(from, message, out);
                }
                _ => {}
            },
        }
    }

    fn durable(&mut self, token: Token, out: &mut Vec<Action>) {
        debug_assert!(token <= self.tokens.issued, "only what was ordered is done");
        self.tokens.durable = self.tokens.durable.max(token);
        self.history.reached(token);
        match &self.phase {
            Phase::Leading(_) => self.leader_durable(out),
            Phase::Learning(_) => self.learner_durable(),
            _ => {}
        }
        self.deliver(out);
        self.drained(out);
    }

    pub(super) fn set_role(&mut self, role: Role, out: &mut Vec<Action>) {
        let role = (role, self.current_epoch);
        if self.role != role {
            self.role = role;
            out.push(Action::RoleChanged {
                role: role.0,
                epoch: role.1,
            });
        }
    }

    pub(super) fn config_changed(&mut self, out: &mut Vec<Action>) {
        out.push(Action::ConfigChanged {
            committed: Arc::clone(&self.membership.committed),
            pending: self.membership.pending.last().cloned(),
        });
    }

    /// What this member tells others of itself.
    pub(super) fn standing(&self) -> Standing {
        match &self.phase {
            Phase::Learning(learner) => Standing::Following(learner.leader),
            Phase::Leading(leader) => Standing::Leading {
                established: leader.is_established(),
            },
            _ => Standing::Looking,
        }
    }
}
