//! The transaction log's writing end: appends, preallocates, syncs, rolls. Its one user is the log thread.

use std::io::{ErrorKind, IoSlice};
use std::path::PathBuf;

use disk::{Disk, DiskFile, Open};

use super::error::StorageError;
use super::record::{HEADER_LEN, frame, framed_len, header};
use super::{log_name, names};
use crate::Zxid;

/// A file past this length is followed by another.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The file grows by its own length within these bounds, so that a small service takes little room.
const GROWTH_MIN: u64 = 64 << 10;
const GROWTH_MAX: u64 = 4 << 20;
/// More files than this, and a start takes a snapshot to be rid of them. Each start leaves one or two.
pub(crate) const FILES_MAX: usize = 64;

/// One transaction to append: its zxid and its encoding.
pub(crate) type Entry = (Zxid, Vec<u8>);

/// The log of one folder, open for appending.
pub(crate) struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    file: Option<OpenLog<D::File>>,
    /// The last transaction written.
    last: Zxid,
    /// Whether the newest file holds records.
    open_end: bool,
    frames: Vec<u8>,
}

struct OpenLog<F> {
    file: F,
    /// Where the next record goes.
    end: u64,
    /// What is known to be on disk.
    synced: u64,
    /// Up to where blocks are reserved and hold zeros.
    reserved: u64,
}

impl<D: Disk> Log<D> {
    /// A log that goes on after `last` in a new file, which appears with the first append: what an earlier run left
    /// is never written to again.
    pub(super) fn new(disk: D, dir: PathBuf, last: Zxid, open_end: bool) -> Log<D> {
        Log {
            disk,
            dir,
            file: None,
            last,
            open_end,
            frames: Vec::new(),
        }
    }

    /// Writes transactions, all or (on a full disk) none. They are on disk after the next [`Log::sync`].
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), StorageError> {
        let Some((first, _)) = entries.first() else {
            return Ok(());
        };
        if self
            .file
            .as_ref()
            .is_some_and(|open| open.end >= FILE_BYTES_MAX)
        {
            self.roll()?;
        }
        let mut open = match self.file.take() {
            Some(open) => open,
            None => self.create(*first)?,
        };
        let needed = entries
            .iter()
            .map(|(_, payload)| framed_len(payload.len()) as u64)
            .sum();
        let reserved = open.reserve(needed);
        let open = self.file.insert(open);
        reserved?;
        self.open_end = true;
        self.frames.clear();
        for (zxid, payload) in entries {
            frame(&mut self.frames, *zxid, open.synced, payload);
            self.last = *zxid;
        }
        open.file
            .write_at(&[IoSlice::new(&self.frames)], open.end)?;
        open.end += self.frames.len() as u64;
        // One large batch must not hold its memory for ever.
        self.frames.shrink_to(GROWTH_MAX as usize);
        Ok(())
    }

    /// Makes everything appended durable.
    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        if let Some(open) = &mut self.file {
            open.file.sync()?;
            open.synced = open.end;
        }
        Ok(())
    }

    /// Ends the file, so that the next append starts another. All that was appended must be synced.
    pub(crate) fn roll(&mut self) -> Result<(), StorageError> {
        if let Some(open) = self.file.take() {
            open.file.set_len(open.end)?;
            open.file.sync()?;
        }
        Ok(())
    }

    /// Ends the log with an empty file, which vouches for all before it: what cannot be read there afterwards is
    /// damage and no torn write. All that was appended must be synced, and nothing may be appended after.
    pub(crate) fn seal(&mut self) -> Result<(), StorageError> {
        self.roll()?;
        if self.open_end {
            self.file = Some(self.create(Zxid(self.last.0 + 1))?);
            self.roll()?;
            self.open_end = false;
        }
        Ok(())
    }

    fn create(&self, first: Zxid) -> Result<OpenLog<D::File>, StorageError> {
        let path = self.dir.join(log_name(first));
        // A file of this name can only be one whose creation a full disk stopped.
        if self.disk.exists(&path)? {
            self.disk.remove(&path)?;
        }
        let file = self.disk.open(&path, Open::Create)?;
        let mut open = OpenLog {
            file,
            end: 0,
            synced: 0,
            reserved: 0,
        };
        open.reserve(HEADER_LEN)?;
        open.file.write_at(&[IoSlice::new(&header(self.last))], 0)?;
        open.end = HEADER_LEN;
        open.file.sync()?;
        open.synced = HEADER_LEN;
        self.disk.sync_dir(&self.dir)?;
        Ok(open)
    }

    /// Removes the snapshots but the newest `keep`, and the log files that the oldest kept one makes superfluous.
    /// While there are fewer, the log is kept whole, unless it has come to be of many files.
    pub(crate) fn purge(disk: &D, dir: &std::path::Path, keep: usize) -> Result<(), StorageError> {
        let names = names(disk, dir)?;
        let dropped = names.snapshots.len().saturating_sub(keep);
        let spares = names.snapshots.len() >= keep || names.logs.len() > FILES_MAX;
        let Some(oldest) = names.snapshots.get(dropped).filter(|_| spares) else {
            return Ok(());
        };
        let mut gone: Vec<String> = names.snapshots[..dropped]
            .iter()
            .map(|z| super::snapshot_name(*z))
            .collect();
        for pair in names.logs.windows(2) {
            // All of a file's transactions come before its successor's first.
            if pair[1].0 <= oldest.0.saturating_add(1) {
                gone.push(log_name(pair[0]));
            }
        }
        for name in &gone {
            disk.remove(&dir.join(name))?;
        }
        for (name, first) in names.torn {
            if gone.contains(&log_name(first)) {
                disk.remove(&dir.join(name))?;
            }
        }
        if !gone.is_empty() {
            disk.sync_dir(dir)?;
        }
        Ok(())
    }
}

impl<F: DiskFile> OpenLog<F> {
    /// Makes sure that `needed` bytes more have room, with zeros written ahead: a sync of blocks that were never
    /// written must also commit the file system's journal, and takes twice as long.
    fn reserve(&mut self, needed: u64) -> Result<(), StorageError> {
        let wanted = self.end + needed;
        if wanted <= self.reserved {
            return Ok(());
        }
        let generous = (self.reserved + self.reserved.clamp(GROWTH_MIN, GROWTH_MAX)).max(wanted);
        let to = match self.file.allocate(self.reserved, generous - self.reserved) {
            Ok(()) => generous,
            Err(error) if error.kind() == ErrorKind::Unsupported => generous,
            Err(error) if error.kind() == ErrorKind::StorageFull && wanted < generous => {
                self.file.allocate(self.reserved, wanted - self.reserved)?;
                wanted
            }
            Err(error) => return Err(error.into()),
        };
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.reserved < to {
            let len = (to - self.reserved).min(ZEROS.len() as u64);
            self.file
                .write_at(&[IoSlice::new(&ZEROS[..len as usize])], self.reserved)?;
            self.reserved += len;
        }
        Ok(())
    }
}
