//! Offsets by time, for ListOffsets.

use disk::Disk;
use protocol::records::records;

use super::error::LogError;
use super::segment::Located;
use super::writer::Log;

/// A batch that claims to hold more is answered by its header alone.
const DECOMPRESSED_MAX: usize = 256 << 20;

impl<D: Disk> Log<D> {
    /// Timestamp and offset of the first record whose timestamp is at least `timestamp`, among
    /// those below `upto`.
    pub(crate) fn offset_for_timestamp(
        &mut self,
        timestamp: i64,
        upto: i64,
    ) -> Result<Option<(i64, i64)>, LogError> {
        self.settle()?;
        let disk = self.disk.clone();
        let start = self.log_start;
        for index in self.segment_of(start)..self.segments.len() {
            let segment = &mut self.segments[index];
            if segment.size == 0 || segment.largest(&disk)?.timestamp < timestamp {
                continue;
            }
            let mut from = start.max(segment.base);
            self.reader(index)?;
            while let Some(found) = self.segments[index].locate_time(&disk, timestamp, from)? {
                let record = self.first_record(index, &found, |at, offset| {
                    at >= timestamp && offset >= start
                })?;
                if let Some(record) = record {
                    return Ok(Some(record).filter(|&(_, offset)| offset < upto));
                }
                from = found.header.next_offset();
            }
        }
        Ok(None)
    }

    /// The greatest timestamp in the log, and the offset of the first record that has it.
    pub(crate) fn max_timestamp_offset(&mut self) -> Result<Option<(i64, i64)>, LogError> {
        self.settle()?;
        let disk = self.disk.clone();
        let mut greatest = None;
        for (index, segment) in self.segments.iter_mut().enumerate() {
            if segment.size == 0 {
                continue;
            }
            let largest = segment.largest(&disk)?;
            if largest.offset >= self.log_start
                && greatest.is_none_or(|(_, timestamp, _)| timestamp < largest.timestamp)
            {
                greatest = Some((index, largest.timestamp, largest.offset));
            }
        }
        let Some((index, timestamp, offset)) = greatest else {
            return Ok(None);
        };
        self.reader(index)?;
        let Some(found) = self.segments[index].locate(&disk, offset)? else {
            return Ok(None);
        };
        let record = self.first_record(index, &found, |at, _| at >= timestamp)?;
        Ok(record.or(Some((timestamp, offset))))
    }

    /// The first record of a batch that is wanted, by its timestamp and offset.
    fn first_record(
        &mut self,
        index: usize,
        at: &Located,
        wanted: impl Fn(i64, i64) -> bool,
    ) -> Result<Option<(i64, i64)>, LogError> {
        let disk = self.disk.clone();
        let bytes = self.segments[index].batch(&disk, at)?;
        let Ok(records) = records(bytes.into(), DECOMPRESSED_MAX) else {
            return Ok(Some((at.header.max_timestamp, at.header.base_offset)));
        };
        let records = records.map_while(Result::ok);
        let mut answers = records.map(|record| (record.timestamp, record.offset));
        Ok(answers.find(|&(timestamp, offset)| wanted(timestamp, offset)))
    }
}
