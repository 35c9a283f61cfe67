//! What a leader knows: the stage its reign has come to, and how far each learner is.

use std::collections::{BTreeMap, VecDeque};

use super::events::Action;
use super::member::{Member, Phase};
use super::messages::{FollowerInfo, Message};
use super::planted::planted;
use super::types::{LinkId, MemberId, Token};
use crate::Zxid;

/// How far a reign has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    /// Waits to hear of a quorum's promised epochs.
    Discovery,
    /// Has chosen an epoch, and waits for a quorum to promise it.
    Promises,
    /// Gives its history to the learners, until a quorum has it.
    Synchronization,
    /// Leads.
    Broadcast,
}

/// How far a learner has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FollowerStage {
    /// Was told that a new epoch begins.
    Known,
    /// Has said which epoch it has promised before.
    Informed,
    /// Has promised this one.
    Promised,
    /// The log is being read for it.
    Reading,
    /// A snapshot is on its way to it.
    Snapshotting,
    /// Has been sent everything and NEWLEADER; gets every proposal.
    Told,
    /// Has it all on disk; its acknowledgements count.
    Active,
}

/// A learner, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    pub(super) link: LinkId,
    pub(super) stage: FollowerStage,
    pub(super) accepted_epoch: u32,
    /// Not counted for anything.
    pub(super) amnesiac: bool,
    /// The epoch was chosen without it while it was known to be amnesiac.
    pub(super) heals: bool,
    pub(super) wants_snapshot: bool,
    /// Whether its promise of the epoch is a new one.
    pub(super) counts: bool,
    /// It was told how the synchronization goes.
    pub(super) begun: bool,
    /// The end of its log: as it said, then as it must be after the cut.
    pub(super) last: Zxid,
    /// Everything up to here was sent to it, or was there already.
    pub(super) sent: Zxid,
    pub(super) acked: Zxid,
    /// It was told that everything up to here is committed.
    pub(super) told_committed: Zxid,
    pub(super) heard_at_ms: u64,
    pub(super) pong: u64,
}

impl Follower {
    pub(super) fn new(link: LinkId, info: FollowerInfo, now_ms: u64) -> Follower {
        Follower {
            link,
            stage: FollowerStage::Informed,
            accepted_epoch: info.accepted_epoch,
            amnesiac: info.amnesiac,
            heals: false,
            wants_snapshot: info.wants_snapshot,
            counts: false,
            begun: false,
            last: Zxid::ZERO,
            sent: Zxid::ZERO,
            acked: Zxid::ZERO,
            told_committed: Zxid::ZERO,
            heard_at_ms: now_ms,
            pong: 0,
        }
    }

    /// Whether it has come as far as `stage` and may be counted.
    pub(super) fn counts_from(&self, stage: FollowerStage) -> bool {
        self.stage >= stage && !self.amnesiac
    }

    pub(super) fn send(&self, to: MemberId, message: Message, out: &mut Vec<Action>) {
        out.push(Action::Send {
            link: self.link,
            to,
            message,
            after: None,
        });
    }
}

/// A read that waits until a quorum has confirmed that this member still leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PendingSync {
    pub(super) origin: MemberId,
    pub(super) request: u64,
    pub(super) zxid: Zxid,
    /// The ping that a quorum must answer.
    pub(super) seq: u64,
}

/// A reign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    pub(super) stage: Stage,
    /// 0 until it is chosen.
    pub(super) epoch: u32,
    /// Current epoch and last zxid at the beginning: nobody in the quorum may have more.
    pub(super) summary: (u32, Zxid),
    /// When this is durable, the leader itself is as far as the stage asks of its learners.
    pub(super) token: Option<Token>,
    pub(super) deadline_ms: u64,
    pub(super) followers: BTreeMap<MemberId, Follower>,
    pub(super) ping_seq: u64,
    pub(super) pings_at_ms: u64,
    pub(super) syncs: VecDeque<PendingSync>,
}

impl Leader {
    pub(super) fn is_established(&self) -> bool {
        self.stage == Stage::Broadcast
    }

    /// The zxid after `last`: none at the counter's end.
    pub(super) fn next_zxid(&self, last: Zxid, counter_max: u32) -> Option<Zxid> {
        if last.epoch() < self.epoch {
            return Some(Zxid::new(self.epoch, 1));
        }
        last.next().filter(|next| next.counter() <= counter_max)
    }

    pub(super) fn is_ready(&self, durable: Token) -> bool {
        self.token.is_some_and(|token| token <= durable)
    }
}

impl Member {
    /// Begins to lead: an election was won.
    pub(super) fn lead(
        &mut self,
        early: BTreeMap<MemberId, (LinkId, FollowerInfo)>,
        out: &mut Vec<Action>,
    ) {
        self.phase = Phase::Leading(Leader {
            stage: Stage::Discovery,
            epoch: 0,
            summary: (self.current_epoch, self.history.last()),
            token: None,
            deadline_ms: self.now_ms.saturating_add(self.settings.init_limit_ms),
            followers: BTreeMap::new(),
            ping_seq: 0,
            pings_at_ms: self.now_ms.saturating_add(self.settings.ping_ms),
            syncs: VecDeque::new(),
        });
        self.notify_all(false, out);
        for (peer, (link, info)) in early {
            if self.links.get(&peer) == Some(&link) {
                self.follower_info(peer, link, info, out);
            }
        }
        self.choose_epoch(out);
    }

    /// Whether a quorum, this member with it if `own`, has come as far as `has` asks.
    pub(super) fn has_quorum(&self, own: bool, has: impl Fn(&Follower) -> bool) -> bool {
        let Phase::Leading(leader) = &self.phase else {
            return false;
        };
        let has = |id: MemberId| {
            if id == self.id {
                own
            } else {
                leader.followers.get(&id).is_some_and(&has)
            }
        };
        #[cfg(feature = "planted-bugs")]
        if planted!(self, LeadBelowQuorum) {
            return self.membership.agreed_too_soon(has);
        }
        self.membership.is_quorum(has)
    }

    pub(super) fn hear_follower(
        &mut self,
        from: MemberId,
        message: Message,
        out: &mut Vec<Action>,
    ) {
        let now_ms = self.now_ms;
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&from) else {
            return;
        };
        follower.heard_at_ms = now_ms;
        let active = follower.stage == FollowerStage::Active;
        match message {
            Message::AckEpoch {
                epoch,
                current_epoch,
                last,
                counts,
            } => {
                self.ack_epoch(from, epoch, (current_epoch, last), counts, out);
            }
            Message::AckNewLeader { epoch, last } => self.ack_new_leader(from, epoch, last, out),
            Message::Healed => {
                follower.amnesiac = false;
                self.try_commit(out);
            }
            Message::Ack { zxid } => self.ack(from, zxid, out),
            Message::Pong { seq, touches } => {
                follower.pong = follower.pong.max(seq);
                if !touches.is_empty() {
                    out.push(Action::Touched {
                        member: from,
                        touches,
                    });
                }
                self.confirm_syncs(out);
            }
            Message::Request { request, bytes } if active => {
                self.execute(from, request, bytes, out);
            }
            Message::Sync { request } if active => self.begin_sync(from, request, out),
            _ => {}
        }
    }

    /// Forgets a learner that cannot go on as it is; it comes back over a new link.
    pub(super) fn drop_follower(&mut self, peer: MemberId, out: &mut Vec<Action>) {
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        if let Some(follower) = leader.followers.remove(&peer) {
            self.drop_link(peer, follower.link, out);
        }
    }

    /// The learner on that link, if it is in that stage.
    pub(super) fn follower_on(&self, link: LinkId, stage: FollowerStage) -> Option<MemberId> {
        let Phase::Leading(leader) = &self.phase else {
            return None;
        };
        let found = leader
            .followers
            .iter()
            .find(|(_, f)| f.link == link && f.stage == stage);
        found.map(|(peer, _)| *peer)
    }

    pub(super) fn leader_durable(&mut self, out: &mut Vec<Action>) {
        self.check_promises(out);
        self.try_establish(out);
        self.try_commit(out);
    }

    pub(super) fn tick_leading(&mut self, out: &mut Vec<Action>) {
        let now_ms = self.now_ms;
        let settings = self.settings;
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        // A leader that no quorum hears may have a successor by now: it must not answer another read.
        let silent = |f: &Follower| now_ms.saturating_sub(f.heard_at_ms) > settings.sync_limit_ms;
        let is_over = if leader.stage == Stage::Broadcast {
            !self.has_quorum(true, |f| f.counts_from(FollowerStage::Active) && !silent(f))
                && !planted!(self, LeaderIgnoresSilence)
        } else {
            leader.deadline_ms <= now_ms
        };
        if is_over {
            self.leave(out);
            return;
        }
        let Phase::Leading(leader) = &mut self.phase else {
            return;
        };
        let limit_ms = |f: &Follower| match f.stage {
            FollowerStage::Active => settings.sync_limit_ms,
            _ => settings.init_limit_ms,
        };
        let gone = leader.followers.iter();
        let gone = gone.filter(|(_, f)| now_ms.saturating_sub(f.heard_at_ms) > limit_ms(f));
        let gone: Vec<MemberId> = gone.map(|(peer, _)| *peer).collect();
        if leader.pings_at_ms <= now_ms {
            self.ping(out);
        }
        for peer in gone {
            self.drop_follower(peer, out);
        }
    }
}
