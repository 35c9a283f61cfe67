//! Opening a log: by the checkpoints alone after a clean stop, and otherwise by reading every
//! batch from the segment of the recovery point on.

use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Open};

use super::epochs::LeaderEpochs;
use super::error::LogError;
use super::flush::sync_file;
use super::header::BatchHeader;
use super::mark::{self, Mark};
use super::producers::ProducerTable;
use super::scan::{ScanError, Scanner, WHOLE};
use super::segment::{Segment, file_path};
use super::writer::Log;
use super::{LogConfig, OpenHints, partition_metadata, producer_snapshot};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Recovered {
    /// Whether the files were scanned.
    pub scanned: bool,
    /// Bytes of batches that were scanned and kept.
    pub scanned_bytes: u64,
    /// What was cut off the log's end. None of it was acknowledged.
    pub cuts: Vec<Cut>,
}

/// A part that recovery cut off the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The segment file.
    pub file: PathBuf,
    /// Where in it the cut is.
    pub position: u64,
    /// The log's end there.
    pub offset: i64,
    /// Where the bytes are kept; `None` if the disk is full.
    pub kept: Option<PathBuf>,
    /// What was wrong with the first batch of them.
    pub reason: String,
}

/// The names in a partition's folder that matter.
#[derive(Default)]
struct Names {
    /// Base offsets, ascending.
    segments: Vec<i64>,
    snapshots: Vec<i64>,
    indexes: Vec<String>,
    leftovers: Vec<String>,
}

impl Names {
    fn list<D: Disk>(disk: &D, dir: &Path) -> Result<Names, LogError> {
        let mut names = Names::default();
        let entries = match disk.read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let name = entry.name;
            let Some((stem, suffix)) = name.rsplit_once('.') else {
                continue;
            };
            let base: Option<i64> = stem.parse().ok().filter(|&base| base >= 0);
            match (suffix, base) {
                ("log", Some(base)) => names.segments.push(base),
                ("snapshot", Some(offset)) => names.snapshots.push(offset),
                ("index" | "timeindex", Some(_)) => names.indexes.push(name),
                ("deleted", _) => names.leftovers.push(name),
                _ => {}
            }
        }
        Ok(names)
    }
}

impl<D: Disk> Log<D> {
    /// Opens the log in `dir`, which need not exist: an empty log has no files until its first
    /// append. After a clean stop nothing is scanned. Otherwise every batch from the segment of
    /// the recovery point on is checked, the log ends at the first bad one, and what was kept is
    /// synced before this returns.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] if a batch below the recovery point is bad; nothing was cut then.
    pub(crate) fn open(
        disk: D,
        dir: PathBuf,
        config: LogConfig,
        hints: OpenHints,
        now_ms: i64,
    ) -> Result<(Log<D>, Recovered), LogError> {
        let names = Names::list(&disk, &dir)?;
        for leftover in &names.leftovers {
            disk.remove(&dir.join(leftover))?;
        }
        let mut log = Log::empty(disk, dir, config, hints);
        if names.segments.is_empty() {
            if hints.recovery_point > log.log_start {
                return Err(log.missing(log.log_start));
            }
            return Ok((log, Recovered::default()));
        }
        for &base in &names.segments {
            let path = file_path(&log.dir, base, ".log");
            let size = log.disk.file_len(&path)?;
            log.segments
                .push(Segment::existing(&log.dir, base, size, now_ms));
        }
        log.log_start = log.log_start.max(names.segments[0]);
        log.epochs = LeaderEpochs::load(&log.disk, &log.dir)?;
        let (mut recovered, mut mark) = (Recovered::default(), None);
        if hints.clean && log.is_as_it_was_left() {
            log.end = hints.recovery_point;
            // Nothing was ever flushed there.
            log.unsure = (log.end == 0).then_some(0);
        } else {
            (recovered, mark) = log.recover(&names)?;
        }
        log.epochs.truncate_from(log.end);
        log.changed |= log.epochs.is_changed();
        let size = log.segments.last().map_or(0, |segment| segment.size);
        log.unflushed.restart(log.end, size);
        log.load_producers(&names, recovered.scanned, mark)?;
        Ok((log, recovered))
    }

    /// Whether the files can be what a clean stop left: the last batch ends the last segment, and
    /// at the recovery point. Whatever else they are, or if it cannot be read, a scan tells.
    fn is_as_it_was_left(&mut self) -> bool {
        let end = self.hints.recovery_point;
        let starts = end >= self.log_start;
        let fits = self.segments.last_mut().is_some_and(|last| {
            if last.size == 0 {
                return end == last.base;
            }
            let found = end > last.base && {
                let found = last.locate(&self.disk, end - 1);
                matches!(found, Ok(Some(found)) if found.header.next_offset() == end
                    && found.position + u64::from(found.header.size) == last.size)
            };
            last.set_reader(None);
            found
        });
        let fits = fits && starts;
        if !fits {
            tracing::warn!(
                "{} is not as a clean stop left it, and is scanned",
                self.dir.display()
            );
        }
        fits
    }

    fn missing(&self, offset: i64) -> LogError {
        LogError::Corrupt {
            file: file_path(&self.dir, offset, ".log"),
            position: 0,
            offset,
            reason: format!(
                "the file is missing, but the log reached offset {} before",
                self.hints.recovery_point
            ),
        }
    }

    fn too_short(&self, last: &Segment<D>) -> LogError {
        LogError::Corrupt {
            file: last.path.clone(),
            position: last.size,
            offset: self.end,
            reason: format!(
                "it ends here, but the log reached offset {} before",
                self.hints.recovery_point
            ),
        }
    }

    fn recover(&mut self, names: &Names) -> Result<(Recovered, Option<Mark>), LogError> {
        let mut recovered = Recovered {
            scanned: true,
            ..Recovered::default()
        };
        let recovery_point = self.hints.recovery_point;
        // One that ends at the recovery point may have been sealed since, and its trimmed size lost.
        let first = self.segment_of(recovery_point - 1);
        let mut index = first;
        let mark = self.go_on_from_mark(first)?;
        let mut from = mark.as_ref().map_or(0, |mark| mark.segment.position);
        let base = self.segments[first].base;
        self.end = mark.as_ref().map_or(base, |mark| mark.end);
        self.remove_indexes(names, base + i64::from(mark.is_some()))?;
        // An epoch before this one would be of a leader that was deposed.
        let mut epoch = self.epochs.at(self.end - 1).unwrap_or(-1);
        let mut names_changed = false;
        while index < self.segments.len() {
            if index > first && self.segments[index].base != self.end {
                break;
            }
            let (size, bad) = self.scan(index, from, &mut epoch)?;
            recovered.scanned_bytes += size - from;
            from = 0;
            self.changed |= self.segments[index].has_indexes();
            let Some(reason) = bad else {
                index += 1;
                continue;
            };
            let is_last = index + 1 == self.segments.len();
            let cut = self.end_segment_at(index, size, reason, is_last)?;
            names_changed |= cut.is_some();
            recovered.cuts.extend(cut);
            index += 1;
        }
        if self.end < recovery_point {
            return Err(self.too_short(&self.segments[index - 1]));
        }
        for segment in self.segments.split_off(index) {
            names_changed = true;
            recovered.cuts.extend(self.set_aside(&segment)?);
        }
        self.write_sealed_indexes(first)?;
        if self.end > recovery_point || names_changed {
            for segment in &self.segments[first..] {
                self.disk.open(&segment.path, Open::Write)?.sync()?;
            }
            let id = self.hints.topic_id;
            let metadata = partition_metadata::write(&self.disk, &self.dir, id)?;
            sync_file(&self.disk, &metadata)?;
            self.disk.sync_dir(&self.dir)?;
            self.disk
                .sync_dir(self.dir.parent().unwrap_or(Path::new(".")))?;
        }
        self.unsure = Some(self.segments[first].base);
        Ok((recovered, mark))
    }

    /// Takes up the mark of the segment that is scanned first, if there is one that fits; what it
    /// tells need not be scanned.
    fn go_on_from_mark(&mut self, first: usize) -> Result<Option<Mark>, LogError> {
        let segment = &mut self.segments[first];
        let recovery_point = self.hints.recovery_point;
        let found = mark::read(&self.disk, &self.dir, segment.base, recovery_point)?;
        let Some(mark) = found else {
            self.unmark()?;
            return Ok(None);
        };
        if !segment.restore(&self.disk, &mark.segment)? {
            self.unmark()?;
            return Ok(None);
        }
        self.marked = mark.segment.position;
        for &(epoch, start) in &mark.epochs {
            self.epochs.begin(epoch, start);
        }
        Ok(Some(mark))
    }

    /// Writes the indexes of what was scanned, but for the last segment's, which a roll or a stop
    /// writes. The next start scans none of these segments, and would believe half an index.
    fn write_sealed_indexes(&mut self, first: usize) -> Result<(), LogError> {
        let last = self.segments.len() - 1;
        for segment in &mut self.segments[first..last] {
            match segment.write_indexes(&self.disk) {
                Ok(files) => {
                    for file in files {
                        sync_file(&self.disk, &file)?;
                    }
                }
                Err(LogError::Full(error)) => {
                    tracing::debug!("{} stays without an index: {error}", segment.path.display());
                    segment.remove_indexes(&self.disk)?;
                }
                Err(error) => return Err(error),
            }
            self.unflushed.new_names();
        }
        Ok(())
    }

    /// Removes the indexes of segments from `base` on. Unsynced, they may say anything; they are
    /// written again by recovery, a roll or a clean stop.
    fn remove_indexes(&mut self, names: &Names, base: i64) -> Result<(), LogError> {
        for name in &names.indexes {
            let stem = name.split('.').next().and_then(|stem| stem.parse().ok());
            if stem.is_some_and(|of: i64| of >= base) {
                self.disk.remove(&self.dir.join(name))?;
                self.unflushed.new_names();
            }
        }
        Ok(())
    }

    /// Checks the batches of a segment from a position on and notes them, from the log's end on.
    /// Tells how many bytes are good, and what is wrong with what follows, if anything does.
    fn scan(
        &mut self,
        index: usize,
        from: u64,
        epoch: &mut i32,
    ) -> Result<(u64, Option<&'static str>), LogError> {
        let segment = &mut self.segments[index];
        let file = self.disk.open(&segment.path, Open::Read)?;
        // Pages that an earlier run failed to write look clean and are not on the disk.
        file.drop_cache(from)?;
        let len = file.len()?;
        if from == 0 {
            segment.reset_indexes();
        }
        let mut scanner = Scanner::new(&file, from, len, WHOLE.min(len as usize + 1).max(4096));
        loop {
            let position = scanner.position();
            let header = match scanner.next_checked() {
                Ok(None) => return Ok((position, None)),
                Ok(Some((_, header))) => header,
                Err(ScanError::Bad(reason)) => return Ok((position, Some(reason))),
                Err(ScanError::Disk(error)) => return Err(error.into()),
            };
            if let Some(reason) = wrong_order(&header, self.end, *epoch) {
                return Ok((position, Some(reason)));
            }
            *epoch = header.leader_epoch;
            self.end = header.next_offset();
            self.epochs.begin(header.leader_epoch, header.base_offset);
            let interval = self.config.index_interval_bytes;
            segment.note(&self.disk, position, &header, interval)?;
        }
    }

    /// Ends a segment at `size`, where something that is no batch follows. Zeros are room that was
    /// reserved, and stay if appends go on here; anything else is kept aside and cut.
    fn end_segment_at(
        &mut self,
        index: usize,
        size: u64,
        reason: &'static str,
        is_last: bool,
    ) -> Result<Option<Cut>, LogError> {
        let segment = &self.segments[index];
        let file = self.disk.open(&segment.path, Open::Write)?;
        let used = last_used(&file, size)?;
        if self.end < self.hints.recovery_point {
            return Err(match used {
                None => self.too_short(segment),
                Some(_) => LogError::Corrupt {
                    file: segment.path.clone(),
                    position: size,
                    offset: self.end,
                    reason: reason.to_owned(),
                },
            });
        }
        let Some(used) = used else {
            if is_last {
                self.changed = true;
            } else {
                file.set_len(size)?;
                file.sync()?;
            }
            return Ok(None);
        };
        let mut kept = Some(self.free_name(&segment.path, size)?);
        if let Some(to) = &kept
            && let Err(error) = copy(&self.disk, &file, size..used, to)
        {
            if error.kind() != io::ErrorKind::StorageFull {
                return Err(error.into());
            }
            // It was never acknowledged, and the log is worth more than it.
            self.disk.remove(to)?;
            kept = None;
        }
        self.disk.sync_dir(&self.dir)?;
        file.set_len(size)?;
        file.sync()?;
        Ok(Some(Cut {
            file: segment.path.clone(),
            position: size,
            offset: self.end,
            kept,
            reason: reason.to_owned(),
        }))
    }

    /// Takes a segment that lies past the log's end out of it: away if it is empty, else aside.
    fn set_aside(&self, segment: &Segment<D>) -> Result<Option<Cut>, LogError> {
        let file = self.disk.open(&segment.path, Open::Read)?;
        if last_used(&file, 0)?.is_none() {
            self.disk.remove(&segment.path)?;
            return Ok(None);
        }
        let kept = self.free_name(&segment.path, 0)?;
        self.disk.rename(&segment.path, &kept)?;
        Ok(Some(Cut {
            file: segment.path.clone(),
            position: 0,
            offset: self.end,
            kept: Some(kept),
            reason: format!("the log before it ends at offset {}", self.end),
        }))
    }

    /// A name beside `path` for what is cut from it, which nothing has yet.
    fn free_name(&self, path: &Path, position: u64) -> Result<PathBuf, LogError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut candidate = self.dir.join(format!("{name}.cut-{position}"));
        let mut count = 1;
        while self.disk.exists(&candidate)? {
            candidate = self.dir.join(format!("{name}.cut-{position}-{count}"));
            count += 1;
        }
        Ok(candidate)
    }

    /// Loads the newest snapshot of producers up to the log's end, or the mark if that is newer, and
    /// replays what came after it.
    fn load_producers(
        &mut self,
        names: &Names,
        scanned: bool,
        mark: Option<Mark>,
    ) -> Result<(), LogError> {
        let mut from = None;
        for &offset in names.snapshots.iter().rev() {
            let is_loose = !self.segments.iter().any(|segment| segment.base == offset);
            if offset > self.end || (is_loose && from.is_some()) {
                producer_snapshot::remove(&self.disk, &self.dir, offset)?;
                self.unflushed.new_names();
                continue;
            }
            self.has_snapshots = true;
            if from.is_some() {
                continue;
            }
            match producer_snapshot::read(&self.disk, &self.dir, offset) {
                Ok(table) => {
                    self.producers = table;
                    self.loose_snapshot = is_loose.then_some(offset);
                    from = Some(offset);
                }
                Err(error @ LogError::Malformed { .. }) => tracing::warn!("{error}"),
                Err(error) => return Err(error),
            }
        }
        if let Some(mark) = mark.filter(|mark| from.is_none_or(|from| from < mark.end)) {
            self.producers = mark.producers;
            from = Some(mark.end);
        }
        // A clean stop leaves one at the log's end, if there is anything to tell.
        let is_told = from == Some(self.end) || (!scanned && !self.has_snapshots);
        if is_told {
            return Ok(());
        }
        self.replay(from.unwrap_or(self.segments[0].base))?;
        self.changed |= !self.producers.is_empty() || self.has_snapshots;
        Ok(())
    }

    /// Notes the producers of the batches from `from` on.
    pub(super) fn replay(&mut self, from: i64) -> Result<(), LogError> {
        for index in self.segment_of(from)..self.segments.len() {
            let reader = self.reader(index)?;
            let segment = &mut self.segments[index];
            let Some(start) = segment.locate(&self.disk, from.max(segment.base))? else {
                continue;
            };
            let mut scanner = Scanner::new(reader.file(), start.position, segment.size, WHOLE);
            loop {
                match scanner.next_header() {
                    Ok(None) => break,
                    Ok(Some((_, header))) if header.base_offset >= from => {
                        self.producers.appended(&header, header.max_timestamp);
                    }
                    Ok(Some(_)) => {}
                    Err(error) => return Err(segment.scan_error(error, scanner.position())),
                }
            }
        }
        for segment in &mut self.segments {
            segment.set_reader(None);
        }
        Ok(())
    }

    /// Replaces the producers' state by what the newest snapshot and the log now say.
    pub(super) fn reload_producers(&mut self) -> Result<(), LogError> {
        let names = Names::list(&self.disk, &self.dir)?;
        self.producers = ProducerTable::default();
        self.loose_snapshot = None;
        self.load_producers(&names, true, None)
    }
}

/// What is wrong with a batch that is whole, where the log should go on.
fn wrong_order(header: &BatchHeader, expected: i64, epoch: i32) -> Option<&'static str> {
    if header.base_offset != expected {
        return Some("its base offset does not follow on");
    }
    if header.leader_epoch < epoch {
        return Some("its leader epoch is older than the one before");
    }
    None
}

/// The position past the last byte after `from` that is not zero, if there is one.
fn last_used<F: DiskFile>(file: &F, from: u64) -> io::Result<Option<u64>> {
    let len = file.len()?;
    let mut buffer = vec![0; WHOLE.min(usize::try_from(len.saturating_sub(from)).unwrap_or(WHOLE))];
    let (mut next, mut used) = (from, None);
    while let Some(at) = file.next_data(next)?.filter(|&at| at < len) {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        if let Some(last) = buffer[..read].iter().rposition(|&byte| byte != 0) {
            used = Some(at + last as u64 + 1);
        }
        next = at + read as u64;
    }
    Ok(used)
}

/// Copies a range of a file to a new one, and syncs that.
fn copy<D: Disk>(
    disk: &D,
    from: &D::File,
    range: std::ops::Range<u64>,
    to: &Path,
) -> io::Result<()> {
    let target = disk.open(to, Open::Create)?;
    let mut buffer = vec![0; WHOLE];
    let mut at = range.start;
    while at < range.end {
        let len = (range.end - at).min(WHOLE as u64) as usize;
        from.read_exact_at(&mut buffer[..len], at)?;
        target.write_with_room(&buffer[..len], at - range.start)?;
        at += len as u64;
    }
    target.sync()
}
