//! One segment of a log: a file of batches and its two indexes. It knows how to find an offset or
//! a timestamp in itself; when to roll, keep or delete it is its log's business.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Disk, DiskFile, Open, SegmentFile};

use super::error::LogError;
use super::header::BatchHeader;
use super::index::{Entry, Index, IndexMark, OffsetEntry, TimeEntry};
use super::scan::{LOOKUP, ScanError, Scanner, WHOLE};

/// The file of the segment with this base offset, as Kafka names it.
pub(super) fn file_path(dir: &Path, base: i64, suffix: &str) -> PathBuf {
    dir.join(format!("{base:020}{suffix}"))
}

/// A batch this many bytes past the nearest index entry means that entries are missing.
const FAR: u64 = 4 << 20;

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
}

/// A timestamp and the offset it was found at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Largest {
    pub(super) timestamp: i64,
    pub(super) offset: i64,
}

impl Largest {
    const NONE: Largest = Largest {
        timestamp: -1,
        offset: -1,
    };
}

/// What a segment knew of its batches up to a position, its indexes written up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentMark {
    /// Bytes of batches.
    pub(super) position: u64,
    bytes_since_entry: u64,
    largest: Largest,
    offsets: IndexMark,
    times: IndexMark,
}

impl SegmentMark {
    pub(super) fn words(&self) -> [i64; 8] {
        [
            self.position as i64,
            self.bytes_since_entry as i64,
            self.largest.timestamp,
            self.largest.offset,
            i64::from(self.offsets.entries),
            i64::from(self.offsets.crc),
            i64::from(self.times.entries),
            i64::from(self.times.crc),
        ]
    }

    pub(super) fn of_words(words: [i64; 8]) -> Option<Self> {
        let [position, since, timestamp, offset, index @ ..] = words;
        let index = |at: usize| {
            Some(IndexMark {
                entries: u32::try_from(index[at]).ok()?,
                crc: u32::try_from(index[at + 1]).ok()?,
            })
        };
        Some(SegmentMark {
            position: u64::try_from(position).ok()?,
            bytes_since_entry: u64::try_from(since).ok()?,
            largest: Largest { timestamp, offset },
            offsets: index(0)?,
            times: index(2)?,
        })
    }
}

/// One segment.
pub(super) struct Segment<D: Disk> {
    pub(super) base: i64,
    pub(super) path: PathBuf,
    /// Bytes of batches in the file.
    pub(super) size: u64,
    /// When it was made or opened, for batches without timestamps.
    pub(super) created_ms: i64,
    offsets: Index<OffsetEntry>,
    times: Index<TimeEntry>,
    bytes_since_entry: u64,
    /// The greatest timestamp; `None` until an index is asked for it.
    largest: Option<Largest>,
    /// The first batch's, from which segment.ms counts; `None` until it is read.
    first_timestamp: Option<i64>,
    /// Whether its indexes are written and its file is trimmed, until it is appended to again.
    pub(super) sealed: bool,
    /// Whether the indexes were built by this process, so that building them again is no help.
    rebuilt: bool,
    /// Kept for a while, so that fetch after fetch finds it open.
    reader: Option<Arc<SegmentFile<D::File>>>,
}

impl<D: Disk> Segment<D> {
    /// A segment that is empty so far.
    pub(super) fn fresh(dir: &Path, base: i64, now_ms: i64) -> Self {
        Segment {
            base,
            path: file_path(dir, base, ".log"),
            size: 0,
            created_ms: now_ms,
            offsets: Index::fresh(file_path(dir, base, ".index")),
            times: Index::fresh(file_path(dir, base, ".timeindex")),
            bytes_since_entry: 0,
            largest: Some(Largest::NONE),
            first_timestamp: None,
            sealed: false,
            rebuilt: true,
            reader: None,
        }
    }

    /// A segment that an earlier run left with `size` bytes of batches and its indexes.
    pub(super) fn existing(dir: &Path, base: i64, size: u64, now_ms: i64) -> Self {
        let mut segment = Segment::fresh(dir, base, now_ms);
        segment.size = size;
        if size > 0 {
            segment.offsets = Index::existing(segment.offsets.path().to_owned());
            segment.times = Index::existing(segment.times.path().to_owned());
            segment.largest = None;
            segment.rebuilt = false;
        }
        segment
    }

    /// The file for reading, its published end the segment's.
    pub(super) fn reader(&mut self, disk: &D) -> io::Result<Arc<SegmentFile<D::File>>> {
        if let Some(reader) = &self.reader {
            return Ok(Arc::clone(reader));
        }
        let file = disk.open(&self.path, Open::Read)?;
        let reader = Arc::new(SegmentFile::new(file, self.size));
        self.reader = Some(Arc::clone(&reader));
        Ok(reader)
    }

    /// Lets go of the file, or takes the one that its appender has open.
    pub(super) fn set_reader(&mut self, reader: Option<Arc<SegmentFile<D::File>>>) {
        self.reader = reader;
    }

    /// Whether a descriptor is held for readers.
    pub(super) fn has_reader(&self) -> bool {
        self.reader.is_some()
    }

    /// Reads what [`Segment::note`] needs, so that it cannot fail after an append.
    pub(super) fn prepare_note(&mut self, disk: &D) -> Result<(), LogError> {
        self.largest(disk).map(|_| ())
    }

    /// Notes a batch that was appended at `position`, and indexes it every `interval` bytes.
    pub(super) fn note(
        &mut self,
        disk: &D,
        position: u64,
        header: &BatchHeader,
        interval: u32,
    ) -> Result<(), LogError> {
        let largest = self.largest(disk)?;
        self.size = position + u64::from(header.size);
        if header.max_timestamp > largest.timestamp {
            self.largest = Some(Largest {
                timestamp: header.max_timestamp,
                offset: header.last_offset(),
            });
        }
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if self.bytes_since_entry > u64::from(interval) {
            self.bytes_since_entry = 0;
            let entry = OffsetEntry {
                offset: self.relative(header.last_offset()),
                position: position as u32,
            };
            self.offsets.push(disk, entry);
            if let Err(error) = self.note_time(disk) {
                tracing::debug!("a time index lacks an entry: {error}");
            }
        }
        self.bytes_since_entry += u64::from(header.size);
        Ok(())
    }

    /// Adds the greatest timestamp to the time index, if it is not there.
    fn note_time(&mut self, disk: &D) -> Result<(), LogError> {
        let largest = self.largest(disk)?;
        let last = self.times.last(disk)?;
        if last.is_none_or(|last| last.timestamp < largest.timestamp) && largest.offset >= 0 {
            let entry = TimeEntry {
                timestamp: largest.timestamp,
                offset: self.relative(largest.offset),
            };
            self.times.push(disk, entry);
        }
        Ok(())
    }

    /// Writes what the indexes hold in memory, the greatest timestamp last, and tells which files
    /// are to be synced. A segment too small for an entry is left without: a walk is as quick.
    pub(super) fn write_indexes(&mut self, disk: &D) -> Result<Vec<PathBuf>, LogError> {
        let mut written = Vec::new();
        if self.with_index(disk, |segment| segment.offsets.len(disk))? > 0 {
            self.note_time(disk)?;
        }
        if self.offsets.write(disk)? {
            written.push(self.offsets.path().to_owned());
        }
        if self.times.write(disk)? {
            written.push(self.times.path().to_owned());
        }
        Ok(written)
    }

    /// Writes the indexes up to here, for a recovery that goes on from here.
    pub(super) fn mark(&mut self, disk: &D) -> Result<SegmentMark, LogError> {
        Ok(SegmentMark {
            position: self.size,
            bytes_since_entry: self.bytes_since_entry,
            largest: self.largest(disk)?,
            offsets: self.offsets.mark(disk)?,
            times: self.times.mark(disk)?,
        })
    }

    /// Goes on from a mark, if the indexes are what it says. If not, they are to be removed.
    pub(super) fn restore(&mut self, disk: &D, mark: &SegmentMark) -> Result<bool, LogError> {
        let fits = mark.position <= self.size
            && self.offsets.restore(disk, mark.offsets)?
            && self.times.restore(disk, mark.times)?;
        if fits {
            self.size = mark.position;
            self.bytes_since_entry = mark.bytes_since_entry;
            self.largest = Some(mark.largest);
            self.rebuilt = true;
        }
        Ok(fits)
    }

    /// Whether this process has put entries into the indexes.
    pub(super) fn has_indexes(&self) -> bool {
        self.offsets.has_new() || self.times.has_new()
    }

    /// Whether another entry would take an index past `max` bytes.
    pub(super) fn is_index_full(&mut self, disk: &D, max: u32) -> Result<bool, LogError> {
        let entries = self.with_index(disk, |segment| segment.offsets.len(disk))?;
        Ok(u64::from(entries + 1) * TimeEntry::WIDTH as u64 > u64::from(max))
    }

    /// The greatest timestamp in the segment and the last offset of its batch; -1 if empty.
    pub(super) fn largest(&mut self, disk: &D) -> Result<Largest, LogError> {
        if let Some(largest) = self.largest {
            return Ok(largest);
        }
        let last = self.with_index(disk, |segment| {
            // A segment with batches has an entry for its greatest timestamp.
            segment
                .times
                .last(disk)?
                .ok_or(io::ErrorKind::InvalidData.into())
        });
        let largest = match last {
            Ok(last) => Largest {
                timestamp: last.timestamp,
                offset: self.base + i64::from(last.offset),
            },
            // Not even rebuilt: no batch has a timestamp.
            Err(LogError::Disk(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.largest.unwrap_or(Largest::NONE)
            }
            Err(error) => return Err(error),
        };
        self.largest = Some(largest);
        Ok(largest)
    }

    /// The first batch's timestamp, if it has one.
    fn first_timestamp(&mut self, disk: &D) -> Result<Option<i64>, LogError> {
        if self.first_timestamp.is_none() && self.size > 0 {
            let reader = self.reader(disk)?;
            let mut scanner = Scanner::new(reader.file(), 0, self.size, LOOKUP);
            if let Ok(Some((_, header))) = scanner.next_header() {
                self.first_timestamp = Some(header.max_timestamp);
            }
        }
        Ok(self.first_timestamp.filter(|&timestamp| timestamp >= 0))
    }

    /// How long the segment has waited when `next` comes, for `segment.ms`. It is the time between
    /// records, as in Kafka (`LogSegment.timeWaitedForRoll`): by the clock, each of a run of old
    /// records would roll. The clock counts only where the first batch has no timestamp.
    pub(super) fn waited(
        &mut self,
        disk: &D,
        next: &BatchHeader,
        now_ms: i64,
    ) -> Result<i64, LogError> {
        Ok(match self.first_timestamp(disk)? {
            Some(first) => next.max_timestamp.saturating_sub(first),
            None => now_ms.saturating_sub(self.created_ms),
        })
    }

    /// How long the segment has been there by the clock, if nothing more comes.
    pub(super) fn rested(&mut self, disk: &D, now_ms: i64) -> Result<i64, LogError> {
        let first = self.first_timestamp(disk)?.unwrap_or(self.created_ms);
        Ok(now_ms.saturating_sub(first.max(self.created_ms)))
    }

    /// The batch that holds `offset`, or the first after it; `None` past the last batch.
    pub(super) fn locate(&mut self, disk: &D, offset: i64) -> Result<Option<Located>, LogError> {
        if offset <= self.base {
            return self.first_from(disk, 0, |_| true);
        }
        let relative = self.relative(offset);
        let entry = self.with_index(disk, |segment| {
            segment
                .offsets
                .last_that(disk, |entry| entry.offset <= relative)
        })?;
        let from = entry.map_or(0, |entry| u64::from(entry.position));
        let wanted = |header: &BatchHeader| header.last_offset() >= offset;
        match self.first_from(disk, from, wanted) {
            Ok(Some(found)) if Self::is_index_right(entry, &found, offset) => Ok(Some(found)),
            answer if self.rebuilt => answer,
            // The index led astray, or not far enough: build it anew.
            _ => {
                self.rebuild_indexes(disk)?;
                self.locate(disk, offset)
            }
        }
    }

    /// A batch found by way of an index entry holds the offset, and lies not far from the entry.
    fn is_index_right(entry: Option<OffsetEntry>, found: &Located, offset: i64) -> bool {
        let from = entry.map_or(0, |entry| u64::from(entry.position));
        found.header.base_offset <= offset && found.position - from < FAR
    }

    /// The first batch from the one that holds `offset` on whose greatest timestamp reaches
    /// `timestamp`.
    pub(super) fn locate_time(
        &mut self,
        disk: &D,
        timestamp: i64,
        offset: i64,
    ) -> Result<Option<Located>, LogError> {
        let entry = self.with_index(disk, |segment| {
            let below = |entry: &TimeEntry| entry.timestamp < timestamp;
            segment.times.last_that(disk, below)
        })?;
        let indexed = entry.map_or(self.base, |entry| self.base + i64::from(entry.offset));
        let Some(from) = self.locate(disk, indexed.max(offset))? else {
            return Ok(None);
        };
        self.first_from(disk, from.position, |header| {
            header.max_timestamp >= timestamp
        })
    }

    /// The first batch at or after `position` that is wanted.
    fn first_from(
        &mut self,
        disk: &D,
        position: u64,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Located>, LogError> {
        let reader = self.reader(disk)?;
        let mut scanner = Scanner::new(reader.file(), position, self.size, LOOKUP);
        loop {
            match scanner.next_header() {
                Ok(None) => return Ok(None),
                Ok(Some((position, header))) if wanted(&header) => {
                    return Ok(Some(Located { position, header }));
                }
                Ok(Some(_)) => {}
                Err(error) => return Err(self.scan_error(error, scanner.position())),
            }
        }
    }

    pub(super) fn scan_error(&self, error: ScanError, position: u64) -> LogError {
        match error {
            ScanError::Disk(error) => error.into(),
            ScanError::Bad(reason) => LogError::Corrupt {
                file: self.path.clone(),
                position,
                offset: self.base,
                reason: reason.to_owned(),
            },
        }
    }

    /// Runs a question to an index, after building both anew if their files are lost or torn.
    fn with_index<T>(
        &mut self,
        disk: &D,
        mut ask: impl FnMut(&mut Self) -> io::Result<T>,
    ) -> Result<T, LogError> {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        match ask(self) {
            Err(error) if matches!(error.kind(), InvalidData | NotFound | UnexpectedEof) => {
                self.rebuild_indexes(disk)?;
                Ok(ask(self)?)
            }
            answer => Ok(answer?),
        }
    }

    fn rebuild_indexes(&mut self, disk: &D) -> Result<(), LogError> {
        tracing::info!("building the indexes of {} anew", self.path.display());
        let reader = self.reader(disk)?;
        let size = self.size;
        self.reset_indexes();
        // Half of an index is believed, so each gets its name when it is whole.
        self.offsets.write_at_once();
        self.times.write_at_once();
        let mut scanner = Scanner::new(reader.file(), 0, size, WHOLE);
        loop {
            match scanner.next_header() {
                Ok(Some((position, header))) => {
                    self.note(disk, position, &header, super::INDEX_INTERVAL)?;
                }
                Ok(None) => break,
                Err(error) => {
                    self.size = size;
                    return Err(self.scan_error(error, scanner.position()));
                }
            }
        }
        self.size = size;
        match self.write_indexes(disk) {
            // They are right in memory.
            Err(LogError::Full(error)) => {
                tracing::debug!("{} stays without an index: {error}", self.path.display());
                Ok(())
            }
            written => written.map(|_| ()),
        }
    }

    /// Removes what there is of the indexes on disk; in memory they stay.
    pub(super) fn remove_indexes(&mut self, disk: &D) -> Result<(), LogError> {
        self.offsets.remove_file(disk)?;
        self.times.remove_file(disk)?;
        Ok(())
    }

    /// Forgets the indexes, for a walk that notes every batch again.
    pub(super) fn reset_indexes(&mut self) {
        self.offsets = Index::fresh(self.offsets.path().to_owned());
        self.times = Index::fresh(self.times.path().to_owned());
        self.bytes_since_entry = 0;
        self.largest = Some(Largest::NONE);
        self.size = 0;
        self.rebuilt = true;
    }

    /// Cuts the segment's own state to `size` bytes after its file was cut to it.
    pub(super) fn truncated(&mut self, disk: &D, size: u64) -> Result<(), LogError> {
        self.size = size;
        self.reader = None;
        self.first_timestamp = None;
        self.rebuild_indexes(disk)
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset - self.base).unwrap_or(u32::MAX)
    }

    /// The files of the segment that exist or may exist.
    pub(super) fn files(&self) -> [PathBuf; 3] {
        [
            self.path.clone(),
            self.offsets.path().to_owned(),
            self.times.path().to_owned(),
        ]
    }

    /// Reads the whole batch at `position`.
    pub(super) fn batch(&mut self, disk: &D, at: &Located) -> Result<Vec<u8>, LogError> {
        let reader = self.reader(disk)?;
        let mut bytes = vec![0; at.header.size as usize];
        reader.file().read_exact_at(&mut bytes, at.position)?;
        Ok(bytes)
    }
}
