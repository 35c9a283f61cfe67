//! The file system of this machine behind [`Disk`](crate::Disk).

mod file;
mod window;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use rustix::fs::{FlockOperation, flock, statvfs, syncfs};

use crate::health::named;
use crate::{Disk, Entry, Health, Open, Space};

pub use file::RealFile;
pub use window::Window;

/// Bytes of writable windows that all files of a process's disk may have mapped at once, as
/// mapped pages count as resident.
const MAPPED_MAX: usize = 64 << 20;

/// Files of this machine. Give each data folder a disk of its own: clones share one [`Health`].
#[derive(Clone)]
pub struct RealDisk {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    health: Health,
    mapped: AtomicUsize,
    mapped_max: usize,
    /// Cleared for good, and said once, where mappings cannot be populated or blocks not reserved.
    can_map: AtomicBool,
}

impl Default for RealDisk {
    fn default() -> Self {
        RealDisk::new()
    }
}

impl RealDisk {
    /// A disk that has not failed yet, with the usual bound on mapped windows (64 MiB).
    pub fn new() -> RealDisk {
        RealDisk::with_mapped_max(MAPPED_MAX)
    }

    /// The same with another bound on mapped bytes; 0 maps nothing and only writes.
    pub fn with_mapped_max(mapped_max: usize) -> RealDisk {
        RealDisk {
            shared: Arc::new(Shared {
                health: Health::default(),
                mapped: AtomicUsize::new(0),
                mapped_max,
                can_map: AtomicBool::new(true),
            }),
        }
    }

    fn write<T>(&self, what: &str, path: &Path, result: io::Result<T>) -> io::Result<T> {
        self.shared.health.last_word(what, path, result)
    }
}

fn read<T>(what: &str, path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| named(what, path, &error))
}

/// A held lock file.
#[derive(Debug)]
pub struct RealLock {
    _file: fs::File,
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = RealLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.shared.health.check()?;
        // Not final: a folder that was not made holds nothing.
        read("create the folder", path, fs::create_dir_all(path))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let list = || {
            let mut entries = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let is_dir = entry.file_type()?.is_dir();
                if let Ok(name) = entry.file_name().into_string() {
                    entries.push(Entry { name, is_dir });
                }
            }
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        };
        read("list", path, list())
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true);
        if how != Open::Read {
            self.shared.health.check()?;
            options.write(true).create(how == Open::Create);
        }
        let file = read("open", path, options.open(path))?;
        Ok(RealFile::new(file, path, Arc::clone(&self.shared)))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        read("look at", path, path.try_exists())
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        read("look at", path, fs::metadata(path)).map(|metadata| metadata.len())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read("read", path, fs::read(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.health.check()?;
        let result = fs::rename(from, to);
        match result {
            // None is final: nothing was renamed, and with room it may be tried again.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Err(named("rename", from, &error))
            }
            result => self.write("rename", from, result),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shared.health.check()?;
        read("remove", path, fs::remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.shared.health.check()?;
        read("remove the folder", path, fs::remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.shared.health.check()?;
        let folder = read("open the folder", path, fs::File::open(path))?;
        self.write("sync the folder", path, folder.sync_all())
    }

    fn sync_everything(&self, path: &Path) -> io::Result<()> {
        self.shared.health.check()?;
        let folder = read("open the folder", path, fs::File::open(path))?;
        let result = syncfs(&folder).map_err(Into::into);
        self.write("sync the file system of", path, result)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<RealLock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = read("open the lock file", path, options.open(path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(RealLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(named("lock", path, &error.into())),
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = read(
            "ask for the room on",
            path,
            statvfs(path).map_err(Into::into),
        )?;
        Ok(Space {
            total: stat.f_blocks * stat.f_frsize,
            usable: stat.f_bavail * stat.f_frsize,
        })
    }

    fn health(&self) -> &Health {
        &self.shared.health
    }
}

#[cfg(test)]
mod tests;
