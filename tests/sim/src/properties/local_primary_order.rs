//! Local primary order: what one primary proposed is delivered in the order in which it did, and without holes.

use coord::Zxid;

use super::{Verdict, require};

#[derive(Debug, Default)]
pub(crate) struct LocalPrimaryOrder {
    last: Zxid,
}

impl LocalPrimaryOrder {
    pub(crate) fn extended(&mut self, zxid: Zxid) -> Verdict {
        let last = std::mem::replace(&mut self.last, zxid);
        let expected = if zxid.epoch() == last.epoch() {
            last.counter() + 1
        } else {
            1
        };
        require(zxid.counter() == expected, "local primary order", || {
            format!("{zxid} was delivered right after {last}")
        })
    }
}
