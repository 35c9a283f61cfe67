//! Integrity: what is delivered was proposed, and one zxid stands for one transaction.

use std::collections::BTreeMap;

use coord::Zxid;
use coord::zab::{MemberId, Txn};

use super::{Verdict, require};

#[derive(Debug, Default)]
pub(crate) struct Integrity {
    proposed: BTreeMap<Zxid, Txn>,
}

impl Integrity {
    pub(crate) fn proposed(&mut self, leader: MemberId, txn: &Txn) -> Verdict {
        let before = self.proposed.insert(txn.zxid, txn.clone());
        require(
            before.is_none_or(|before| before == *txn),
            "integrity",
            || {
                format!(
                    "member {} proposed another transaction as {}",
                    leader.0, txn.zxid
                )
            },
        )
    }

    pub(crate) fn delivered(&self, member: MemberId, txn: &Txn) -> Verdict {
        require(
            self.proposed.get(&txn.zxid) == Some(txn),
            "integrity",
            || {
                format!(
                    "member {} delivered {}, which nobody proposed so",
                    member.0, txn.zxid
                )
            },
        )
    }
}
