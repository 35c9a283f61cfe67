//! A member's disk. What is ordered is queued; a sync does it, or some of it; a crash loses the rest, or some of it.

use std::collections::VecDeque;
use std::sync::Arc;

use coord::Zxid;
use coord::zab::{Config, Payload, Recovered, Token, Txn};

use crate::random::Random;
use crate::tree::Tree;

/// Something ordered from the disk.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Append(Vec<Txn>),
    Truncate(Zxid),
    AcceptedEpoch(u32),
    CurrentEpoch(u32),
    Install { tree: Tree, keep_log: bool },
    ClearAmnesia,
}

/// What a sync came to.
#[derive(Debug)]
pub(crate) enum Synced {
    /// Everything up to the token is on disk; the trees that were installed on the way.
    Durable(Token, Vec<Tree>),
    /// There was no room; nothing more is done until the next resume.
    Refused(Token),
    /// What was queued is on disk in part, and nobody knows which.
    Failed,
}

/// What is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) accepted_epoch: u32,
    pub(crate) current_epoch: u32,
    pub(crate) amnesiac: bool,
    /// The tree as it was at the last snapshot.
    pub(crate) snapshot: Tree,
    /// The transaction before the log's first.
    pub(crate) log_base: Zxid,
    pub(crate) log: Vec<Txn>,
    /// Up to here the log is known to be committed.
    pub(crate) committed: Zxid,
}

impl Image {
    pub(crate) fn new(config: Arc<Config>) -> Image {
        Image {
            accepted_epoch: 0,
            current_epoch: 0,
            amnesiac: false,
            snapshot: Tree::new(config),
            log_base: Zxid::ZERO,
            log: Vec::new(),
            committed: Zxid::ZERO,
        }
    }

    pub(crate) fn last(&self) -> Zxid {
        self.log.last().map_or(self.log_base, |txn| txn.zxid)
    }

    /// The log after `after`, up to `up_to`.
    pub(crate) fn slice(&self, after: Zxid, up_to: Zxid) -> &[Txn] {
        let place = |zxid: Zxid| self.log.partition_point(|txn| txn.zxid <= zxid);
        let from = place(after);
        &self.log[from..place(up_to).max(from)]
    }

    fn carry_out(&mut self, order: Order) -> Option<Tree> {
        match order {
            Order::Append(txns) => self.log.extend(txns),
            Order::Truncate(to) => {
                self.log.retain(|txn| txn.zxid <= to);
                self.log_base = self.log_base.min(to);
            }
            Order::AcceptedEpoch(epoch) => self.accepted_epoch = epoch,
            Order::CurrentEpoch(epoch) => self.current_epoch = epoch,
            Order::Install { tree, keep_log } => {
                self.committed = self.committed.max(tree.applied);
                if !keep_log {
                    self.log.clear();
                    self.log_base = tree.applied;
                    self.committed = tree.applied;
                }
                self.snapshot = tree.clone();
                return Some(tree);
            }
            Order::ClearAmnesia => self.amnesiac = false,
        }
        None
    }

    /// The tree as a start finds it.
    pub(crate) fn tree_at(&self, committed: Zxid) -> Tree {
        let mut tree = self.snapshot.clone();
        for txn in self.slice(tree.applied, committed) {
            tree.apply(txn);
        }
        tree
    }

    fn config_at(&self, committed: Zxid) -> Arc<Config> {
        let configs = self
            .slice(self.snapshot.applied, committed)
            .iter()
            .filter_map(|txn| match &txn.payload {
                Payload::Config(config) => Some(config),
                Payload::Data(_) => None,
            });
        Arc::clone(configs.last().unwrap_or(&self.snapshot.config))
    }

    pub(crate) fn recover(&self, committed: Zxid) -> Recovered {
        Recovered {
            accepted_epoch: self.accepted_epoch,
            current_epoch: self.current_epoch,
            committed,
            base: self.log_base,
            recent: self.log.clone(),
            config: self.config_at(committed),
            amnesiac: self.amnesiac,
        }
    }
}

/// What a disk does for a member: the model below, or the real storage over a simulated disk.
pub(crate) trait Store {
    fn order(&mut self, order: Order, token: Token);
    /// Does the first `count` orders.
    fn sync(&mut self, count: usize) -> Synced;
    fn queued(&self) -> usize;
    /// After a refusal: takes orders again.
    fn resume(&mut self);
    /// The power goes: what was queued is lost, but for a beginning of it.
    fn crash(&mut self, random: &mut Random);
    fn image(&self) -> &Image;
    fn image_mut(&mut self) -> &mut Image;
    /// From now on there is no room for appends, or there is again.
    fn fill(&mut self, full: bool);
    fn fail_next_sync(&mut self);
}

/// A disk that does things whole and in order, but for the last append before a crash, which may be torn.
#[derive(Clone, Debug)]
pub(crate) struct ModelStore {
    image: Image,
    queue: VecDeque<(Order, Token)>,
    full: bool,
    refusing: bool,
    fails: bool,
}

impl ModelStore {
    pub(crate) fn new(image: Image) -> ModelStore {
        ModelStore {
            image,
            queue: VecDeque::new(),
            full: false,
            refusing: false,
            fails: false,
        }
    }
}

impl Store for ModelStore {
    fn order(&mut self, order: Order, token: Token) {
        if !self.refusing {
            self.queue.push_back((order, token));
        }
    }

    fn sync(&mut self, count: usize) -> Synced {
        if self.fails {
            return Synced::Failed;
        }
        let mut durable = Token(0);
        let mut installed = Vec::new();
        for _ in 0..count {
            let Some((order, token)) = self.queue.front().cloned() else {
                break;
            };
            if self.full && matches!(order, Order::Append(_)) {
                if durable != Token(0) {
                    // What came before is told first.
                    break;
                }
                self.refusing = true;
                self.queue.clear();
                return Synced::Refused(token);
            }
            self.queue.pop_front();
            installed.extend(self.image.carry_out(order));
            durable = token;
        }
        Synced::Durable(durable, installed)
    }

    fn queued(&self) -> usize {
        self.queue.len()
    }

    fn resume(&mut self) {
        self.refusing = false;
    }

    fn crash(&mut self, random: &mut Random) {
        let count = random.within(0..self.queue.len() as u64 + 1);
        for _ in 0..count {
            if let Some((order, _)) = self.queue.pop_front() {
                self.image.carry_out(order);
            }
        }
        if let Some((Order::Append(mut txns), _)) = self.queue.pop_front() {
            txns.truncate(random.within(0..txns.len() as u64 + 1) as usize);
            self.image.carry_out(Order::Append(txns));
        }
        self.queue.clear();
        self.refusing = false;
        self.fails = false;
    }

    fn image(&self) -> &Image {
        &self.image
    }

    fn image_mut(&mut self) -> &mut Image {
        &mut self.image
    }

    fn fill(&mut self, full: bool) {
        self.full = full;
    }

    fn fail_next_sync(&mut self) {
        self.fails = true;
    }
}
