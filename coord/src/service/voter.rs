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

    /// The zxid of the next proposal. Past the counter's end that is the first of the next epoch, which nothing but the
    /// log has to say: a start enters an epoch past all that the log holds.
    pub(crate) fn next(&self) -> Zxid {
        self.proposed
            .next()
            .unwrap_or(Zxid::new(self.proposed.epoch().saturating_add(1), 1))
    }

    /// Proposes `zxid`, which must be [`Voter::next`].
    pub(crate) fn propose(&mut self, zxid: Zxid) {
        assert_eq!(zxid, self.next(), "a proposal leaves a gap");
        self.proposed = zxid;
    }

    /// The log is on disk up to `zxid`, and so all up to there is committed.
    pub(crate) fn durable(&mut self, zxid: Zxid) {
        assert!(
            zxid >= self.durable && zxid <= self.proposed,
            "only what was proposed becomes durable"
        );
        self.durable = zxid;
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
        voter.propose(Zxid::new(3, u32::MAX));
        voter.durable(Zxid::new(3, u32::MAX));
        voter.propose(Zxid::new(4, 1));
        voter.propose(Zxid::new(4, 2));
        voter.retreat();
        assert_eq!(voter.next(), Zxid::new(4, 1));
    }
}
