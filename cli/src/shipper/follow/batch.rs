//! What a round of reading gives, and what a shipper counts.

use std::collections::BTreeMap;

use super::super::place::Place;
use super::super::scan::Key;
use super::super::sink::Line;

/// Lines, and where their files will be once these are shipped.
#[derive(Debug, Default)]
pub struct Batch {
    pub lines: Vec<Line>,
    pub marks: Marks,
}

/// What [`Follower::shipped`] needs to know of a batch.
#[derive(Debug, Default)]
pub struct Marks {
    pub(super) places: BTreeMap<Key, Place>,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) cut: u64,
}

impl Batch {
    /// Lines that come from no file, so that no checkpoint tells of them.
    pub fn of_no_file(lines: Vec<Line>) -> Self {
        let marks = Marks {
            places: BTreeMap::new(),
            lines: lines.len() as u64,
            bytes: lines.iter().map(|line| line.value.len() as u64).sum(),
            cut: lines.iter().filter(|line| line.cut).count() as u64,
        };
        Self { lines, marks }
    }

    /// Nothing in it: no lines, and no place that moved.
    pub fn is_empty(&self) -> bool {
        self.marks.places.is_empty()
    }
}

/// What was counted, for the closing line and for tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub lines: u64,
    pub bytes: u64,
    /// Lines over the limit, of which only the beginning was shipped.
    pub cut: u64,
    /// Files that were truncated or written anew.
    pub rewritten: u64,
}
