//! The quorum of one voter: what it has logged is committed. Pure.
//!
//! This is where the ZAB quorum goes: propose, log, commit and deliver are already separate steps, so that a majority
//! can decide what "committed" means without the tree or the handle noticing.

use crate::Zxid;

/// The only voter, which is always the leader.
#[derive(Debug)]
pub(crate) struct Voter {
    proposed: Zxid,
    durable: Zxid,
}

impl Voter {
    /// Leads in `epoch`, which is new and on disk.
    pub(crate) fn new(epoch: u32) -> Voter {
        let start = Zxid::new(epoch, 0);
        Voter {
            proposed: start,
            durable: start,
        }
    }

    /// The zxid of the next proposal. Past the counter's end that is the first of the next epoch.
    pub(crate) fn next(&self) -> Zxid {
        self.proposed
            .next()
            .unwrap_or(Zxid::new(self.proposed.epoch().saturating_add(1), 1))
    }

    /// Proposes `zxid`, which must be [`Voter::next`]. Returns the epoch that must be on disk before it.
    pub(crate) fn propose(&mut self, zxid: Zxid) -> Option<u32> {
        assert_eq!(zxid, self.next(), "a proposal leaves a gap");
        let entered = zxid.epoch() != self.proposed.epoch();
        self.proposed = zxid;
        entered.then(|| zxid.epoch())
    }

    /// The log is on disk up to `zxid`. Returns what is committed with that: everything up to it.
    pub(crate) fn durable(&mut self, zxid: Zxid) -> Zxid {
        assert!(
            zxid >= self.durable && zxid <= self.proposed,
            "only what was proposed becomes durable"
        );
        self.durable = zxid;
        zxid
    }

    /// None of the proposals that are not durable will be, as nothing of them was written.
    pub(crate) fn retreat(&mut self) {
        self.proposed = self.durable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_end_leads_to_a_new_epoch() {
        let mut voter = Voter::new(3);
        voter.proposed = Zxid::new(3, u32::MAX - 1);
        voter.durable = voter.proposed;
        assert_eq!(voter.propose(voter.next()), None);
        assert_eq!(
            voter.durable(Zxid::new(3, u32::MAX)),
            Zxid::new(3, u32::MAX)
        );
        assert_eq!(voter.next(), Zxid::new(4, 1));
        assert_eq!(voter.propose(voter.next()), Some(4));
        assert_eq!(voter.propose(voter.next()), None);
        voter.retreat();
        assert_eq!(
            voter.propose(voter.next()),
            Some(4),
            "the epoch that was not entered is entered again"
        );
    }
}
