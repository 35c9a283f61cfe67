//! The recovery mark: what recovery would find out about the head of the last segment, so that
//! after a kill it reads only what came after the mark.
//!
//! It lies in `recovery-mark` in the partition's folder, is never synced, and is no evidence about
//! the log: it tells of nothing but batches below the recovery point, which are on disk, and it is
//! believed only if its checksum and those of both indexes up to it are right. Otherwise, after a
//! power loss say, the whole segment is read.
//!
//! A mark is taken at the log's end, under load beyond what is flushed, and written once the
//! recovery point in the checkpoint has passed it.

use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Open};

use super::error::LogError;
use super::producer_snapshot;
use super::producers::ProducerTable;
use super::segment::SegmentMark;
use super::writer::Log;

const FILE: &str = "recovery-mark";
const VERSION: i64 = 1;
/// With more producers than this a mark is not worth its writing.
const PRODUCERS_MAX: usize = 1000;
const EPOCHS_MAX: usize = 1000;

/// A mark that was taken and not written yet.
pub(super) struct Taken {
    end: i64,
    bytes: Vec<u8>,
}

/// A mark that was read and may be believed.
pub(super) struct Mark {
    /// Offset after the last batch it tells of.
    pub(super) end: i64,
    pub(super) segment: SegmentMark,
    /// The leader epochs that began in the segment.
    pub(super) epochs: Vec<(i32, i64)>,
    pub(super) producers: ProducerTable,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl<D: Disk> Log<D> {
    /// Writes the mark that was taken before if the checkpoints on disk say that everything below
    /// `recovery_point` is, and takes another if the last segment has grown by `growth` bytes.
    ///
    /// # Errors
    /// Of the disk; the log is as it was, and the mark is missing.
    pub(crate) fn mark(&mut self, recovery_point: i64, growth: u64) -> Result<(), LogError> {
        if let Some(taken) = self.mark.take_if(|taken| taken.end <= recovery_point) {
            let file = self.disk.open(&path(&self.dir), Open::Create)?;
            file.overwrite(&taken.bytes)?;
        }
        let (true, Some(segment)) = (self.active.is_some(), self.segments.last_mut()) else {
            return Ok(());
        };
        // A segment that was begun since is smaller than the one that was marked.
        self.marked = self.marked.min(segment.size);
        let due = self.mark.is_none() && segment.size - self.marked >= growth.max(1);
        if !due || self.producers.len() > PRODUCERS_MAX {
            return Ok(());
        }
        let epochs = self.epochs.from(segment.base);
        if epochs.len() > EPOCHS_MAX {
            return Ok(());
        }
        self.marked = segment.size;
        let mark = segment.mark(&self.disk)?;
        let bytes = encode(segment.base, self.end, &mark, epochs, &self.producers);
        self.mark = Some(Taken {
            end: self.end,
            bytes,
        });
        Ok(())
    }

    /// Forgets the mark: the log is not going to be what it says.
    pub(super) fn unmark(&mut self) -> io::Result<()> {
        self.mark = None;
        self.marked = 0;
        self.disk.remove_if_there(&path(&self.dir))
    }
}

fn encode(
    base: i64,
    end: i64,
    mark: &SegmentMark,
    epochs: &[(i32, i64)],
    producers: &ProducerTable,
) -> Vec<u8> {
    let mut words = vec![VERSION, base, end];
    words.extend(mark.words());
    words.push(epochs.len() as i64);
    for &(epoch, start) in epochs {
        words.extend([i64::from(epoch), start]);
    }
    let mut bytes = vec![0; 4];
    bytes.extend(words.into_iter().flat_map(i64::to_be_bytes));
    bytes.extend(producer_snapshot::encode(producers));
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The mark in a partition's folder, if it is whole, of the segment with this base offset, and
/// tells of nothing past the recovery point.
pub(super) fn read<D: Disk>(
    disk: &D,
    dir: &Path,
    base: i64,
    recovery_point: i64,
) -> io::Result<Option<Mark>> {
    let bytes = disk.read_if_there(&path(dir))?;
    let mark = bytes.and_then(|bytes| decode(&bytes, base));
    Ok(mark.filter(|mark| mark.end <= recovery_point))
}

fn decode(bytes: &[u8], base: i64) -> Option<Mark> {
    let (crc, covered) = bytes.split_first_chunk::<4>()?;
    if *crc != crc32c::crc32c(covered).to_be_bytes() {
        return None;
    }
    let mut rest = covered;
    let mut word = || {
        let (word, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(i64::from_be_bytes(*word))
    };
    if word()? != VERSION || word()? != base {
        return None;
    }
    let end = word()?;
    let segment = SegmentMark::of_words([
        word()?,
        word()?,
        word()?,
        word()?,
        word()?,
        word()?,
        word()?,
        word()?,
    ])?;
    let mut epochs = Vec::new();
    for _ in 0..word()? {
        epochs.push((i32::try_from(word()?).ok()?, word()?));
    }
    Some(Mark {
        end,
        segment,
        epochs,
        producers: producer_snapshot::decode(rest).ok()?,
    })
}
