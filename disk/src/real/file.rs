//! An open file of this machine.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{Advice, FallocateFlags, SeekFrom, fadvise, fallocate, seek};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev};

use super::{Shared, Window};
use crate::DiskFile;
use crate::health::named;

/// Distance of the probes of [`DiskFile::is_cached`], and how many there are at most.
const PROBE_STEP: u64 = 256 << 10;
const PROBES_MAX: u64 = 8;

/// An open file.
pub struct RealFile {
    file: File,
    path: Box<Path>,
    shared: Arc<Shared>,
}

impl RealFile {
    pub(super) fn new(file: File, path: &Path, shared: Arc<Shared>) -> RealFile {
        RealFile {
            file,
            path: path.into(),
            shared,
        }
    }

    fn read_result<T>(&self, what: &str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| named(what, &self.path, &error))
    }

    fn write_all(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut written = match pwritev(&self.file, slices, position) {
            Ok(written) => written,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if written == total {
            return Ok(());
        }
        // A signal or a limit cut it short: the rest goes slice by slice.
        let mut start = 0;
        for slice in slices {
            let end = start + slice.len();
            if end > written {
                let from = written - start;
                self.file
                    .write_all_at(&slice[from..], position + written as u64)?;
                written = end;
            }
            start = end;
        }
        Ok(())
    }
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        self.read_result("look at", self.file.metadata())
            .map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[done..], position + done as u64)
            {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(named("read", &self.path, &error)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.shared.health.check()?;
        let result = self.write_all(slices, position);
        self.shared.health.last_word("write to", &self.path, result)
    }

    fn check_health(&self) -> io::Result<()> {
        self.shared.health.check()
    }

    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        self.shared.health.check()?;
        let result = match fallocate(&self.file, FallocateFlags::empty(), position, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            result => result.map_err(Into::into),
        };
        self.read_result("reserve room for", result)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.shared.health.check()?;
        let result = self.file.set_len(len);
        self.shared
            .health
            .last_word("set the length of", &self.path, result)
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.health.check()?;
        let result = self.file.sync_data();
        self.shared.health.last_word("sync", &self.path, result)
    }

    fn drop_cache(&self, from: u64) -> io::Result<()> {
        // A page is dropped as a whole or not at all.
        let result = fadvise(&self.file, from & !0xffff, None, Advice::DontNeed);
        self.read_result("drop the cached pages of", result.map_err(Into::into))
    }

    fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        match seek(&self.file, SeekFrom::Data(from)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // A file system that cannot tell: all of it may be data.
            Err(_) => Ok((from < self.len()?).then_some(from)),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn is_cached(&self, position: u64, len: u64) -> bool {
        let Some(last) = len.checked_sub(1) else {
            return true;
        };
        let step = PROBE_STEP.max(len / PROBES_MAX);
        let mut at = 0;
        loop {
            let mut byte = [0];
            let probe = preadv2(
                &self.file,
                &mut [IoSliceMut::new(&mut byte)],
                position + at,
                ReadWriteFlags::NOWAIT,
            );
            match probe {
                Ok(_) => {}
                Err(Errno::AGAIN) => return false,
                // A kernel or a file system that cannot tell: the read itself will.
                Err(_) => return true,
            }
            if at == last {
                return true;
            }
            at = (at + step).min(last);
        }
    }

    fn map(&self, position: u64, len: usize) -> Option<Window> {
        if !self.shared.can_map.load(Ordering::Relaxed) {
            return None;
        }
        Window::map(&self.file, &self.shared, position, len)
    }
}
