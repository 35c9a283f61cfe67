//! What must hold in every run: one file for each property, named as in the paper where the paper has a name for it.

pub(crate) mod acked_writes;
pub(crate) mod agreement;
pub(crate) mod durability;
pub(crate) mod epochs;
pub(crate) mod global_primary_order;
pub(crate) mod integrity;
pub(crate) mod leadership;
pub(crate) mod linearizability;
pub(crate) mod local_primary_order;
pub(crate) mod old_links;
pub(crate) mod skipped_writes;
pub(crate) mod total_order;

use coord::Zxid;
use coord::zab::{MemberId, Txn};

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub property: &'static str,
    pub what: String,
}

pub(crate) type Verdict = Result<(), Violation>;

/// Fails with a sentence unless `holds`.
pub(crate) fn require(
    holds: bool,
    property: &'static str,
    what: impl FnOnce() -> String,
) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            property,
            what: what(),
        })
    }
}

/// All properties that are checked while a run goes on.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub(crate) integrity: integrity::Integrity,
    pub(crate) order: total_order::TotalOrder,
    pub(crate) local: local_primary_order::LocalPrimaryOrder,
    pub(crate) global: global_primary_order::GlobalPrimaryOrder,
    pub(crate) acked: acked_writes::AckedWrites,
    pub(crate) epochs: epochs::Epochs,
    pub(crate) reads: linearizability::Linearizability,
    pub(crate) leadership: leadership::Leadership,
}

impl Properties {
    /// A member applies a transaction as the `place`th of its history.
    pub(crate) fn delivered(&mut self, member: MemberId, place: usize, txn: &Txn) -> Verdict {
        self.integrity.delivered(member, txn)?;
        if self.order.delivered(member, place, txn)? {
            self.local.extended(txn.zxid)?;
            self.global.extended(txn.zxid)?;
        }
        Ok(())
    }

    /// A member leads an epoch in which everything up to `committed` is committed.
    pub(crate) fn established(&mut self, member: MemberId, epoch: u32, committed: Zxid) -> Verdict {
        self.global
            .established(member, epoch, committed, self.order.last())?;
        self.acked.established(member, committed)
    }
}
