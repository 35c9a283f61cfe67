//! A disk whose syncs say `Ok` and do nothing: a known bug, put in to see that it is found.

use std::io;
use std::path::Path;

use disk::{Disk, DiskFile, Entry, Health, Open, SimulatedDisk, SimulatedFile, Space};

#[derive(Clone)]
pub(super) struct NoSync(pub(super) SimulatedDisk);

pub(super) struct NoSyncFile(SimulatedFile);

impl DiskFile for NoSyncFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }
    fn write_at(&self, slices: &[io::IoSlice<'_>], position: u64) -> io::Result<()> {
        self.0.write_at(slices, position)
    }
    fn check_health(&self) -> io::Result<()> {
        self.0.check_health()
    }
    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        self.0.allocate(position, len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn drop_cache(&self, _from: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for NoSync {
    type File = NoSyncFile;
    type Lock = <SimulatedDisk as Disk>::Lock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.read_dir(path)
    }
    fn open(&self, path: &Path, how: Open) -> io::Result<NoSyncFile> {
        self.0.open(path, how).map(NoSyncFile)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.0.file_len(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // Names are kept: the fault is the file sync left out.
        self.0.sync_dir(path)
    }
    fn sync_everything(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        self.0.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }
    fn health(&self) -> &Health {
        self.0.health()
    }
}
