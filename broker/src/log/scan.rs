//! Walks over the batches of a segment file from a position on: by headers alone to find an
//! offset or to rebuild an index, or with the CRC of each batch for recovery.

use std::io;

use disk::DiskFile;

use super::header::{BatchHeader, CRC_COVERS_FROM};
use protocol::records::HEADER_LEN;

/// A buffer for looking up one batch, and one for reading a whole file.
pub(super) const LOOKUP: usize = 8 << 10;
pub(super) const WHOLE: usize = 256 << 10;

/// Why a scan ended before the end of its range.
#[derive(Debug)]
pub(super) enum ScanError {
    /// What lies here is no batch.
    Bad(&'static str),
    Disk(io::Error),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Disk(error)
    }
}

/// A walk over `[position, end)` of a file.
pub(super) struct Scanner<'a, F> {
    file: &'a F,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Position in the file of the buffer's first byte, and how many are filled.
    start: u64,
    filled: usize,
}

impl<'a, F: DiskFile> Scanner<'a, F> {
    pub(super) fn new(file: &'a F, position: u64, end: u64, buffer: usize) -> Self {
        Scanner {
            file,
            position,
            end,
            buffer: vec![0; buffer],
            start: 0,
            filled: 0,
        }
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch's header and position, without a look at what follows the header.
    pub(super) fn next_header(&mut self) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        let at = self.position;
        if at >= self.end {
            return Ok(None);
        }
        let header = BatchHeader::parse(self.bytes(at, HEADER_LEN)?).map_err(ScanError::Bad)?;
        if u64::from(header.size) > self.end - at {
            return Err(ScanError::Bad("the file ends inside the batch"));
        }
        self.position = at + u64::from(header.size);
        Ok(Some((at, header)))
    }

    /// The next batch, its CRC checked.
    pub(super) fn next_checked(&mut self) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        let at = self.position;
        let Some((_, header)) = self.next_header()? else {
            return Ok(None);
        };
        let next = self.position;
        let mut from = at + CRC_COVERS_FROM as u64;
        let mut crc = 0;
        while from < next {
            let len = (next - from).min(self.buffer.len() as u64) as usize;
            let bytes = self.bytes(from, len)?;
            if bytes.len() < len {
                return Err(ScanError::Bad("the file ends inside the batch"));
            }
            crc = crc32c::crc32c_append(crc, bytes);
            from += len as u64;
        }
        if crc != header.crc {
            self.position = at;
            return Err(ScanError::Bad("the CRC is wrong"));
        }
        Ok(Some((at, header)))
    }

    /// Up to `len` bytes at `at`; fewer at the end of the range.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min((self.end - at) as usize);
        let buffered = self.start..self.start + self.filled as u64;
        if !(buffered.start <= at && at + len as u64 <= buffered.end) {
            let wanted = self.buffer.len().min((self.end - at) as usize);
            self.start = at;
            self.filled = self.file.read_at(&mut self.buffer[..wanted], at)?;
        }
        let from = (at - self.start) as usize;
        Ok(&self.buffer[from.min(self.filled)..(from + len).min(self.filled)])
    }
}
