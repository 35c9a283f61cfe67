//! Reads: from an offset to a range of a file, which the listener sends without looking at it.

use std::io;
use std::sync::Arc;

use disk::{Disk, DiskFile, SegmentFile};

use super::error::LogError;
use super::segment::Located;
use super::writer::Log;

/// A range of a segment file: whole batches, but for the last, which may be cut.
pub(crate) struct LogSlice<D: Disk> {
    file: Arc<SegmentFile<D::File>>,
    position: u64,
    len: u32,
}

impl<D: Disk> Clone for LogSlice<D> {
    fn clone(&self) -> Self {
        LogSlice {
            file: Arc::clone(&self.file),
            ..*self
        }
    }
}

impl<D: Disk> LogSlice<D> {
    /// The file, for `sendfile` by its descriptor.
    pub(crate) fn file(&self) -> &D::File {
        self.file.file()
    }

    /// Where the range begins in the file.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes in the range.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Whether reading the range would not wait for the disk; asking starts read-ahead.
    pub(crate) fn is_cached(&self) -> bool {
        self.file().is_cached(self.position, u64::from(self.len))
    }

    /// Reads the range. A cold one waits for the disk.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len as usize];
        self.file().read_exact_at(&mut bytes, self.position)?;
        Ok(bytes)
    }
}

impl<D: Disk> Log<D> {
    /// Where to read from `offset` on: up to `max_bytes`, and nothing at or past `upto`, which is
    /// the start of a batch or the log's end. With `min_one`, the first batch is whole even if it
    /// is larger. `None` if there is nothing yet. Ends at a segment's end, as a slice has one file.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] below the log's start or past its end.
    pub(crate) fn read(
        &mut self,
        offset: i64,
        max_bytes: u32,
        upto: i64,
        min_one: bool,
    ) -> Result<Option<LogSlice<D>>, LogError> {
        if offset < self.log_start || offset > self.end {
            return Err(LogError::OffsetOutOfRange {
                offset,
                start: self.log_start,
                end: self.end,
            });
        }
        let upto = upto.min(self.end);
        if offset >= upto {
            return Ok(None);
        }
        if upto > self.unflushed.flushed {
            self.settle()?;
        }
        let Some((index, position, first)) = self.locate(offset)? else {
            return Ok(None);
        };
        let until = self.position_of(index, upto)?;
        let left = until.saturating_sub(position);
        // A piece of a batch is of no use to anyone, and Java's consumer gives up over it.
        if max_bytes < first && !min_one {
            return Ok(None);
        }
        let most = max_bytes.max(first);
        let len = left.min(u64::from(most)) as u32;
        if len == 0 {
            return Ok(None);
        }
        let file = self.reader(index)?;
        Ok(Some(LogSlice {
            file,
            position,
            len,
        }))
    }

    /// The segment, position and size of the batch that holds `offset`.
    fn locate(&mut self, offset: i64) -> Result<Option<(usize, u64, u32)>, LogError> {
        let last = self.segments.len().wrapping_sub(1);
        if let Some((position, size)) = self.recent(offset) {
            return Ok(Some((last, position, size)));
        }
        self.settle()?;
        let mut index = self.segment_of(offset);
        while index < self.segments.len() {
            self.close_other_readers(index);
            let found = self.segments[index].locate(&self.disk, offset)?;
            if let Some(Located { position, header }) = found {
                return Ok(Some((index, position, header.size)));
            }
            index += 1;
        }
        Ok(None)
    }

    /// The batch that holds `offset`, if it is among the newest.
    fn recent(&self, offset: i64) -> Option<(u64, u32)> {
        if self.recent.front()?.base_offset > offset {
            return None;
        }
        let count = self
            .recent
            .partition_point(|batch| batch.base_offset <= offset);
        let batch = self.recent[count - 1];
        Some((u64::from(batch.position), batch.size))
    }

    /// Index of the last segment that begins at or below `offset`.
    pub(super) fn segment_of(&self, offset: i64) -> usize {
        let count = self
            .segments
            .partition_point(|segment| segment.base <= offset);
        count.saturating_sub(1)
    }

    /// The offset past the last of the segment at `index`.
    pub(super) fn end_of_segment(&self, index: usize) -> i64 {
        self.segments
            .get(index + 1)
            .map_or(self.end, |next| next.base)
    }

    /// Where in the segment `upto` lies: at its size if `upto` is past it.
    fn position_of(&mut self, index: usize, upto: i64) -> Result<u64, LogError> {
        if upto >= self.end_of_segment(index) {
            return Ok(self.segments[index].size);
        }
        if index + 1 == self.segments.len()
            && let Some((position, _)) = self.recent(upto)
        {
            return Ok(position);
        }
        self.settle()?;
        let segment = &mut self.segments[index];
        let found = segment.locate(&self.disk, upto)?;
        Ok(found.map_or(segment.size, |found| found.position))
    }

    pub(super) fn reader(&mut self, index: usize) -> Result<Arc<SegmentFile<D::File>>, LogError> {
        self.close_other_readers(index);
        Ok(self.segments[index].reader(&self.disk)?)
    }

    /// Of the sealed segments, only the one read last stays open.
    fn close_other_readers(&mut self, index: usize) {
        if self.segments[index].has_reader() {
            return;
        }
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter_mut().enumerate() {
            if at != index && (at != last || self.active.is_none()) {
                segment.set_reader(None);
            }
        }
    }
}
