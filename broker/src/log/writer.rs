//! The log itself: what it holds, how batches come in, and how it rolls and closes.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use disk::{AppendFile, Disk, DiskFile, Open, SegmentFile, Small};

use super::epochs::LeaderEpochs;
use super::error::LogError;
use super::flush::{Unflushed, sync_file};
use super::header::BatchHeader;
use super::mark::Taken;
use super::producers::ProducerTable;
use super::segment::Segment;
use super::{LogConfig, OpenHints, partition_metadata, producer_snapshot};
use protocol::records::HEADER_LEN;

/// So many of the newest batches are found without a look at an index.
const RECENT: usize = 64;

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    /// First offset of the batch.
    pub base_offset: i64,
    /// Last offset of the batch.
    pub last_offset: i64,
    /// Bytes appended.
    pub bytes: u32,
    /// Whether a new segment was begun for it.
    pub rolled: bool,
}

/// One of the newest batches of the last segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    pub(super) base_offset: i64,
    pub(super) position: u32,
    pub(super) size: u32,
}

/// The files to sync after a segment was sealed.
type Sealed<D> = (Vec<PathBuf>, Option<Arc<SegmentFile<<D as Disk>::File>>>);

/// One partition's log. It lives inside the partition's lock; its methods are quick, and do I/O
/// only to append, to roll and to look up what is not among the newest.
pub(crate) struct Log<D: Disk> {
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    pub(super) config: LogConfig,
    pub(super) hints: OpenHints,
    /// By base offset, ascending; the last is the one that is appended to.
    pub(super) segments: Vec<Segment<D>>,
    /// The last segment's appender; `None` while the log is idle.
    pub(super) active: Option<AppendFile<D::File>>,
    pub(super) recent: VecDeque<Recent>,
    pub(super) log_start: i64,
    pub(super) end: i64,
    pub(super) unflushed: Unflushed<D>,
    pub(super) epochs: LeaderEpochs,
    pub(super) producers: ProducerTable,
    /// Whether anything has changed that a clean stop must write.
    pub(super) changed: bool,
    /// After a run that was not closed: names, `partition.metadata` and the trimmed sizes of
    /// segments from this base offset on may be in the page cache only. The first flush after an
    /// append makes sure of them.
    pub(super) unsure: Option<i64>,
    /// What a clean stop has still to sync. An append makes it stale, and recovery does without.
    staged: Vec<PathBuf>,
    /// For recovery: the mark to be written next, and the last segment's size at the last one.
    pub(super) mark: Option<Taken>,
    pub(super) marked: u64,
    /// Whether there are snapshots of producers, and the one that is at no segment's start.
    pub(super) has_snapshots: bool,
    pub(super) loose_snapshot: Option<i64>,
}

impl<D: Disk> Log<D> {
    /// A log without files: they are made by the first append.
    pub(super) fn empty(disk: D, dir: PathBuf, config: LogConfig, hints: OpenHints) -> Self {
        let start = hints.log_start.max(0);
        Log {
            disk,
            dir,
            config,
            hints,
            segments: Vec::new(),
            active: None,
            recent: VecDeque::new(),
            log_start: start,
            end: start,
            unflushed: Unflushed::new(start),
            epochs: LeaderEpochs::default(),
            producers: ProducerTable::default(),
            changed: false,
            unsure: None,
            staged: Vec::new(),
            mark: None,
            marked: 0,
            has_snapshots: false,
            loose_snapshot: None,
        }
    }

    /// Takes a changed topic configuration; it counts from the next append and maintenance on.
    pub(crate) fn set_config(&mut self, config: LogConfig) -> Result<(), LogError> {
        self.config = config;
        self.settle()
    }

    /// Writes what was gathered, so that everything up to the log's end can be read.
    pub(super) fn settle(&mut self) -> Result<(), LogError> {
        if let Some(active) = &mut self.active {
            active.write_gathered()?;
        }
        Ok(())
    }

    /// First offset that may be read.
    pub(crate) fn log_start(&self) -> i64 {
        self.log_start
    }

    /// Offset that the next record gets.
    pub(crate) fn end_offset(&self) -> i64 {
        self.end
    }

    /// Bytes of batches in all segments.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Number of segments.
    #[cfg(test)]
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What is known of idempotent producers.
    pub(crate) fn producers(&self) -> &ProducerTable {
        &self.producers
    }

    /// The same, to note the batch that was just appended.
    pub(crate) fn producers_mut(&mut self) -> &mut ProducerTable {
        &mut self.producers
    }

    /// The newest leader epoch of the log, -1 if there is none.
    #[cfg(test)]
    pub(crate) fn latest_epoch(&self) -> i32 {
        self.epochs.latest().unwrap_or(-1)
    }

    /// Leader epoch of the record at `offset`, -1 if it is not known.
    #[cfg(test)]
    pub(crate) fn epoch_at(&self, offset: i64) -> i32 {
        self.epochs.at(offset).unwrap_or(-1)
    }

    /// The greatest leader epoch up to `epoch`, and where it ended: at `upto` if it is the newest.
    /// (-1, -1) where nothing is known.
    pub(crate) fn epoch_end(&self, epoch: i32, upto: i64) -> (i32, i64) {
        self.epochs.end_of(epoch, upto)
    }

    /// Appends a batch whose header has its base offset ([`Log::end_offset`]) and leader epoch in
    /// place. The caller has checked the batch, and notes it in [`Log::producers_mut`] afterwards.
    ///
    /// # Errors
    /// [`LogError::Full`]: nothing was appended, and it may be tried again. [`LogError::Disk`] of a
    /// failed write is final.
    pub(crate) fn append(
        &mut self,
        head: &[u8; HEADER_LEN],
        body: &[u8],
        now_ms: i64,
    ) -> Result<Appended, LogError> {
        let header = BatchHeader::parse(head).map_err(|reason| {
            LogError::Disk(io::Error::new(io::ErrorKind::InvalidInput, reason))
        })?;
        assert_eq!(
            header.base_offset, self.end,
            "a batch goes to the log's end"
        );
        assert_eq!(
            header.size as usize,
            HEADER_LEN + body.len(),
            "a batch is appended whole"
        );
        let rolled = self.must_roll(&header, now_ms)?;
        if rolled {
            self.roll(now_ms)?;
        }
        if self.active.is_none() {
            self.activate(now_ms)?;
        }
        let (Some(active), Some(segment)) = (&mut self.active, self.segments.last_mut()) else {
            unreachable!("an activated log has a last segment");
        };
        // All that may fail comes before the append: what is in the log is not refused.
        segment.prepare_note(&self.disk)?;
        let position = active.end();
        let small = if self.config.sync_each_append {
            Small::Gathered
        } else {
            Small::Stored
        };
        active.append(head, body, small)?;
        self.end = header.next_offset();
        self.changed = true;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            base_offset: header.base_offset,
            position: position as u32,
            size: header.size,
        });
        self.epochs.begin(header.leader_epoch, header.base_offset);
        segment.note(
            &self.disk,
            position,
            &header,
            self.config.index_interval_bytes,
        )?;
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            bytes: header.size,
            rolled,
        })
    }

    /// Whether the last segment must be sealed before this batch is appended.
    fn must_roll(&mut self, next: &BatchHeader, now_ms: i64) -> Result<bool, LogError> {
        let disk = &self.disk;
        let Some(segment) = self.segments.last_mut() else {
            return Ok(false);
        };
        if segment.size == 0 {
            // Even an empty segment cannot hold an offset too far from its base.
            return Ok(next.last_offset() - segment.base > i64::from(i32::MAX));
        }
        let limit = u64::from(self.config.segment_bytes).min(i32::MAX as u64);
        Ok(segment.size + u64::from(next.size) > limit
            || next.last_offset() - segment.base > i64::from(i32::MAX)
            || segment.waited(disk, next, now_ms)? > self.config.segment_ms
            || segment.is_index_full(disk, self.config.segment_index_bytes)?)
    }

    /// Seals the last segment and begins one at the log's end.
    pub(super) fn roll(&mut self, now_ms: i64) -> Result<(), LogError> {
        let (files, sealed) = self.seal()?;
        for file in self.staged.drain(..).chain(files) {
            self.unflushed.file(file);
        }
        if let Some(sealed) = sealed {
            self.unflushed.sealed(sealed);
        }
        let snapshot = self.write_snapshot(true)?;
        self.unflushed.file(snapshot);
        if self.epochs.save(&self.disk, &self.dir)? {
            self.unflushed.new_names();
        }
        self.begin_segment(now_ms)
    }

    /// Ends the last segment: its file is trimmed and its indexes are written. Tells what is to be
    /// synced: files by name, and the segment's own if it is open.
    fn seal(&mut self) -> Result<Sealed<D>, LogError> {
        let Some(segment) = self.segments.last_mut() else {
            return Ok((Vec::new(), None));
        };
        // A roll that met a full disk half way goes on where it stopped.
        if segment.sealed {
            return Ok((Vec::new(), None));
        }
        // First of all, as a full disk may have room for the indexes then.
        match &mut self.active {
            Some(active) => active.trim()?,
            // Room that an earlier run had reserved.
            None if self.disk.file_len(&segment.path)? > segment.size => {
                let file = self.disk.open(&segment.path, Open::Write)?;
                file.set_len(segment.size)?;
            }
            None => {}
        }
        let mut files = segment.write_indexes(&self.disk)?;
        let sealed = match self.active.take() {
            Some(active) => Some(active.seal()?),
            None => {
                files.push(segment.path.clone());
                None
            }
        };
        segment.set_reader(None);
        segment.sealed = true;
        self.recent.clear();
        Ok((files, sealed))
    }

    /// Makes the file of a segment at the log's end, and the folder before the first.
    pub(super) fn begin_segment(&mut self, now_ms: i64) -> Result<(), LogError> {
        self.doubt_last_run()?;
        if self.segments.is_empty() {
            self.make_folder()?;
        } else if !self.unflushed.is_named() {
            // Names reach the disk in order, or a crash could leave a log that lacks its start.
            self.disk.sync_dir(&self.dir)?;
        }
        let segment = Segment::fresh(&self.dir, self.end, now_ms);
        let file = self.disk.open(&segment.path, Open::Create)?;
        let active = AppendFile::new(file, 0, u64::from(self.config.segment_bytes))?;
        self.segments.push(segment);
        self.take_appender(active);
        self.unflushed.begin_segment();
        self.changed = true;
        Ok(())
    }

    fn take_appender(&mut self, active: AppendFile<D::File>) {
        if let Some(segment) = self.segments.last_mut() {
            segment.set_reader(Some(active.segment().clone()));
        }
        self.recent.clear();
        self.active = Some(active);
    }

    fn make_folder(&mut self) -> Result<(), LogError> {
        self.disk.create_dir_all(&self.dir)?;
        self.unflushed.new_folder();
        let file = partition_metadata::write(&self.disk, &self.dir, self.hints.topic_id)?;
        self.unflushed.file(file);
        Ok(())
    }

    /// Before the first append after a run that was not closed: that run may have been killed
    /// before it synced what `unsure` speaks of, and nothing else would sync it.
    fn doubt_last_run(&mut self) -> Result<(), LogError> {
        let Some(from) = self.unsure else {
            return Ok(());
        };
        let file = partition_metadata::write(&self.disk, &self.dir, self.hints.topic_id)?;
        self.unflushed.new_folder();
        self.unflushed.file(file);
        // The last is synced for what is appended to it.
        if let Some((_, sealed)) = self.segments.split_last() {
            for segment in sealed.iter().filter(|segment| segment.base >= from) {
                self.unflushed.file(segment.path.clone());
            }
        }
        self.unflushed.doubt_last_name();
        self.unsure = None;
        Ok(())
    }

    /// Opens the last segment for appending, or makes the first.
    fn activate(&mut self, now_ms: i64) -> Result<(), LogError> {
        let Some(segment) = self.segments.last_mut() else {
            return self.begin_segment(now_ms);
        };
        segment.sealed = false;
        self.staged = Vec::new();
        let file = self.disk.open(&segment.path, Open::Write)?;
        let limit = u64::from(self.config.segment_bytes);
        let active = AppendFile::new(file, segment.size, limit)?;
        self.doubt_last_run()?;
        self.take_appender(active);
        Ok(())
    }

    /// Writes the producers' state as it is at the log's end. Recovery starts from those at segments'
    /// starts; of the others only the newest is of use.
    fn write_snapshot(&mut self, at_segment: bool) -> Result<PathBuf, LogError> {
        let path = producer_snapshot::write(&self.disk, &self.dir, self.end, &self.producers)?;
        if let Some(old) = self.loose_snapshot.take().filter(|&old| old != self.end) {
            producer_snapshot::remove(&self.disk, &self.dir, old)?;
        }
        self.loose_snapshot = (!at_segment).then_some(self.end);
        self.has_snapshots = true;
        Ok(path)
    }

    /// Gives back what an idle log holds: its map, its descriptors and the room reserved ahead, and
    /// writes what a clean stop does, so that a stop has only to sync it. Nothing happens while
    /// something is unflushed. The next append or read opens again what it needs.
    pub(crate) fn park(&mut self) -> Result<(), LogError> {
        if self.unflushed.flushed == self.end {
            self.stage_close()?;
            self.let_go();
        }
        Ok(())
    }

    /// Whether the log holds neither a map nor a descriptor.
    #[cfg(test)]
    pub(crate) fn is_parked(&self) -> bool {
        self.active.is_none() && !self.segments.iter().any(Segment::has_reader)
    }

    /// The first half of a clean stop: trims the last segment and writes all that a start after a
    /// clean stop reads. Tells whether anything is left to be synced.
    pub(crate) fn stage_close(&mut self) -> Result<bool, LogError> {
        if self.changed {
            let (files, sealed) = self.seal()?;
            self.staged.extend(files);
            if let Some(sealed) = sealed
                && let Some(segment) = self.segments.last()
            {
                if self.unflushed.flushed < self.end {
                    // A flush that is on its way must not say that these bytes are on disk.
                    self.unflushed.sealed(sealed);
                } else {
                    // By name, so that an idle log holds no descriptor.
                    self.staged.push(segment.path.clone());
                }
            }
            // After a clean stop, no snapshot at the log's end says that no producer is known.
            if !self.producers.is_empty() || self.has_snapshots {
                let snapshot = self.write_snapshot(false)?;
                self.staged.push(snapshot);
            }
            self.staged
                .extend(self.epochs.stage(&self.disk, &self.dir)?);
            self.changed = false;
        }
        Ok(!self.staged.is_empty() || self.is_unflushed())
    }

    /// The second half: syncs what was staged and gives all files their names. The recovery point
    /// is the log's end afterwards. If everything was `synced` already, by
    /// [`LogDir::sync_everything`](super::LogDir::sync_everything) for many logs at once, nothing
    /// is synced here, and the caller does that again, for the names.
    pub(crate) fn finish_close(&mut self, synced: bool) -> Result<(), LogError> {
        if self.changed {
            // Something was appended in between.
            self.stage_close()?;
            return self.finish_close(false);
        }
        let size = self.segments.last().map_or(0, |segment| segment.size);
        let names = !self.staged.is_empty();
        if synced {
            self.staged.clear();
            self.epochs.finish(&self.disk, &self.dir)?;
            self.unflushed.all_done(self.end, size);
        } else {
            for file in self.staged.drain(..) {
                sync_file(&self.disk, &file)?;
            }
            if names {
                self.epochs.finish(&self.disk, &self.dir)?;
                self.unflushed.new_names();
            }
            if let Some(flush) = self.unflushed()? {
                flush.run()?;
                self.flushed_to(&flush);
            }
        }
        self.let_go();
        Ok(())
    }

    /// Both halves, for one log.
    #[cfg(test)]
    pub(crate) fn close_clean(&mut self) -> Result<(), LogError> {
        self.stage_close()?;
        self.finish_close(false)
    }

    fn let_go(&mut self) {
        self.active = None;
        for segment in &mut self.segments {
            segment.set_reader(None);
        }
        self.recent = VecDeque::new();
    }
}
