//! A simulated machine: a member's core, its outbox and tree while it runs, and the disk that outlives it.

use std::collections::BTreeMap;

use coord::zab::{LinkId, Member, MemberId, Outbox, Proposal};

use crate::store::{ModelStore, Store};
use crate::tree::Tree;

/// A member that is up.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) member: Member,
    pub(crate) outbox: Outbox,
    pub(crate) tree: Tree,
    /// How many transactions of the common order the tree shows.
    pub(crate) place: usize,
    /// A sync is under way.
    pub(crate) syncing: bool,
    /// Snapshots that have come in.
    pub(crate) snapshots: BTreeMap<LinkId, Tree>,
    /// Proposals that wait to go together.
    pub(crate) proposals: Vec<Proposal>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: MemberId,
    /// Counts starts: what belongs to an earlier one is void.
    pub(crate) run: u64,
    pub(crate) up: Option<Running>,
    pub(crate) store: ModelStore,
    /// How much of a second the clock counts, in parts per thousand, and where it began.
    pub(crate) clock_rate: u64,
    pub(crate) clock_start_ms: u64,
    /// A sync takes up to this long.
    pub(crate) sync_us: u64,
}

impl Node {
    pub(crate) fn clock_ms(&self, now_us: u64) -> u64 {
        self.clock_start_ms + now_us * self.clock_rate / 1_000_000
    }

    pub(crate) fn is_amnesiac(&self) -> bool {
        self.store.image().amnesiac
    }
}
