//! What of a log is not on disk yet, and the job that puts it there.
//!
//! The partition takes a [`Flush`] under its lock, runs it on the sync pool without the lock, and
//! tells the log afterwards. A flush covers every byte, file and name that came before it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{AppendFile, Disk, DiskFile, Open, SegmentFile, SyncRange};

use super::writer::Log;

/// A thing that the next flush makes durable.
enum Pending<D: Disk> {
    /// A segment that was sealed, its trimmed size included.
    Sealed(Arc<SegmentFile<D::File>>),
    /// A file beside the segments: an index, a snapshot.
    File(PathBuf),
    /// Names in the partition's folder.
    Names,
    /// The folder's own name in the log directory.
    Folder,
}

impl<D: Disk> Clone for Pending<D> {
    fn clone(&self) -> Self {
        match self {
            Pending::Sealed(file) => Pending::Sealed(Arc::clone(file)),
            Pending::File(path) => Pending::File(path.clone()),
            Pending::Names => Pending::Names,
            Pending::Folder => Pending::Folder,
        }
    }
}

/// The bookkeeping of what is on disk.
pub(super) struct Unflushed<D: Disk> {
    /// Everything below is on disk.
    pub(super) flushed: i64,
    /// The same as a position in the last segment.
    position: u64,
    /// Counts segments, so that a flush of an earlier one moves no position.
    segment: u64,
    /// Counts truncations, before which a flush says nothing about what came after.
    generation: u64,
    pending: Vec<Pending<D>>,
    /// How many things were ever done with; those in `pending` come after them.
    done: u64,
    /// The last segment's name is on disk once so many are done.
    named: u64,
}

impl<D: Disk> Unflushed<D> {
    pub(super) fn new(flushed: i64) -> Self {
        Unflushed {
            flushed,
            position: 0,
            segment: 0,
            generation: 0,
            pending: Vec::new(),
            done: 0,
            named: 0,
        }
    }

    /// A log that was opened or cut: everything to here is on disk.
    pub(super) fn restart(&mut self, flushed: i64, position: u64) {
        self.flushed = flushed;
        self.position = position;
        self.generation += 1;
    }

    /// Notes that a segment's file was made.
    pub(super) fn begin_segment(&mut self) {
        self.new_names();
        self.doubt_last_name();
        self.segment += 1;
        self.position = 0;
    }

    /// The last segment's name may not be on disk before all that is pending now is done.
    pub(super) fn doubt_last_name(&mut self) {
        self.named = self.done + self.pending.len() as u64;
    }

    /// Whether the name of the last segment is on disk.
    pub(super) fn is_named(&self) -> bool {
        self.done >= self.named
    }

    pub(super) fn sealed(&mut self, file: Arc<SegmentFile<D::File>>) {
        self.pending.push(Pending::Sealed(file));
    }

    pub(super) fn file(&mut self, path: PathBuf) {
        self.pending.push(Pending::File(path));
        self.new_names();
    }

    pub(super) fn new_names(&mut self) {
        self.pending.push(Pending::Names);
    }

    pub(super) fn new_folder(&mut self) {
        self.pending.push(Pending::Folder);
    }

    /// Notes that everything up to `end` is on disk, all that was pending included.
    pub(super) fn all_done(&mut self, end: i64, position: u64) {
        self.done += self.pending.len() as u64;
        self.pending.clear();
        self.flushed = end;
        self.position = position;
    }

    fn anything(&self, end: i64) -> bool {
        self.flushed < end || !self.pending.is_empty()
    }
}

/// What makes a log durable up to its end of the moment. It runs without the log.
pub(crate) struct Flush<D: Disk> {
    disk: D,
    /// Of the partition; empty (and so not allocated) while nothing but the range is pending.
    dir: PathBuf,
    range: Option<SyncRange<D::File>>,
    pending: Vec<Pending<D>>,
    end: i64,
    segment: u64,
    generation: u64,
    done: u64,
}

impl<D: Disk> Flush<D> {
    /// Syncs. An error is final for the disk: no later flush says that these bytes are safe.
    pub(crate) fn run(&self) -> io::Result<()> {
        let (mut names, mut folder) = (false, false);
        for pending in &self.pending {
            match pending {
                Pending::Sealed(file) => file.file().sync()?,
                Pending::File(path) => sync_file(&self.disk, path)?,
                Pending::Names => names = true,
                Pending::Folder => folder = true,
            }
        }
        if let Some(range) = &self.range {
            range.run()?;
        }
        if names {
            match self.disk.sync_dir(&self.dir) {
                // The topic was deleted meanwhile, and its folder bears another name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        if folder {
            self.disk
                .sync_dir(self.dir.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }
}

/// Syncs a file beside the segments, if retention has not taken it meanwhile.
pub(super) fn sync_file<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.open(path, Open::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file?.sync(),
    }
}

impl<D: Disk> Log<D> {
    /// Everything below this offset is on disk.
    pub(crate) fn flushed(&self) -> i64 {
        self.unflushed.flushed
    }

    /// What a checkpoint of recovery points should say of this log.
    pub(crate) fn recovery_point(&self) -> i64 {
        self.unflushed.flushed
    }

    /// Whether anything of the log is not on disk.
    pub(crate) fn is_unflushed(&self) -> bool {
        self.unflushed.anything(self.end)
    }

    /// What must be synced for the log to be on disk as it is now; `None` if it is. Writes what
    /// small appends have gathered; an error in that is final.
    pub(crate) fn unflushed(&mut self) -> io::Result<Option<Flush<D>>> {
        let state = &self.unflushed;
        if !state.anything(self.end) {
            return Ok(None);
        }
        let active = self
            .active
            .as_mut()
            .filter(|active| active.end() > state.position);
        let is_sealed = |pending: &Pending<D>| matches!(pending, Pending::Sealed(_));
        if active.is_none() && state.flushed < self.end && !state.pending.iter().any(is_sealed) {
            // A flush of nothing would vouch for them.
            return Err(io::Error::other(format!(
                "records of {} are in no open file",
                self.dir.display()
            )));
        }
        Ok(Some(Flush {
            disk: self.disk.clone(),
            dir: if state.pending.is_empty() {
                PathBuf::new()
            } else {
                self.dir.clone()
            },
            range: active.map(AppendFile::sync_range).transpose()?,
            pending: state.pending.clone(),
            end: self.end,
            segment: state.segment,
            generation: state.generation,
            done: state.done + state.pending.len() as u64,
        }))
    }

    /// Notes that a flush has run with success. Tells about how many bytes it put on disk.
    pub(crate) fn flushed_to(&mut self, flush: &Flush<D>) -> u64 {
        let state = &mut self.unflushed;
        let done = flush.done.saturating_sub(state.done) as usize;
        state.pending.drain(..done.min(state.pending.len()));
        state.done = state.done.max(flush.done);
        if flush.generation != state.generation {
            return 0;
        }
        state.flushed = state.flushed.max(flush.end);
        if flush.segment != state.segment {
            return 0;
        }
        let before = state.position;
        if let Some(range) = &flush.range {
            state.position = before.max(range.end());
        }
        state.position - before
    }
}
