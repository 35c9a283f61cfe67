//! Election: the voters agree on who shall lead. It is only a hint: that the leader has the newest history of a
//! quorum is seen to by discovery. But a good hint makes recovery fast.
//!
//! Votes of one round are compared; the best candidate that anybody knows wins. A member that finds somebody leading
//! already turns to it, without an election.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::events::Action;
use super::member::{Member, Phase};
use super::messages::{FollowerInfo, Message, Notification, Standing, Vote};
use super::planted::planted;
use super::types::{LinkId, MemberId};

/// One round of an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Election {
    /// Whether this member stands for election.
    stands: bool,
    /// For whom it votes. A member that is no voter as far as it knows does so as well: it may be one in a change that
    /// it has not heard of, and without its vote nobody could be elected to tell it. Who is counted is for those to
    /// say who count. None for a member that must not be counted anywhere.
    vote: Option<Vote>,
    /// The votes of this round, this member's own among them.
    tally: BTreeMap<MemberId, Vote>,
    /// When a quorum for the vote is good enough.
    decides_at_ms: Option<u64>,
    notifies_at_ms: u64,
    /// When it all begins again.
    restarts_at_ms: u64,
    /// Members that have already turned to this one.
    early: BTreeMap<MemberId, (LinkId, FollowerInfo)>,
}

impl Member {
    /// The vote for oneself, of a member that may be elected.
    fn own_vote(&self) -> Option<Vote> {
        let may = self.membership.is_voter(self.id) && self.may_support();
        may.then(|| Vote {
            epoch: self.current_epoch,
            zxid: self.history.last(),
            leader: self.id,
        })
    }

    /// Whether its vote for another may be counted.
    fn may_support(&self) -> bool {
        (!self.amnesiac || planted!(self, AmnesiacVotes)) && !self.abstains()
    }

    fn abstains(&self) -> bool {
        self.now_ms < self.abstains_until_ms
    }

    /// Begins a new round.
    pub(super) fn look(&mut self, out: &mut Vec<Action>) {
        let vote = self.own_vote();
        // Who does not stand begins nothing: rounds are the candidates'.
        self.round += u64::from(vote.is_some());
        let early = match &mut self.phase {
            Phase::Looking(election) => std::mem::take(&mut election.early),
            _ => BTreeMap::new(),
        };
        self.phase = Phase::Looking(Election {
            stands: vote.is_some(),
            vote,
            tally: vote.map(|vote| (self.id, vote)).into_iter().collect(),
            decides_at_ms: None,
            notifies_at_ms: self.now_ms.saturating_add(self.settings.notify_ms),
            restarts_at_ms: self.now_ms.saturating_add(self.settings.init_limit_ms),
            early,
        });
        self.notify_all(true, out);
        self.decide(out);
    }

    /// Says to one member what this one is doing, and whom it votes for.
    pub(super) fn notify(&self, to: MemberId, asks: bool, out: &mut Vec<Action>) {
        let Some(link) = self.links.get(&to).copied() else {
            return;
        };
        let vote = match &self.phase {
            Phase::Looking(election) => election.vote,
            Phase::Leading(leader) => {
                let (epoch, zxid) = leader.summary;
                Some(Vote {
                    epoch,
                    zxid,
                    leader: self.id,
                })
            }
            _ => None,
        };
        let notification = Notification {
            round: self.round,
            standing: self.standing(),
            vote,
            asks,
            config: Arc::clone(&self.membership.committed),
        };
        out.push(Action::Send {
            link,
            to,
            message: Message::Notification(notification),
            after: None,
        });
    }

    pub(super) fn notify_all(&self, asks: bool, out: &mut Vec<Action>) {
        for peer in self.links.keys() {
            self.notify(*peer, asks, out);
        }
    }

    pub(super) fn notified(
        &mut self,
        from: MemberId,
        notification: Notification,
        out: &mut Vec<Action>,
    ) {
        let Notification {
            round,
            standing,
            vote,
            asks,
            config,
        } = notification;
        match &self.phase {
            Phase::Looking(_) if self.membership.learn(&config) => {
                self.config_changed(out);
                self.look(out);
            }
            _ => {}
        }
        match &mut self.phase {
            Phase::Looking(election) => match standing {
                Standing::Looking => {
                    election.early.remove(&from);
                    if asks || round < self.round {
                        self.notify(from, false, out);
                    }
                    if let Some(vote) = vote
                        && self.membership.is_voter(from)
                    {
                        self.voted(from, round, vote, out);
                    }
                }
                Standing::Leading { established } => self.consider(from, vote, established, out),
                Standing::Following(_) => {}
            },
            Phase::Learning(learner) => {
                // Its supposed leader does something else: there is nothing to wait for.
                let refuses = match standing {
                    Standing::Following(_) => true,
                    Standing::Looking => vote.is_none_or(|vote| vote.leader != from),
                    Standing::Leading { .. } => false,
                };
                if learner.leader == from && refuses {
                    self.leave(out);
                } else if asks {
                    self.notify(from, false, out);
                }
            }
            Phase::Leading(_) if asks => self.notify(from, false, out),
            _ => {}
        }
    }

    fn voted(&mut self, from: MemberId, round: u64, vote: Vote, out: &mut Vec<Action>) {
        let (own, may_support) = (self.own_vote(), self.may_support());
        let Phase::Looking(election) = &mut self.phase else {
            return;
        };
        if round < self.round && election.stands {
            return;
        }
        let newer = round != self.round;
        if newer {
            self.round = round;
            election.tally.clear();
            election.vote = own;
        }
        let better = may_support && election.vote.is_none_or(|own| vote > own);
        if better {
            election.vote = Some(vote);
        }
        if newer || better {
            election.decides_at_ms = None;
            election
                .tally
                .extend(election.vote.map(|vote| (self.id, vote)));
        }
        election.tally.insert(from, vote);
        if newer || better {
            self.notify_all(newer, out);
        }
        self.decide(out);
    }

    /// Somebody leads. An established leader is followed; one that is not yet only if its history is good enough.
    fn consider(
        &mut self,
        from: MemberId,
        vote: Option<Vote>,
        established: bool,
        out: &mut Vec<Action>,
    ) {
        if self.abstains() {
            return;
        }
        let good_enough = match (self.own_vote(), vote) {
            (Some(own), Some(vote)) => established || vote > own,
            (None, _) => true,
            (Some(_), None) => established,
        };
        if good_enough && let Some(link) = self.links.get(&from).copied() {
            self.follow(from, link, out);
        }
    }

    /// Ends the election, if it is won.
    fn decide(&mut self, out: &mut Vec<Action>) {
        let Phase::Looking(election) = &mut self.phase else {
            return;
        };
        let Some(vote) = election.vote else { return };
        // Who has turned to this member already has made up its mind, and votes no more.
        let turned = |id: MemberId| vote.leader == self.id && election.early.contains_key(&id);
        let supports = |id: MemberId| election.tally.get(&id) == Some(&vote) || turned(id);
        if !self.membership.is_quorum(supports) {
            election.decides_at_ms = None;
            return;
        }
        let hears = |id: MemberId| id == self.id || self.links.contains_key(&id);
        let all = self
            .membership
            .voters()
            .filter(|id| hears(*id))
            .all(supports);
        let wait_ms = if all { 0 } else { self.settings.finalize_ms };
        let latest = self.now_ms.saturating_add(wait_ms);
        let decides_at_ms = election.decides_at_ms.map_or(latest, |at| at.min(latest));
        election.decides_at_ms = Some(decides_at_ms);
        if decides_at_ms > self.now_ms {
            return;
        }
        if vote.leader == self.id {
            let early = std::mem::take(&mut election.early);
            self.lead(early, out);
        } else if let Some(link) = self.links.get(&vote.leader).copied() {
            self.follow(vote.leader, link, out);
        }
    }

    pub(super) fn tick_looking(&mut self, out: &mut Vec<Action>) {
        let stands = self.own_vote().is_some();
        let Phase::Looking(election) = &mut self.phase else {
            return;
        };
        if election.restarts_at_ms <= self.now_ms || stands != election.stands {
            self.look(out);
            return;
        }
        if election.notifies_at_ms <= self.now_ms {
            election.notifies_at_ms = self.now_ms.saturating_add(self.settings.notify_ms);
            self.notify_all(true, out);
        }
        self.decide(out);
    }

    pub(super) fn lost_while_looking(&mut self, peer: MemberId, out: &mut Vec<Action>) {
        let Phase::Looking(election) = &mut self.phase else {
            return;
        };
        election.early.remove(&peer);
        if election.vote.is_some_and(|vote| vote.leader == peer) {
            self.look(out);
        } else {
            election.tally.remove(&peer);
            self.decide(out);
        }
    }

    /// Somebody has been elected elsewhere and turns to this member, which is not as far yet.
    pub(super) fn turned_to_early(
        &mut self,
        from: MemberId,
        link: LinkId,
        info: FollowerInfo,
        out: &mut Vec<Action>,
    ) {
        if let Phase::Looking(election) = &mut self.phase {
            election.early.insert(from, (link, info));
            self.decide(out);
        }
    }
}
