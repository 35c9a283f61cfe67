//! Files that keep their word: open, preallocate, append, map, sync, replace and rename, and a
//! simulated disk behind the same trait.
//!
//! Here lives every system call on a file, every `unsafe` block of the workspace, and the rule
//! that **an error from a write or a sync is final** (see [`Health`]). What the bytes mean is not
//! known here. The broker's log and the coordination service's storage stand on [`Disk`]; tests
//! hand them a [`SimulatedDisk`], which forgets what was not synced when it crashes.
//!
//! What is durable when:
//! - a file's bytes and its size, after [`DiskFile::sync`] of that file returned `Ok`;
//! - a new name, a rename or a removal, after [`Disk::sync_dir`] of the folder that holds the name;
//! - [`Disk::replace`] does all of that by itself: afterwards the new contents are on disk, and a
//!   crash at any moment leaves either the old contents or the new.

mod append;
mod health;
mod pool;
mod real;
mod simulated;

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;

pub use append::{AppendFile, SMALL_APPEND, SegmentFile, Small, SyncRange};
pub use health::Health;
pub use pool::{SyncJob, SyncPool};
pub use real::{RealDisk, RealFile, Window};
pub use simulated::{Faults, SimulatedDisk, SimulatedFile};

/// How [`Disk::open`] opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Read only; `NotFound` where there is none.
    Read,
    /// Read and write; `NotFound` where there is none.
    Write,
    /// Read and write; created empty where there is none. The name is durable only after
    /// [`Disk::sync_dir`] of its folder.
    Create,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name without its folder. Names that are not UTF-8 are left out: Milena makes none.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// Bytes of the file system that holds a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total: u64,
    /// What an unprivileged process can still use.
    pub usable: u64,
}

/// A disk: folders, names and files. A clone is another handle to the same disk and shares its
/// [`Health`].
///
/// Errors name the path and what was tried. `NotFound`, `StorageFull` and `Unsupported` keep their
/// [`io::ErrorKind`]. `OutOfMemory` is also a lack of descriptors; where [`Disk::health`] knows of no
/// failure, what was tried has not begun, and may be tried again.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// A lock file that is held; dropping it (or the end of the process) gives it back.
    type Lock: Send + Sync + 'static;

    /// Makes the folder and those above it. To make their names durable, sync the folders above.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// What a folder holds, sorted by name. `NotFound` where there is none.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Self::File>;
    /// Whether the path names a file or a folder.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Length of the file at `path` in bytes, without opening it.
    fn file_len(&self, path: &Path) -> io::Result<u64>;
    /// The whole of a (small) file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Renames a file or a folder, replacing what is at `to`. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all it holds.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable: those made, renamed and removed so far.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything durable that was written to the file system of `path`, files and names: for
    /// many at once cheaper than one by one. An error is final.
    fn sync_everything(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock file at `path`, making it if need be; `Ok(None)` if another process (or
    /// another holder in this one) has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
    /// The room on the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Whether a write or a sync has failed on this disk; then nothing more is written.
    fn health(&self) -> &Health;

    /// Replaces (or makes) the file at `path` by `bytes`, atomically and durably: a temporary
    /// file beside it is written and synced, renamed over it, and the folder synced. A full disk
    /// (`StorageFull`) leaves the old file and is not final.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_later(path, bytes)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// The same, durable only after [`Disk::sync_dir`] of the folder, which the caller has other
    /// reasons to sync. Until then a crash leaves the old contents or the new.
    fn replace_later(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = path.to_path_buf().into_os_string();
        temporary.push(".tmp");
        let temporary = Path::new(&temporary);
        self.remove_if_there(temporary)?;
        let write = || {
            let file = self.open(temporary, Open::Create)?;
            file.write_with_room(bytes, 0)?;
            file.sync()?;
            drop(file);
            self.rename(temporary, path)
        };
        let written = write();
        if written.is_err() {
            // What a full disk has room for is better left to others; the next try does it, too.
            let _ = self.remove_if_there(temporary);
        }
        written
    }

    /// Removes a file that need not be there. Durable after [`Disk::sync_dir`].
    fn remove_if_there(&self, path: &Path) -> io::Result<()> {
        match self.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The whole of a (small) file; `None` where there is none.
    fn read_if_there(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

/// An open file. Several threads may use it at once; positions are given with every call.
pub trait DiskFile: Send + Sync + 'static {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads up to `buffer.len()` bytes at `position`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all slices, one after another, at `position`. An error is final for the disk.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Reserves room and then writes, so that a full disk is `StorageFull` with nothing written,
    /// which is not final.
    fn write_with_room(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.allocate(position, bytes.len() as u64) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
        self.write_at(&[IoSlice::new(bytes)], position)
    }
    /// Makes `bytes` the whole contents, in place: not atomic, for what a checksum tells torn from
    /// whole or what gets its name later.
    fn overwrite(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_with_room(bytes, 0)?;
        // Cutting costs a journal's transaction, also where there is nothing to cut.
        if self.len()? > bytes.len() as u64 {
            self.set_len(bytes.len() as u64)?;
        }
        Ok(())
    }
    /// An error if an earlier failure has ended all writing; a store into a mapping asks this
    /// first, as nothing else would tell it.
    fn check_health(&self) -> io::Result<()>;
    /// Reserves blocks for `[position, position + len)` and grows the file to there; they read as
    /// zeros. `StorageFull` is not final: nothing was written, and it may be tried again.
    /// `Unsupported` where the file system does not reserve.
    fn allocate(&self, position: u64, len: u64) -> io::Result<()>;
    /// Cuts or extends the file. Never call it below what a reader or a mapping still uses. An
    /// error is final.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file's bytes and size durable. An error is final: the kernel has dropped what it
    /// could not write, and a second sync would say `Ok` about it.
    fn sync(&self) -> io::Result<()>;
    /// Drops the clean pages the kernel holds of this file from `from` on, so that the next read
    /// sees the disk.
    fn drop_cache(&self, from: u64) -> io::Result<()>;
    /// Where from `from` on the file may hold anything but zeros; `None` if it does not. What was
    /// reserved and never written is passed over without reading it, where the system tells.
    fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        Ok((from < self.len()?).then_some(from))
    }
    /// The descriptor, for `sendfile`; `None` on a simulated disk.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Whether a read of the range would not wait for the disk, as far as a few cheap probes tell.
    /// Asking starts read-ahead where it would.
    fn is_cached(&self, _position: u64, _len: u64) -> bool {
        true
    }
    /// Maps `[position, position + len)` for writing; both are multiples of the page size and the
    /// range is allocated. `None` where that is not possible or too much is mapped already: write
    /// with [`DiskFile::write_at`] then.
    fn map(&self, _position: u64, _len: usize) -> Option<Window> {
        None
    }
    /// Reads exactly `buffer.len()` bytes, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        if self.read_at(buffer, position)? == buffer.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Reads `[position, position + len)`, cut at the end of the file.
pub fn read_range<F: DiskFile>(file: &F, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let left = file.len()?.saturating_sub(position);
    let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
    let read = file.read_at(&mut bytes, position)?;
    bytes.truncate(read);
    Ok(bytes)
}
