//! Writes, and reads after a sync, are linearizable.
//!
//! The order in which transactions are delivered is the witness: each operation has its place in it (a read's is how
//! far the tree was that answered). Then nothing more is to be shown than that an operation that began after another had
//! ended comes after it.

use super::{Verdict, require};

#[derive(Debug, Default)]
pub(crate) struct Linearizability {
    /// The furthest place of an operation that has ended.
    furthest: usize,
    reads: usize,
}

impl Linearizability {
    /// An operation begins: gives what it must not come before.
    pub(crate) fn began(&self) -> usize {
        self.furthest
    }

    pub(crate) fn wrote(&mut self, began: usize, place: usize) -> Verdict {
        self.furthest = self.furthest.max(place);
        require(place > began, "linearizability", || {
            format!("a write got place {place}, but when it began, one at {began} had ended")
        })
    }

    pub(crate) fn read(&mut self, began: usize, place: usize) -> Verdict {
        self.reads += 1;
        self.furthest = self.furthest.max(place);
        require(place >= began, "linearizability", || {
            format!(
                "a read after a sync showed {place} transactions, but when it began, one at {began} had ended"
            )
        })
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads
    }
}
