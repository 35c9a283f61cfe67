//! A disk in memory that forgets: what was not synced is kept or lost at a crash, each sector,
//! file size, rename and directory entry by itself, as a seed decides.
//!
//! It is stricter than any file system: a synced file whose folder was not synced may lose its
//! name. Storage code that comes through thousands of its crashes leans on nothing but the rules
//! at the head of this crate.

mod file;
mod tree;

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Disk, Entry, Health, Open, Space};

pub use file::SimulatedFile;
use tree::{Node, Tree};

/// Faults to come; the default is none.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// So many syncs (of files and folders) succeed, then one fails.
    pub syncs_until_failure: Option<u64>,
    /// So many writes succeed, then one fails half done.
    pub writes_until_failure: Option<u64>,
    /// Bytes that all files together may take; past it `StorageFull`.
    pub space: Option<u64>,
}

/// A disk in memory. Clones are the same disk; [`SimulatedDisk::crash`] gives what is left of it.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    health: Health,
}

pub(crate) struct State {
    tree: Tree,
    faults: Faults,
    random: Random,
}

/// SplitMix64: small, seeded, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

impl SimulatedDisk {
    /// An empty disk. The seed decides what crashes and faults do.
    pub fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk::from_tree(Tree::new(), seed)
    }

    fn from_tree(tree: Tree, seed: u64) -> SimulatedDisk {
        SimulatedDisk {
            state: Arc::new(Mutex::new(State {
                tree,
                faults: Faults::default(),
                random: Random(seed),
            })),
            health: Health::default(),
        }
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// The disk as it is found after a power loss at this moment, healthy and without faults.
    /// This one is left as it is, so files still open on it disturb nothing.
    #[must_use]
    pub fn crash(&self) -> SimulatedDisk {
        let mut state = self.state.lock();
        let State { tree, random, .. } = &mut *state;
        let left = tree.after_crash(random);
        let seed = random.next();
        SimulatedDisk::from_tree(left, seed)
    }

    /// Flips one bit of a file, in memory and on the disk, as a medium does that rots.
    pub fn flip_bit(&self, path: &Path, position: u64, bit: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = state.tree.find(path)?;
        let file = state.tree.file(id)?;
        let at = position as usize;
        for bytes in [&mut file.current, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit & 7);
            }
        }
        Ok(())
    }
}

impl State {
    /// Counts a fault's `until` down; true when it strikes.
    fn strikes(until: &mut Option<u64>) -> bool {
        match until {
            Some(0) => {
                *until = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn sync_strikes(&mut self) -> bool {
        State::strikes(&mut self.faults.syncs_until_failure)
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full")
}

/// A held lock file of a simulated disk.
pub struct SimulatedLock {
    state: Arc<Mutex<State>>,
    id: u64,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.state.lock().tree.locked.remove(&self.id);
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        self.state.lock().tree.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.state.lock().tree.read_dir(path)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<SimulatedFile> {
        if how != Open::Read {
            self.health.check()?;
        }
        let id = self.state.lock().tree.open(path, how == Open::Create)?;
        Ok(SimulatedFile::new(
            Arc::clone(&self.state),
            self.health.clone(),
            id,
            path,
        ))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.state.lock().tree.find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.state.lock();
        let id = state.tree.find(path)?;
        Ok(state.tree.file(id)?.current.len() as u64)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock();
        let id = state.tree.find(path)?;
        Ok(state.tree.file(id)?.current.clone())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.health.check()?;
        self.state.lock().tree.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        let id = state.tree.find(path)?;
        state.tree.file(id)?;
        state.tree.unlink(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        let id = state.tree.find(path)?;
        match state.tree.node(id) {
            Node::Dir(_) => state.tree.unlink(path),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        if state.sync_strikes() {
            let error = Err(io::Error::other("a simulated fault"));
            return self.health.last_word("sync the folder", path, error);
        }
        state.tree.sync_dir(path)
    }

    fn sync_everything(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        if state.sync_strikes() {
            let error = Err(io::Error::other("a simulated fault"));
            return self
                .health
                .last_word("sync the file system of", path, error);
        }
        state.tree.sync_everything();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<SimulatedLock>> {
        let mut state = self.state.lock();
        let id = state.tree.open(path, true)?;
        let taken = state.tree.locked.insert(id);
        Ok(taken.then(|| SimulatedLock {
            state: Arc::clone(&self.state),
            id,
        }))
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let mut state = self.state.lock();
        let used = state.tree.bytes();
        let total = state.faults.space.unwrap_or(1 << 40);
        Ok(Space {
            total,
            usable: total.saturating_sub(used),
        })
    }

    fn health(&self) -> &Health {
        &self.health
    }
}

#[cfg(test)]
mod tests;
