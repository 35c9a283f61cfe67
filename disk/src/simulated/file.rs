//! An open file of a simulated disk.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{State, full};
use crate::{DiskFile, Health};

/// An open file of a simulated disk.
pub struct SimulatedFile {
    state: Arc<Mutex<State>>,
    health: Health,
    id: u64,
    path: Box<Path>,
}

impl SimulatedFile {
    pub(super) fn new(state: Arc<Mutex<State>>, health: Health, id: u64, path: &Path) -> Self {
        SimulatedFile {
            state,
            health,
            id,
            path: path.into(),
        }
    }

    fn fault<T>(&self, what: &str) -> io::Result<T> {
        let error = Err(io::Error::other("a simulated fault"));
        self.health.last_word(what, &self.path, error)
    }

    /// Whether the file may grow to `len`.
    fn fits(&self, state: &mut State, len: usize) -> io::Result<bool> {
        let Some(space) = state.faults.space else {
            return Ok(true);
        };
        let growth = len.saturating_sub(state.tree.file(self.id)?.current.len());
        Ok(growth == 0 || state.tree.bytes() + growth as u64 <= space)
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().tree.file(self.id)?.current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let bytes = &state.tree.file(self.id)?.current;
        let start = (position as usize).min(bytes.len());
        let len = buffer.len().min(bytes.len() - start);
        buffer[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        let strikes = State::strikes(&mut state.faults.writes_until_failure);
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let start = position as usize;
        if !self.fits(&mut state, start + bytes.len())? {
            drop(state);
            return self.health.last_word("write to", &self.path, Err(full()));
        }
        let file = state.tree.file(self.id)?;
        if strikes {
            file.write(&bytes[..bytes.len() / 2], start);
            return self.fault("write to");
        }
        file.write(&bytes, start);
        Ok(())
    }

    fn check_health(&self) -> io::Result<()> {
        self.health.check()
    }

    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        let end = (position + len) as usize;
        if !self.fits(&mut state, end)? {
            return Err(full());
        }
        let file = state.tree.file(self.id)?;
        if end > file.current.len() {
            file.resize(end);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.check()?;
        self.state.lock().tree.file(self.id)?.resize(len as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.health.check()?;
        let mut state = self.state.lock();
        let strikes = state.sync_strikes();
        let State { tree, random, .. } = &mut *state;
        let file = tree.file(self.id)?;
        if strikes {
            file.sync_in_part(random);
            return self.fault("sync");
        }
        file.sync();
        Ok(())
    }

    fn drop_cache(&self, from: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.tree.file(self.id)?.forget_clean(from as usize);
        Ok(())
    }
}
