//! The two indexes of a segment, in Kafka's formats: entries of fixed width, big-endian, sorted.
//!
//! `.index` maps an offset (relative to the segment's base, of a batch's last record) to the
//! batch's position: 4 + 4 bytes. `.timeindex` maps a timestamp, the greatest so far, to an offset
//! (relative): 8 + 4 bytes. An index is a hint and never evidence about the log: what it says is
//! checked where it is used, and it is rebuilt where it is lost or wrong.
//!
//! The newest entries stay in memory and are written to the file by the page. No descriptor is
//! kept: a lookup opens the file, as lookups below the newest entries are rare.

use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Open};

/// So many entries are kept in memory before they are written.
const TAIL: usize = 512;

/// An entry of fixed width.
pub(super) trait Entry: Copy {
    const WIDTH: usize;
    fn encode(self, to: &mut Vec<u8>);
    /// `bytes` are `WIDTH` long.
    fn decode(bytes: &[u8]) -> Self;
}

/// Batch whose last record has this relative offset begins at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) offset: u32,
    pub(super) position: u32,
}

/// Up to the record with this relative offset, the greatest timestamp is this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp: i64,
    pub(super) offset: u32,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Entry for OffsetEntry {
    const WIDTH: usize = 8;

    fn encode(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.offset.to_be_bytes());
        to.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        OffsetEntry {
            offset: word(bytes, 0),
            position: word(bytes, 4),
        }
    }
}

impl Entry for TimeEntry {
    const WIDTH: usize = 12;

    fn encode(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.timestamp.to_be_bytes());
        to.extend_from_slice(&self.offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        TimeEntry {
            timestamp: (i64::from(word(bytes, 0)) << 32) | i64::from(word(bytes, 4)),
            offset: word(bytes, 8),
        }
    }
}

/// One index of one segment.
pub(super) struct Index<E> {
    path: PathBuf,
    /// Entries in the file; `None` until it is looked at.
    written: Option<u32>,
    tail: Vec<E>,
    /// Whether the file is to be made by one replacement, all entries in memory until then.
    at_once: bool,
    /// CRC-32C of the entries in the file; `None` until it is asked for, if an earlier run wrote it.
    crc: Option<u32>,
}

/// What an index file held at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexMark {
    pub(super) entries: u32,
    pub(super) crc: u32,
}

impl<E: Entry> Index<E> {
    /// The index of a segment that is empty, or is about to be walked over.
    pub(super) fn fresh(path: PathBuf) -> Self {
        Index {
            path,
            written: Some(0),
            tail: Vec::new(),
            at_once: false,
            crc: Some(0),
        }
    }

    /// The index that an earlier run left.
    pub(super) fn existing(path: PathBuf) -> Self {
        Index {
            path,
            written: None,
            tail: Vec::new(),
            at_once: false,
            crc: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether entries were added, or are in a file that was looked at.
    pub(super) fn has_new(&self) -> bool {
        !self.tail.is_empty() || self.written.is_some_and(|written| written > 0)
    }

    /// Looks at the file if nobody has; an error of kind `InvalidData` or `NotFound` says that
    /// the index must be rebuilt.
    fn written<D: Disk>(&mut self, disk: &D) -> io::Result<u32> {
        if let Some(written) = self.written {
            return Ok(written);
        }
        let len = disk.file_len(&self.path)?;
        if len % E::WIDTH as u64 != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let written =
            u32::try_from(len / E::WIDTH as u64).map_err(|_| io::ErrorKind::InvalidData)?;
        self.written = Some(written);
        Ok(written)
    }

    /// Number of entries.
    pub(super) fn len<D: Disk>(&mut self, disk: &D) -> io::Result<u32> {
        Ok(self.written(disk)? + self.tail.len() as u32)
    }

    /// Has the file written as a whole, the old one staying until it is on disk.
    pub(super) fn write_at_once(&mut self) {
        self.at_once = true;
    }

    /// Removes the file, which does not hold all entries; those in it are lost.
    pub(super) fn remove_file<D: Disk>(&mut self, disk: &D) -> io::Result<()> {
        disk.remove_if_there(&self.path)?;
        *self = Self::existing(std::mem::take(&mut self.path));
        Ok(())
    }

    /// Adds an entry; a page of them goes to the file. Where that fails, on a full disk say,
    /// they stay in memory: the batch that the entry is for is in the log already, and must not
    /// be refused for the sake of its index.
    pub(super) fn push<D: Disk>(&mut self, disk: &D, entry: E) {
        if self.tail.len() % TAIL == TAIL - 1
            && !self.at_once
            && let Err(error) = self.write(disk)
        {
            tracing::debug!("{} is behind: {error}", self.path.display());
        }
        self.tail.push(entry);
    }

    /// Writes the entries that are only in memory. Tells whether the file has any entries; an index
    /// without needs none.
    pub(super) fn write<D: Disk>(&mut self, disk: &D) -> io::Result<bool> {
        let written = self.written(disk)?;
        if written == 0 && self.tail.is_empty() && !disk.exists(&self.path)? {
            return Ok(false);
        }
        if self.at_once {
            let bytes = self.encoded();
            disk.replace(&self.path, &bytes)?;
            self.crc = Some(crc32c::crc32c(&bytes));
            self.written = Some(self.tail.len() as u32);
            self.tail = Vec::new();
            self.at_once = false;
            return Ok(true);
        }
        let file = disk.open(&self.path, Open::Create)?;
        if written == 0 && file.len()? > 0 {
            file.set_len(0)?;
        }
        if self.tail.is_empty() {
            return Ok(true);
        }
        let bytes = self.encoded();
        file.write_with_room(&bytes, u64::from(written) * E::WIDTH as u64)?;
        self.crc = self.crc.map(|crc| crc32c::crc32c_append(crc, &bytes));
        self.written = Some(written + self.tail.len() as u32);
        self.tail = Vec::new();
        Ok(true)
    }

    /// Writes all entries, and tells what the file then holds.
    pub(super) fn mark<D: Disk>(&mut self, disk: &D) -> io::Result<IndexMark> {
        self.write(disk)?;
        let entries = self.written(disk)?;
        let crc = match self.crc {
            Some(crc) => crc,
            None => self.crc_of_file(disk, entries)?,
        };
        self.crc = Some(crc);
        Ok(IndexMark { entries, crc })
    }

    /// Goes on from what the file held at a mark. False if it holds something else.
    pub(super) fn restore<D: Disk>(&mut self, disk: &D, mark: IndexMark) -> io::Result<bool> {
        if mark.entries > 0 {
            match self.crc_of_file(disk, mark.entries) {
                Ok(crc) if crc == mark.crc => {}
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                    ) =>
                {
                    return Err(error);
                }
                _ => return Ok(false),
            }
            let len = u64::from(mark.entries) * E::WIDTH as u64;
            if disk.file_len(&self.path)? > len {
                disk.open(&self.path, Open::Write)?.set_len(len)?;
            }
        }
        *self = Self::fresh(std::mem::take(&mut self.path));
        self.written = Some(mark.entries);
        self.crc = Some(mark.crc);
        Ok(true)
    }

    fn crc_of_file<D: Disk>(&self, disk: &D, entries: u32) -> io::Result<u32> {
        if entries == 0 {
            return Ok(0);
        }
        let mut bytes = vec![0; entries as usize * E::WIDTH];
        disk.open(&self.path, Open::Read)?
            .read_exact_at(&mut bytes, 0)?;
        Ok(crc32c::crc32c(&bytes))
    }

    /// The entries that are only in memory, as the file has them.
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.tail.len() * E::WIDTH);
        for entry in &self.tail {
            entry.encode(&mut bytes);
        }
        bytes
    }

    /// The last entry.
    pub(super) fn last<D: Disk>(&mut self, disk: &D) -> io::Result<Option<E>> {
        if let Some(&last) = self.tail.last() {
            return Ok(Some(last));
        }
        match self.written(disk)? {
            0 => Ok(None),
            written => {
                let file = disk.open(&self.path, Open::Read)?;
                Ok(self.block(&file, written - 1, 1)?.first().copied())
            }
        }
    }

    /// The last entry that is `below`, which holds for a head of the entries.
    pub(super) fn last_that<D: Disk>(
        &mut self,
        disk: &D,
        below: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        if self.tail.first().is_some_and(&below) {
            let count = self.tail.partition_point(&below);
            return Ok(Some(self.tail[count - 1]));
        }
        let written = self.written(disk)?;
        if written == 0 {
            return Ok(None);
        }
        let file = disk.open(&self.path, Open::Read)?;
        let (mut low, mut high) = (0, written);
        while high - low > TAIL as u32 {
            let middle = low + (high - low) / 2;
            if self.block(&file, middle, 1)?.first().is_some_and(&below) {
                low = middle;
            } else {
                high = middle;
            }
        }
        let block = self.block(&file, low, high - low)?;
        let count = block.partition_point(&below);
        Ok(count.checked_sub(1).map(|last| block[last]))
    }

    fn block<F: DiskFile>(&self, file: &F, from: u32, count: u32) -> io::Result<Vec<E>> {
        let mut bytes = vec![0; count as usize * E::WIDTH];
        file.read_exact_at(&mut bytes, u64::from(from) * E::WIDTH as u64)?;
        Ok(bytes.chunks_exact(E::WIDTH).map(E::decode).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimulatedDisk;

    #[test]
    fn entries_are_found_in_memory_and_in_the_file() {
        let disk = SimulatedDisk::new(1);
        let path = PathBuf::from("/i");
        let mut index = Index::fresh(path.clone());
        let entry = |n: u32| OffsetEntry {
            offset: n * 10,
            position: n * 100,
        };
        for n in 0..2000 {
            index.push(&disk, entry(n));
        }
        let check = |index: &mut Index<OffsetEntry>| {
            for target in [0, 9, 10, 4999, 5110, 5120, 15_360, 19_990, 50_000] {
                let found = index
                    .last_that(&disk, |e| e.offset <= target)
                    .expect("find");
                assert_eq!(found, Some(entry((target / 10).min(1999))), "{target}");
            }
            assert_eq!(index.last_that(&disk, |_| false).expect("find"), None);
            assert_eq!(index.last(&disk).expect("last"), Some(entry(1999)));
        };
        check(&mut index);
        index.write(&disk).expect("write");
        check(&mut index);
        check(&mut Index::existing(path.clone()));
        assert_eq!(disk.file_len(&path).expect("len"), 16_000);
        assert_eq!(
            disk.read(&path).expect("read")[8..16],
            [0, 0, 0, 10, 0, 0, 0, 100]
        );
    }

    #[test]
    fn a_time_entry_is_twelve_bytes() {
        let mut bytes = Vec::new();
        let entry = TimeEntry {
            timestamp: -1,
            offset: 258,
        };
        entry.encode(&mut bytes);
        assert_eq!(bytes, [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 1, 2]);
        assert_eq!(TimeEntry::decode(&bytes), entry);
    }
}
