//! Global primary order and primary integrity: epochs follow one another, each has one primary, and a primary that
//! begins has everything that was delivered before.

use std::collections::BTreeMap;

use coord::Zxid;
use coord::zab::MemberId;

use super::{Verdict, require};

#[derive(Debug, Default)]
pub(crate) struct GlobalPrimaryOrder {
    last: Zxid,
    primaries: BTreeMap<u32, MemberId>,
}

impl GlobalPrimaryOrder {
    pub(crate) fn extended(&mut self, zxid: Zxid) -> Verdict {
        let last = std::mem::replace(&mut self.last, zxid);
        require(zxid > last, "global primary order", || {
            format!("{zxid} was delivered after {last}")
        })
    }

    pub(crate) fn established(
        &mut self,
        member: MemberId,
        epoch: u32,
        committed: Zxid,
        delivered: Zxid,
    ) -> Verdict {
        let primary = *self.primaries.entry(epoch).or_insert(member);
        require(primary == member, "global primary order", || {
            format!(
                "epoch {epoch} has two primaries, {} and {}",
                primary.0, member.0
            )
        })?;
        let superseded = self
            .primaries
            .keys()
            .next_back()
            .is_some_and(|newest| *newest > epoch);
        require(
            superseded || committed >= delivered,
            "primary integrity",
            || {
                format!(
                    "member {} leads epoch {epoch} from {committed}, but {delivered} was delivered",
                    member.0
                )
            },
        )
    }

    pub(crate) fn reigns(&self) -> usize {
        self.primaries.len()
    }
}
