//! What leaves a log at its start: by age, by size, and by a request to delete records; and the
//! roll by age that makes it possible.

use std::io;
use std::path::PathBuf;

use disk::Disk;

use super::error::LogError;
use super::producer_snapshot;
use super::segment::Segment;
use super::writer::Log;

/// A segment that has left its log. Its files have another name, and are removed by
/// [`Retired::remove`], after `file.delete.delay.ms`; who still reads them can go on.
pub(crate) struct Retired<D: Disk> {
    disk: D,
    files: Vec<PathBuf>,
}

impl<D: Disk> Retired<D> {
    /// Removes the files. What is left of them after a crash is removed at the next start.
    pub(crate) fn remove(self) -> io::Result<()> {
        let mut failed = None;
        for file in &self.files {
            match self.disk.remove(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    failed = failed.or(Some(error));
                }
                _ => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl<D: Disk> Log<D> {
    /// Retires segments that are past retention or below the log's start, none that holds records
    /// at or past `upto`, and rolls the last segment if it is too old. Forgets idle producers and
    /// lets go of descriptors that only old reads needed. To be called every few minutes.
    ///
    /// What has left the log is in `retired`, also when this fails.
    pub(crate) fn maintain(
        &mut self,
        now_ms: i64,
        upto: i64,
        retired: &mut Vec<Retired<D>>,
    ) -> Result<(), LogError> {
        let expiration = self.config.producer_id_expiration_ms;
        self.producers.expire(now_ms, expiration);
        if self.segments.is_empty() {
            return Ok(());
        }
        let last = self.segments.len() - 1;
        for segment in &mut self.segments[..last] {
            segment.set_reader(None);
        }
        let disk = self.disk.clone();
        let before = retired.len();
        let mut full = None;
        let mut excess = self.excess_bytes();
        while let Some(first) = self.segments.first_mut() {
            let size = first.size;
            let too_old = !self.config.compacts
                && self.config.retention_ms >= 0
                && size > 0
                && now_ms.saturating_sub(age(first, &disk)?) > self.config.retention_ms;
            let too_much = !self.config.compacts && size > 0 && excess >= size;
            let end = self.end_of_segment(0);
            let below_start = size > 0 && end <= self.log_start;
            if end > upto || !(too_old || too_much || below_start) {
                break;
            }
            if self.segments.len() == 1 {
                // The last segment goes only when another takes its place. For its size it stays.
                if !too_old && !below_start {
                    break;
                }
                match self.roll(now_ms) {
                    // What has left already makes room for it, once it is removed.
                    Err(LogError::Full(error)) => {
                        full = Some(error);
                        break;
                    }
                    rolled => rolled?,
                }
            }
            excess = excess.saturating_sub(size);
            retired.push(self.retire_first()?);
            self.log_start = self.log_start.max(end);
        }
        if retired.len() > before {
            self.epochs.truncate_before(self.log_start);
            self.changed |= self.epochs.is_changed();
            self.remove_snapshots_before(self.segments[0].base)?;
        }
        if let Some(error) = full {
            return Err(LogError::Full(error));
        }
        // Last, as on a full disk it fails, and must not keep the rest from making room.
        if let Some(last) = self.segments.last_mut()
            && last.size > 0
            && last.rested(&disk, now_ms)? > self.config.segment_ms
        {
            self.roll(now_ms)?;
        }
        Ok(())
    }

    /// Takes the first segment out of the log, unless its file cannot be renamed.
    fn retire_first(&mut self) -> Result<Retired<D>, LogError> {
        let first = self.segments.remove(0);
        let retired = self.retire(&first);
        if retired.is_err() {
            self.segments.insert(0, first);
        }
        retired
    }

    /// Bytes past `retention.bytes`.
    fn excess_bytes(&self) -> u64 {
        match u64::try_from(self.config.retention_bytes) {
            Ok(limit) => self.size_bytes().saturating_sub(limit),
            Err(_) => 0,
        }
    }

    /// Moves the log's start up to `offset` (DeleteRecords, or a leader's start). The segments
    /// below are retired by the next [`Log::maintain`].
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<(), LogError> {
        if offset > self.end {
            return Err(LogError::OffsetOutOfRange {
                offset,
                start: self.log_start,
                end: self.end,
            });
        }
        self.log_start = self.log_start.max(offset);
        self.epochs.truncate_before(self.log_start);
        self.changed |= self.epochs.is_changed();
        Ok(())
    }

    /// Renames the files of a segment that has left the log. If that fails, none has another name.
    pub(super) fn retire(&mut self, segment: &Segment<D>) -> Result<Retired<D>, LogError> {
        let mut files = Vec::new();
        // The segment's own comes first.
        for path in segment.files() {
            let mut name = path.clone().into_os_string();
            name.push(".deleted");
            let deleted = PathBuf::from(name);
            match self.disk.rename(&path, &deleted) {
                Ok(()) => files.push(deleted),
                // An index that was never written.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Nobody needs the index of a segment that is gone.
                Err(_) if !files.is_empty() => files.push(path),
                Err(error) => return Err(error.into()),
            }
        }
        self.unflushed.new_names();
        Ok(Retired {
            disk: self.disk.clone(),
            files,
        })
    }

    /// Removes snapshots of producers that no recovery will start from.
    fn remove_snapshots_before(&self, offset: i64) -> Result<(), LogError> {
        for entry in self.disk.read_dir(&self.dir)? {
            let old = entry
                .name
                .strip_suffix(".snapshot")
                .and_then(|stem| stem.parse::<i64>().ok())
                .filter(|&at| at < offset);
            if let Some(old) = old {
                self.disk.remove(&producer_snapshot::path(&self.dir, old))?;
            }
        }
        Ok(())
    }
}

/// The time a segment's age counts from: its greatest timestamp, or when it was made.
fn age<D: Disk>(segment: &mut Segment<D>, disk: &D) -> Result<i64, LogError> {
    let largest = segment.largest(disk)?.timestamp;
    Ok(if largest >= 0 {
        largest
    } else {
        segment.created_ms
    })
}
