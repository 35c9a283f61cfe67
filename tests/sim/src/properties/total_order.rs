//! Total order: all members deliver the same transactions in the same order; one may only be further on.

use coord::Zxid;
use coord::zab::{MemberId, Txn};

use super::{Violation, require};

#[derive(Debug, Default)]
pub(crate) struct TotalOrder {
    order: Vec<Txn>,
}

impl TotalOrder {
    /// Whether the order is longer than before.
    pub(crate) fn delivered(
        &mut self,
        member: MemberId,
        place: usize,
        txn: &Txn,
    ) -> Result<bool, Violation> {
        let Some(known) = self.order.get(place) else {
            self.order.push(txn.clone());
            return Ok(true);
        };
        require(known == txn, "total order", || {
            format!(
                "member {} delivered {} where another had delivered {}",
                member.0, txn.zxid, known.zxid
            )
        })?;
        Ok(false)
    }

    /// How many transactions there are up to `zxid`, which a member says it has applied.
    pub(crate) fn place_after(&self, member: MemberId, zxid: Zxid) -> Result<usize, Violation> {
        let place = self.order.partition_point(|txn| txn.zxid <= zxid);
        let known = if place == 0 {
            Zxid::ZERO
        } else {
            self.order[place - 1].zxid
        };
        require(known == zxid, "total order", || {
            format!(
                "member {} has applied {zxid}, but nobody delivered that",
                member.0
            )
        })?;
        Ok(place)
    }

    pub(crate) fn last(&self) -> Zxid {
        self.order.last().map_or(Zxid::ZERO, |txn| txn.zxid)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn order(&self) -> &[Txn] {
        &self.order
    }
}
