//! No acknowledged write is lost: every later leader has it, and in the end every member.

use coord::Zxid;
use coord::zab::MemberId;

use super::total_order::TotalOrder;
use super::{Verdict, require};

#[derive(Debug, Default)]
pub(crate) struct AckedWrites {
    acked: Vec<Zxid>,
    newest: Zxid,
    established: u32,
}

impl AckedWrites {
    pub(crate) fn acked(&mut self, zxid: Zxid) {
        self.acked.push(zxid);
        self.newest = self.newest.max(zxid);
    }

    pub(crate) fn established(&mut self, member: MemberId, committed: Zxid) -> Verdict {
        self.established += 1;
        require(
            committed >= self.newest || committed.epoch() < self.newest.epoch(),
            "no acked write lost",
            || {
                format!(
                    "member {} leads from {committed}, but {} was acknowledged",
                    member.0, self.newest
                )
            },
        )
    }

    pub(crate) fn count(&self) -> usize {
        self.acked.len()
    }

    /// In the end, when all members have the same history.
    pub(crate) fn converged(&self, order: &TotalOrder) -> Verdict {
        for zxid in &self.acked {
            let found = order
                .order()
                .binary_search_by_key(zxid, |txn| txn.zxid)
                .is_ok();
            require(found, "no acked write lost", || {
                format!("{zxid} was acknowledged and is gone")
            })?;
        }
        Ok(())
    }
}
