//! Who belongs to the ensemble, and what is a quorum of it.
//!
//! A change of members is a transaction like any other. From the moment it is in a member's log, that member wants a
//! quorum of the old voters *and* of the new ones for everything, until the change is committed (or cut).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::types::{MemberId, Payload, Txn};
use crate::Zxid;

/// One member of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    pub votes: bool,
    /// Where it is found; only passed on here.
    pub address: Bytes,
}

/// A set of members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The transaction that made it; zero is the set an ensemble begins with.
    pub version: Zxid,
    pub members: BTreeMap<MemberId, Peer>,
}

impl Config {
    /// A set of voters and observers without addresses.
    pub fn new(voters: &[u64], observers: &[u64]) -> Config {
        let peer = |votes| {
            move |id: &u64| {
                (
                    MemberId(*id),
                    Peer {
                        votes,
                        address: Bytes::new(),
                    },
                )
            }
        };
        let voters = voters.iter().map(peer(true));
        Config {
            version: Zxid::ZERO,
            members: voters.chain(observers.iter().map(peer(false))).collect(),
        }
    }

    pub fn is_voter(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|peer| peer.votes)
    }

    pub fn voters(&self) -> impl Iterator<Item = MemberId> {
        self.members
            .iter()
            .filter(|(_, peer)| peer.votes)
            .map(|(id, _)| *id)
    }

    /// The greatest value that a majority of the voters has reached; None without voters.
    fn agreed<T: Ord + Copy>(&self, reached: &impl Fn(MemberId) -> T, missing: usize) -> Option<T> {
        let mut values: Vec<T> = self.voters().map(reached).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values
            .get((values.len() / 2).saturating_sub(missing))
            .copied()
    }
}

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Some join (or change), others leave.
    Incremental {
        joining: BTreeMap<MemberId, Peer>,
        leaving: Vec<MemberId>,
    },
    /// All members anew.
    Whole(BTreeMap<MemberId, Peer>),
}

impl Change {
    /// The set after the change, or None if it makes no sense: someone leaves who is not there or joins as well, or
    /// nobody is left to vote.
    pub fn apply(self, old: &Config, version: Zxid) -> Option<Config> {
        let members = match self {
            Change::Whole(members) => members,
            Change::Incremental { joining, leaving } => {
                let mut members = old.members.clone();
                for id in &leaving {
                    members.remove(id)?;
                }
                if joining.keys().any(|id| leaving.contains(id)) {
                    return None;
                }
                members.extend(joining);
                members
            }
        };
        let config = Config { version, members };
        let has_voters = config.voters().next().is_some();
        has_voters.then_some(config)
    }
}

/// The sets that count for a member now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Membership {
    pub(super) committed: Arc<Config>,
    /// Logged and not known to be committed, oldest first. A leader begins one only when there is none.
    pub(super) pending: Vec<Arc<Config>>,
}

impl Membership {
    pub(super) fn new(committed: Arc<Config>, recent: &[Txn]) -> Membership {
        let mut membership = Membership {
            committed,
            pending: Vec::new(),
        };
        membership.logged(recent);
        membership
    }

    /// The newest set, committed or not.
    pub(super) fn newest(&self) -> &Arc<Config> {
        self.pending.last().unwrap_or(&self.committed)
    }

    fn sets(&self) -> impl Iterator<Item = &Config> {
        std::iter::once(&*self.committed).chain(self.pending.iter().map(|config| &**config))
    }

    /// Whether it votes in any of the sets that count.
    pub(super) fn is_voter(&self, id: MemberId) -> bool {
        self.sets().any(|config| config.is_voter(id))
    }

    /// All who vote in any of the sets, some of them perhaps twice.
    pub(super) fn voters(&self) -> impl Iterator<Item = MemberId> {
        self.sets().flat_map(Config::voters)
    }

    pub(super) fn is_quorum(&self, has: impl Fn(MemberId) -> bool) -> bool {
        self.agreed(has)
    }

    /// The greatest value that a quorum of every set has reached.
    pub(super) fn agreed<T: Ord + Copy + Default>(&self, reached: impl Fn(MemberId) -> T) -> T {
        let agreed = self
            .sets()
            .map(|config| config.agreed(&reached, 0).unwrap_or_default());
        agreed.min().unwrap_or_default()
    }

    /// As `agreed`, with one voter less than it takes.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn agreed_too_soon<T: Ord + Copy + Default>(
        &self,
        reached: impl Fn(MemberId) -> T,
    ) -> T {
        let agreed = self
            .sets()
            .map(|config| config.agreed(&reached, 1).unwrap_or_default());
        agreed.min().unwrap_or_default()
    }

    /// As `agreed`, of the newest set alone.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn agreed_by_the_newest<T: Ord + Copy + Default>(
        &self,
        reached: impl Fn(MemberId) -> T,
    ) -> T {
        self.newest().agreed(&reached, 0).unwrap_or_default()
    }

    /// Sets among these transactions count from now on.
    pub(super) fn logged(&mut self, txns: &[Txn]) -> bool {
        let before = self.pending.len();
        for txn in txns {
            if let Payload::Config(config) = &txn.payload
                && config.version > self.newest().version
            {
                self.pending.push(Arc::clone(config));
            }
        }
        self.pending.len() != before
    }

    /// What is after `to` was cut from the log. A set known to be committed stays.
    pub(super) fn cut(&mut self, to: Zxid) -> bool {
        let before = self.pending.len();
        self.pending.retain(|config| config.version <= to);
        self.pending.len() != before
    }

    /// What is logged up to `committed` is committed.
    pub(super) fn settle(&mut self, committed: Zxid) -> bool {
        let count = self
            .pending
            .iter()
            .take_while(|config| config.version <= committed)
            .count();
        match self.pending.drain(..count).next_back() {
            Some(config) => {
                self.committed = config;
                true
            }
            None => false,
        }
    }

    /// Somebody says that this set is committed. Then every quorum after it is one of it, whether it is in this
    /// member's log or not; and without this, a member that has logged the change but not heard of its commit would
    /// look for a quorum of voters that have long been switched off.
    pub(super) fn learn(&mut self, config: &Arc<Config>) -> bool {
        if config.version <= self.committed.version {
            return false;
        }
        self.pending
            .retain(|pending| pending.version > config.version);
        self.committed = Arc::clone(config);
        true
    }
}
