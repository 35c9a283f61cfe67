//! Compares this member's tree with its leader's. A history taken from a log on disk can differ from the one that was
//! applied (ZOOKEEPER-2846), and nothing but a look at the tree shows it.

use std::collections::VecDeque;

use super::events::Action;
use super::member::{Member, Phase};
use super::planted::planted;
use super::types::Digest;
use crate::Zxid;

/// Own digests kept to compare with a leader that is behind.
const KEPT: usize = 32;

/// What the trees are known to look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Digests {
    own: VecDeque<Digest>,
    /// The leader's, at a place that this member's tree has not reached.
    expected: Option<Digest>,
}

impl Digests {
    pub(super) fn newest(&self) -> Option<Digest> {
        self.own.back().copied()
    }

    /// A delivery that goes past the place of comparison has to stop there first.
    pub(super) fn stop_before(&self, up_to: Zxid) -> Option<Zxid> {
        self.expected
            .map(|digest| digest.zxid)
            .filter(|zxid| *zxid < up_to)
    }

    fn applied(&mut self, digest: Digest) {
        if self.own.back().is_some_and(|last| last.zxid >= digest.zxid) {
            self.own.clear();
        }
        self.own.push_back(digest);
        if self.own.len() > KEPT {
            self.own.pop_front();
        }
    }

    /// Whether the trees differ at the expected place, if this one has come there.
    fn differs(&mut self) -> bool {
        let Some(expected) = self.expected else {
            return false;
        };
        if self.newest().is_none_or(|own| own.zxid < expected.zxid) {
            return false;
        }
        self.expected = None;
        let own = self.own.iter().find(|own| own.zxid == expected.zxid);
        own.is_some_and(|own| own.value != expected.value)
    }
}

impl Member {
    pub(super) fn applied(&mut self, digest: Digest, out: &mut Vec<Action>) {
        self.digests.applied(digest);
        self.compare(out);
    }

    /// The leader's tree looks like this. A comparison that is due is not put off by a later one.
    pub(super) fn expect(&mut self, digest: Option<Digest>, out: &mut Vec<Action>) {
        if self.digests.expected.is_none() {
            self.digests.expected = digest;
        }
        self.compare(out);
    }

    fn compare(&mut self, out: &mut Vec<Action>) {
        let differs = self.digests.differs() && !planted!(self, DigestIgnored);
        if differs && matches!(self.phase, Phase::Learning(_)) {
            self.wants_snapshot = true;
            self.leave(out);
        }
    }
}
