//! The transaction id: what orders every change of the tree.
//!
//! Lives here: its parts and its arithmetic. Who hands zxids out is `service::voter`.

use std::fmt;

/// A transaction id: the epoch in the high 32 bits, a counter that starts at 0 in every epoch in the low 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub u64);

impl Zxid {
    /// The id before the first transaction of all.
    pub const ZERO: Zxid = Zxid(0);

    /// The id with this epoch and counter.
    pub const fn new(epoch: u32, counter: u32) -> Zxid {
        Zxid(((epoch as u64) << 32) | counter as u64)
    }

    /// The epoch: one leader's reign.
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The place within the epoch.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The next id of the same epoch, or none at the counter's end, where only a new epoch helps.
    pub const fn next(self) -> Option<Zxid> {
        if self.counter() == u32::MAX {
            None
        } else {
            Some(Zxid(self.0 + 1))
        }
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
