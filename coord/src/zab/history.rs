//! The member's view of its log: the recent part of the history, and how much of it is on disk.

use std::collections::VecDeque;

use super::types::{Token, Txn};
use crate::Zxid;

/// The recent history. It never has holes: each transaction follows the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// The transaction before the first of `recent`.
    base: Zxid,
    recent: VecDeque<Txn>,
    /// The log is on disk up to here.
    durable: Zxid,
    /// Ends of appends that are not known to be on disk.
    inflight: VecDeque<(Token, Zxid)>,
}

impl History {
    pub(super) fn new(base: Zxid, recent: Vec<Txn>) -> History {
        let mut history = History {
            base,
            recent: VecDeque::new(),
            durable: base,
            inflight: VecDeque::new(),
        };
        assert!(is_chain(base, &recent), "a log with a hole was recovered");
        history.recent.extend(recent);
        history.durable = history.last();
        history
    }

    pub(super) fn base(&self) -> Zxid {
        self.base
    }

    pub(super) fn last(&self) -> Zxid {
        self.recent.back().map_or(self.base, |txn| txn.zxid)
    }

    pub(super) fn durable(&self) -> Zxid {
        self.durable
    }

    /// The place of the first transaction after `zxid`.
    fn place_after(&self, zxid: Zxid) -> usize {
        self.recent.partition_point(|txn| txn.zxid <= zxid)
    }

    /// The last transaction at or before `zxid`, if the recent history reaches back to it.
    pub(super) fn common(&self, zxid: Zxid) -> Option<Zxid> {
        if zxid < self.base {
            return None;
        }
        Some(match self.place_after(zxid) {
            0 => self.base,
            place => self.recent[place - 1].zxid,
        })
    }

    /// What follows `after`, up to `up_to`, at most `max` transactions.
    pub(super) fn slice(&self, after: Zxid, up_to: Zxid, max: usize) -> Vec<Txn> {
        assert!(
            after >= self.base,
            "the recent history does not reach back that far"
        );
        let from = self.place_after(after);
        let to = self
            .place_after(up_to)
            .max(from)
            .min(from.saturating_add(max));
        self.recent.range(from..to).cloned().collect()
    }

    /// How many transactions follow `after`.
    pub(super) fn count_after(&self, after: Zxid) -> usize {
        self.recent.len() - self.place_after(after)
    }

    pub(super) fn append(&mut self, txns: &[Txn], token: Token) {
        assert!(
            is_chain(self.last(), txns),
            "what is appended follows the log's end"
        );
        self.recent.extend(txns.iter().cloned());
        self.inflight.push_back((token, self.last()));
    }

    /// For a planted fault: appends whatever comes.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn append_with_holes(&mut self, txns: &[Txn], token: Token) {
        self.recent.extend(txns.iter().cloned());
        self.inflight.push_back((token, self.last()));
    }

    /// Cuts what is after `to`.
    pub(super) fn truncate(&mut self, to: Zxid) {
        self.recent.truncate(self.place_after(to));
        if to < self.base {
            self.base = to;
        }
        self.durable = self.durable.min(to);
        for (_, end) in &mut self.inflight {
            *end = (*end).min(to);
        }
    }

    /// A snapshot at `zxid` takes the place of the log.
    pub(super) fn reset(&mut self, zxid: Zxid, token: Token) {
        self.recent.clear();
        self.base = zxid;
        self.durable = Zxid::ZERO;
        self.inflight.clear();
        self.inflight.push_back((token, zxid));
    }

    /// The tree was taken back to `zxid`: nothing after that is delivered before `token`.
    pub(super) fn redeliver(&mut self, zxid: Zxid, token: Token) {
        self.durable = self.durable.min(zxid);
        self.inflight.clear();
        self.inflight.push_back((token, self.last()));
    }

    /// Everything up to `token` is on disk.
    pub(super) fn reached(&mut self, token: Token) {
        while let Some((inflight, end)) = self.inflight.front().copied()
            && inflight <= token
        {
            self.durable = end;
            self.inflight.pop_front();
        }
    }

    /// Forgets all but the last `window` transactions, and none after `delivered`.
    pub(super) fn trim(&mut self, window: usize, delivered: Zxid) {
        while self.recent.len() > window
            && let Some(oldest) = self.recent.front()
            && oldest.zxid <= delivered
        {
            self.base = oldest.zxid;
            self.recent.pop_front();
        }
    }
}

/// Whether the transactions follow `previous` and one another without a hole.
pub(super) fn is_chain(previous: Zxid, txns: &[Txn]) -> bool {
    let mut previous = previous;
    txns.iter().all(|txn| {
        let follows = follows(previous, txn.zxid);
        previous = txn.zxid;
        follows
    })
}

/// Whether `zxid` may come right after `previous`: the next of its epoch, or the first of a later one.
fn follows(previous: Zxid, zxid: Zxid) -> bool {
    previous.next() == Some(zxid) || (zxid.epoch() > previous.epoch() && zxid.counter() == 1)
}
