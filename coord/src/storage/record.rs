//! How the transaction log frames its records, and how a log file is read back.
//!
//! A file is a header of 32 bytes and then records, each on a multiple of 8:
//! ```text
//! header: magic (8) · format (4) · 0 (4) · zxid logged before this file (8) · crc (4) · 0 (4)
//! record: crc (4) · length (4) · zxid (8) · synced (8) · transaction (length) · zeros up to a multiple of 8
//! ```
//! `synced` is how much of the file was known to be on disk when the record was written. That tells a torn tail from
//! damage where a later record says that a sync had covered an unreadable place. Where none follows, nobody knows: the
//! place may be a torn write, or the last group that was acked. After a clean stop another file follows.

use std::path::Path;

use disk::DiskFile;

use super::codec::{DecodeError, decode_txn};
use super::error::StorageError;
use crate::Zxid;
use crate::tree::Txn;

const MAGIC: &[u8; 8] = b"MLNTXLOG";
const FORMAT: u32 = 2;
pub(super) const HEADER_LEN: u64 = 32;
const RECORD_HEADER: usize = 24;
/// A record's length is also checked against what is left of its file. The longest comes from closing sessions with
/// millions of ephemeral znodes.
const PAYLOAD_MAX: usize = 1 << 30;

pub(super) fn header(previous: Zxid) -> [u8; HEADER_LEN as usize] {
    let mut head = [0; HEADER_LEN as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&FORMAT.to_be_bytes());
    head[16..24].copy_from_slice(&previous.0.to_be_bytes());
    let crc = crc32c::crc32c(&head[..24]);
    head[24..28].copy_from_slice(&crc.to_be_bytes());
    head
}

/// The zxid that was logged before this file; none where the header is damaged or was never written.
pub(super) fn parse_header(head: &[u8], path: &Path) -> Result<Option<Zxid>, StorageError> {
    if head.len() < HEADER_LEN as usize
        || &head[..8] != MAGIC
        || crc32c::crc32c(&head[..24]) != be32(&head[24..])
    {
        return Ok(None);
    }
    let found = be32(&head[8..]);
    if found != FORMAT {
        return Err(StorageError::of_format(path, found, FORMAT));
    }
    Ok(Some(Zxid(be64(&head[16..]))))
}

/// Appends one record to `out`.
pub(super) fn frame(out: &mut Vec<u8>, zxid: Zxid, synced: u64, payload: &[u8]) {
    assert!(
        payload.len() <= PAYLOAD_MAX,
        "a record that could not be read back"
    );
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&zxid.0.to_be_bytes());
    out.extend_from_slice(&synced.to_be_bytes());
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_be_bytes());
    out.resize(start + framed_len(payload.len()), 0);
}

/// Bytes that a record takes with a payload of `len`.
pub(super) fn framed_len(len: usize) -> usize {
    (RECORD_HEADER + len).next_multiple_of(8)
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn be64(bytes: &[u8]) -> u64 {
    (u64::from(be32(bytes)) << 32) | u64::from(be32(&bytes[4..]))
}

/// Where the good records of a file end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScanEnd {
    /// The byte after the last good record.
    pub(super) position: u64,
    /// The last good record's zxid, or what was given for the time before the file.
    pub(super) last: Zxid,
    /// Good records.
    pub(super) records: usize,
    /// The end of what is not zero past `position`; `position` where all is zeros.
    pub(super) garbage_end: u64,
}

/// Gives `visit` every transaction of a log file after `previous`. Damage that a sync is known to have covered is
/// [`StorageError::Corrupt`]; a torn tail is only reported.
pub(super) fn scan<F: DiskFile>(
    file: &F,
    path: &Path,
    previous: Zxid,
    visit: &mut dyn FnMut(Txn),
) -> Result<ScanEnd, StorageError> {
    let mut window = Window::new(file)?;
    let mut end = ScanEnd {
        position: HEADER_LEN,
        last: previous,
        records: 0,
        garbage_end: HEADER_LEN,
    };
    while let Some(record) = record_at(&mut window, end.position, end.last)? {
        let corrupt = |error: DecodeError| StorageError::Corrupt {
            path: path.to_owned(),
            position: end.position,
            reason: error.to_string(),
        };
        visit(decode_txn(record.zxid, record.payload).map_err(corrupt)?);
        end.last = record.zxid;
        end.position += framed_len(record.payload.len()) as u64;
        end.records += 1;
    }
    end.garbage_end = end.position;
    let mut at = end.position;
    while let Some(found) = window.next_not_zero(at)? {
        end.garbage_end = (found + 8).min(window.len);
        let later = record_at(&mut window, found, end.last)?;
        if later.is_some_and(|record| record.synced > end.position) {
            return Err(StorageError::Corrupt {
                path: path.to_owned(),
                position: end.position,
                reason: format!(
                    "the record after transaction {} is damaged, and records follow it",
                    end.last
                ),
            });
        }
        at = found + 8;
    }
    Ok(end)
}

/// Whether nothing was ever appended to a file whose header cannot be read: it is on disk before the first record.
pub(super) fn never_held_records<F: DiskFile>(file: &F) -> Result<bool, StorageError> {
    Ok(Window::new(file)?.next_not_zero(HEADER_LEN)?.is_none())
}

struct Record<'a> {
    zxid: Zxid,
    synced: u64,
    payload: &'a [u8],
}

/// The record at a position, if there is a whole and sound one with a zxid past `last`.
fn record_at<'w, F: DiskFile>(
    window: &'w mut Window<'_, F>,
    at: u64,
    last: Zxid,
) -> Result<Option<Record<'w>>, StorageError> {
    if at + RECORD_HEADER as u64 > window.len {
        return Ok(None);
    }
    let head = window.bytes(at, RECORD_HEADER)?;
    let len = be32(&head[4..]) as usize;
    let zxid = Zxid(be64(&head[8..]));
    let synced = be64(&head[16..]);
    let whole = RECORD_HEADER + len;
    if len == 0 || len > PAYLOAD_MAX || zxid <= last || at + whole as u64 > window.len {
        return Ok(None);
    }
    // Before the checksum: it would be reckoned over megabytes for one place in a hundred of a torn write's bytes.
    if synced > at || !synced.is_multiple_of(8) {
        return Ok(None);
    }
    let bytes = window.bytes(at, whole)?;
    if crc32c::crc32c(&bytes[4..]) != be32(bytes) {
        return Ok(None);
    }
    Ok(Some(Record {
        zxid,
        synced,
        payload: &bytes[RECORD_HEADER..],
    }))
}

/// A part of the file in memory, moved along as it is read.
struct Window<'f, F> {
    file: &'f F,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

const WINDOW_BYTES: usize = 256 << 10;

impl<'f, F: DiskFile> Window<'f, F> {
    fn new(file: &'f F) -> Result<Self, StorageError> {
        Ok(Window {
            file,
            len: file.len()?,
            start: 0,
            bytes: Vec::new(),
        })
    }

    /// `[at, at + len)`, which must lie within the file.
    fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8], StorageError> {
        if at < self.start || at + len as u64 > self.start + self.bytes.len() as u64 {
            self.bytes = disk::read_range(self.file, at, len.max(WINDOW_BYTES))?;
            self.start = at;
            if self.bytes.len() < len {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        let from = (at - self.start) as usize;
        Ok(&self.bytes[from..from + len])
    }

    /// The first multiple of 8 from `at` (one itself) on whose eight bytes are not all zeros, in long strides over
    /// the zeros that are written ahead.
    fn next_not_zero(&mut self, mut at: u64) -> Result<Option<u64>, StorageError> {
        static ZEROS: [u8; 4096] = [0; 4096];
        while at < self.len {
            let stride = (self.len - at).min(ZEROS.len() as u64) as usize;
            let bytes = self.bytes(at, stride)?;
            if bytes != &ZEROS[..stride] {
                let word = bytes
                    .chunks(8)
                    .position(|word| word != &ZEROS[..word.len()]);
                return Ok(Some(at + 8 * word.unwrap_or(0) as u64));
            }
            at += stride as u64;
        }
        Ok(None)
    }
}
