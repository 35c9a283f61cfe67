//! What leaves a log at its end: a follower's tail that its leader does not have.

use disk::{Disk, DiskFile, Open};

use super::error::LogError;
use super::writer::Log;

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "a follower cuts its log to its leader's; replication will"
    )
)]
impl<D: Disk> Log<D> {
    /// Cuts the log to `offset`, or to the start of the batch that holds it. Only for records that
    /// no consumer has seen. Tells the new end.
    pub(crate) fn truncate_to(&mut self, offset: i64) -> Result<i64, LogError> {
        if offset >= self.end {
            return Ok(self.end);
        }
        if offset <= self.log_start {
            let start = self.log_start;
            self.truncate_fully_and_start_at(start)?;
            return Ok(start);
        }
        self.settle()?;
        let keep = self.segment_of(offset);
        for segment in self.segments.split_off(keep + 1) {
            self.active = None;
            self.retire(&segment)?.remove()?;
        }
        let disk = self.disk.clone();
        let segment = &mut self.segments[keep];
        let (position, end) = match segment.locate(&disk, offset)? {
            Some(found) => (found.position, found.header.base_offset),
            None => (segment.size, offset),
        };
        match &mut self.active {
            Some(active) => active.truncate(position)?,
            None => disk.open(&segment.path, Open::Write)?.set_len(position)?,
        }
        segment.truncated(&disk, position)?;
        segment.sealed = false;
        let reader = self.active.as_ref().map(|active| active.segment().clone());
        segment.set_reader(reader);
        self.cut_state(end)?;
        let flushed = self.unflushed.flushed.min(end);
        self.unflushed.restart(flushed, 0);
        self.reload_producers()?;
        Ok(end)
    }

    /// Empties the log, which then starts and ends at `offset`.
    pub(crate) fn truncate_fully_and_start_at(&mut self, offset: i64) -> Result<(), LogError> {
        self.active = None;
        let had_files = !self.segments.is_empty();
        for segment in std::mem::take(&mut self.segments) {
            self.retire(&segment)?.remove()?;
        }
        self.log_start = offset;
        self.cut_state(offset)?;
        self.epochs.truncate_from(i64::MIN);
        self.unflushed.restart(offset, 0);
        self.producers.clear();
        if had_files {
            self.begin_segment(0)?;
        }
        Ok(())
    }

    fn cut_state(&mut self, end: i64) -> Result<(), LogError> {
        self.unmark()?;
        self.end = end;
        self.recent.clear();
        self.changed = true;
        self.epochs.truncate_from(end);
        // The next roll or stop would do, but after a crash the file must not name what is gone.
        if self.disk.exists(&self.dir)? {
            self.epochs.save(&self.disk, &self.dir)?;
            self.unflushed.new_names();
        }
        Ok(())
    }
}
