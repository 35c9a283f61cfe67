//! Links between members: in order, until they end. What was under way then is lost, or comes late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use coord::zab::{LinkId, MemberId, Message};

use crate::tree::Tree;

/// What goes over a link.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Message(Message),
    Snapshot(Tree),
}

/// A link between two members. Direction 0 is from the first to the second.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [MemberId; 2],
    /// The runs of the two members that the link belongs to.
    pub(crate) runs: [u64; 2],
    /// Which end still knows it.
    pub(crate) open: [bool; 2],
    pub(crate) under_way: [VecDeque<Packet>; 2],
    /// When the last packet that was sent arrives; the next is not faster.
    pub(crate) arrives_at: [u64; 2],
}

impl Link {
    pub(crate) fn side(&self, id: MemberId) -> usize {
        usize::from(self.ends[1] == id)
    }

    pub(crate) fn other(&self, id: MemberId) -> MemberId {
        self.ends[1 - self.side(id)]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) links: BTreeMap<LinkId, Link>,
    /// The newest link of each pair, smaller id first.
    pub(crate) newest: BTreeMap<(MemberId, MemberId), LinkId>,
    /// From whom to whom nothing gets through.
    pub(crate) cut: BTreeSet<(MemberId, MemberId)>,
    next: u64,
}

impl Network {
    pub(crate) fn is_cut(&self, from: MemberId, to: MemberId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Makes a link; the smaller id comes first.
    pub(crate) fn connect(&mut self, ends: [MemberId; 2], runs: [u64; 2], now: u64) -> LinkId {
        self.next += 1;
        let id = LinkId(self.next);
        let link = Link {
            ends,
            runs,
            open: [true, true],
            under_way: [VecDeque::new(), VecDeque::new()],
            arrives_at: [now, now],
        };
        self.links.insert(id, link);
        self.newest.insert((ends[0], ends[1]), id);
        id
    }

    /// Whether the pair has a link that both ends still know.
    pub(crate) fn is_connected(&self, a: MemberId, b: MemberId) -> bool {
        let newest = self.newest.get(&(a, b)).and_then(|id| self.links.get(id));
        newest.is_some_and(|link| link.open == [true, true])
    }

    /// Forgets links that are over and carry nothing any more.
    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| {
            link.open != [false, false] || link.under_way.iter().any(|queue| !queue.is_empty())
        });
    }
}
