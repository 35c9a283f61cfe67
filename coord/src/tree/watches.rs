//! Who is told of what. Pure: fired by the events of applied transactions, it answers with the watchers to tell.
//! How they are told (a queue, a connection) is their owner's business.

use std::collections::{BTreeMap, BTreeSet};

use super::path::split;

/// What happened to a znode; the numbers are ZooKeeper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum EventKind {
    /// It was created.
    Created = 1,
    /// It was deleted.
    Deleted = 2,
    /// Its data was set.
    DataChanged = 3,
    /// A child was created or deleted.
    ChildrenChanged = 4,
}

/// One-shot, of data and existence: the next creation, set or deletion.
pub(crate) const DATA: u8 = 1;
/// One-shot, of children: the next creation or deletion of a child, or the znode's own deletion.
pub(crate) const CHILDREN: u8 = 2;
/// All of the above, until removed.
pub(crate) const PERSISTENT: u8 = 4;
/// Creations, sets and deletions of the znode and everything under it, until removed. Never of children.
pub(crate) const RECURSIVE: u8 = 8;

/// What one watcher watches.
#[derive(Debug, Default, PartialEq, Eq)]
struct Watched {
    paths: BTreeSet<Box<str>>,
    bytes: usize,
}

/// Bytes that a watch takes: its path is kept by path and by watcher, each in an entry of a table.
fn size(path: &str) -> usize {
    2 * (path.len() + 64)
}

/// The watches that are set. A watcher is a number that its owner chose; it may watch many paths in many ways.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watches {
    by_path: BTreeMap<Box<str>, BTreeMap<u64, u8>>,
    by_watcher: BTreeMap<u64, Watched>,
    /// While there are none, no event asks for its ancestors' watches.
    recursive: usize,
}

impl Watches {
    /// Adds `modes` (a union of [`DATA`], [`CHILDREN`], [`PERSISTENT`] and [`RECURSIVE`]) of `watcher` on `path`.
    pub(crate) fn add(&mut self, path: &str, watcher: u64, modes: u8) {
        let held = self
            .by_path
            .entry(path.into())
            .or_default()
            .entry(watcher)
            .or_default();
        if modes & !*held & RECURSIVE != 0 {
            self.recursive += 1;
        }
        *held |= modes;
        let watched = self.by_watcher.entry(watcher).or_default();
        if watched.paths.insert(path.into()) {
            watched.bytes += size(path);
        }
    }

    /// Takes `modes` of `watcher` off `path`; false where none of them was set.
    pub(crate) fn remove(&mut self, path: &str, watcher: u64, modes: u8) -> bool {
        let Some(watchers) = self.by_path.get_mut(path) else {
            return false;
        };
        let Some(held) = watchers.get_mut(&watcher) else {
            return false;
        };
        let gone = *held & modes;
        *held &= !modes;
        if gone & RECURSIVE != 0 {
            self.recursive -= 1;
        }
        if *held == 0 {
            watchers.remove(&watcher);
            if watchers.is_empty() {
                self.by_path.remove(path);
            }
            if let Some(watched) = self.by_watcher.get_mut(&watcher) {
                if watched.paths.remove(path) {
                    watched.bytes -= size(path);
                }
                if watched.paths.is_empty() {
                    self.by_watcher.remove(&watcher);
                }
            }
        }
        gone != 0
    }

    /// Takes off everything that `watcher` watches.
    pub(crate) fn remove_watcher(&mut self, watcher: u64) {
        let watched = self.by_watcher.remove(&watcher).unwrap_or_default();
        for path in watched.paths {
            self.remove(&path, watcher, u8::MAX);
        }
    }

    /// What `watcher` watches `path` for.
    pub(crate) fn modes(&self, path: &str, watcher: u64) -> u8 {
        let held = self.by_path.get(path).and_then(|w| w.get(&watcher));
        held.copied().unwrap_or(0)
    }

    /// How many paths `watcher` watches.
    pub(crate) fn count_of(&self, watcher: u64) -> usize {
        let watched = self.by_watcher.get(&watcher);
        watched.map_or(0, |watched| watched.paths.len())
    }

    /// How many bytes `watcher`'s watches take.
    pub(crate) fn bytes_of(&self, watcher: u64) -> usize {
        self.by_watcher
            .get(&watcher)
            .map_or(0, |watched| watched.bytes)
    }

    /// Which paths `watcher` watches, sorted.
    pub(crate) fn paths_of(&self, watcher: u64) -> impl Iterator<Item = String> {
        let watched = self.by_watcher.get(&watcher);
        let paths = watched.into_iter().flat_map(|watched| &watched.paths);
        paths.map(ToString::to_string)
    }

    /// Pairs of path and watcher, paths, and watchers.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let pairs = self
            .by_watcher
            .values()
            .map(|watched| watched.paths.len())
            .sum();
        (pairs, self.by_path.len(), self.by_watcher.len())
    }

    /// The watchers of an event, each once and in order; their one-shot watches that fired are gone.
    pub(crate) fn fire(&mut self, kind: EventKind, path: &str) -> Vec<u64> {
        let (once, lasting) = match kind {
            EventKind::Created | EventKind::DataChanged => (DATA, PERSISTENT | RECURSIVE),
            EventKind::Deleted => (DATA | CHILDREN, PERSISTENT | RECURSIVE),
            EventKind::ChildrenChanged => (CHILDREN, PERSISTENT),
        };
        let mut told = BTreeSet::new();
        if let Some(watchers) = self.by_path.get(path) {
            told.extend(
                watchers
                    .iter()
                    .filter(|(_, held)| **held & (once | lasting) != 0)
                    .map(|(w, _)| *w),
            );
        }
        for watcher in &told {
            self.remove(path, *watcher, once);
        }
        if self.recursive > 0 && lasting & RECURSIVE != 0 {
            let mut below = path;
            while below != "/" {
                below = split(below).0;
                if let Some(watchers) = self.by_path.get(below) {
                    told.extend(
                        watchers
                            .iter()
                            .filter(|(_, held)| **held & RECURSIVE != 0)
                            .map(|(w, _)| *w),
                    );
                }
            }
        }
        told.into_iter().collect()
    }
}
