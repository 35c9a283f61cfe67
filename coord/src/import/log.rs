//! One of ZooKeeper's log files, record by record, and where and how its records end.
//!
//! ```text
//! "ZKLG" · version (4) · db id (8) · (sum (8) · length (4) · transaction (length) · "B")* · zeros
//! ```
//! ZooKeeper writes zeros ahead, so what cannot be read may be a torn write, or damage. A sound record behind it tells:
//! nothing is written behind a record that is not.

use std::path::Path;

use super::adler::adler32;
use super::error::ImportError;
use super::jute::{Fault, Jute};
use super::txn::{HEADER_LEN, Header};
use crate::Zxid;

const MAGIC: &[u8; 4] = b"ZKLG";
const VERSION: &[u8; 4] = &[0, 0, 0, 2];
const FILE_HEADER_LEN: usize = 16;
/// The sum and the length.
const FRAME_LEN: usize = 12;
const RECORD_END: u8 = b'B';

/// Where the sound records of a file end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The byte after the last.
    pub(super) position: u64,
    /// What stands there instead of zeros or nothing.
    pub(super) rest: Rest,
}

/// What is behind the sound records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    /// The beginning of a record.
    Torn,
    /// A record with its end, whose sum is wrong.
    Wrong,
}

/// Takes a record: its header, the rest of it, and where in the file it is.
pub(super) type Visit<'a> = dyn FnMut(Header, Jute<&[u8]>, u64) -> Result<(), ImportError> + 'a;

enum Found<'a> {
    Sound { record: &'a [u8], next: usize },
    Zeros,
    Torn,
    Wrong,
}

/// Gives `visit` each record.
pub(super) fn scan(path: &Path, bytes: &[u8], visit: &mut Visit<'_>) -> Result<End, ImportError> {
    let damaged = |position: usize, reason: &str| ImportError::Damaged {
        path: path.to_owned(),
        position: position as u64,
        reason: reason.to_owned(),
    };
    let is_header = bytes.len() >= FILE_HEADER_LEN && bytes.starts_with(MAGIC);
    if !is_header {
        if bytes.iter().all(|byte| *byte == 0) || MAGIC.starts_with(bytes) {
            // A crash came before the header.
            return Ok(End {
                position: 0,
                rest: Rest::Nothing,
            });
        }
        return Err(damaged(0, "this is no log of a ZooKeeper"));
    }
    if bytes[4..8] != *VERSION {
        return Err(damaged(4, "the log is of a version that is not read"));
    }
    let mut position = FILE_HEADER_LEN;
    let mut last = Zxid::ZERO;
    let rest = loop {
        match record_at(bytes, position) {
            Found::Sound { record, next } => {
                let mut jute = Jute::of_record(record);
                let header = Header::read(&mut jute)
                    .map_err(|fault: Fault| damaged(position, &fault.to_string()))?;
                if header.zxid <= last {
                    let reason = format!("transaction {} comes after {last}", header.zxid);
                    return Err(damaged(position, &reason));
                }
                last = header.zxid;
                visit(header, jute, position as u64)?;
                position = next;
            }
            Found::Zeros => break Rest::Nothing,
            Found::Torn => break Rest::Torn,
            Found::Wrong => break Rest::Wrong,
        }
    };
    if let Some(later) = sound_after(bytes, position, last) {
        let reason = format!(
            "no sound record is here, after transaction {last}, but one is at byte {later}"
        );
        return Err(damaged(position, &reason));
    }
    Ok(End {
        position: position as u64,
        rest,
    })
}

fn record_at(bytes: &[u8], position: usize) -> Found<'_> {
    let rest = &bytes[position..];
    let Some((frame, body)) = rest.split_at_checked(FRAME_LEN) else {
        return if rest.iter().all(|byte| *byte == 0) {
            Found::Zeros
        } else {
            Found::Torn
        };
    };
    let (sum, len) = frame.split_at(8);
    let sum = sum.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let len = len
        .iter()
        .fold(0, |all, byte| all << 8 | usize::from(*byte));
    if len == 0 {
        return if rest.iter().all(|byte| *byte == 0) {
            Found::Zeros
        } else {
            Found::Torn
        };
    }
    if len < HEADER_LEN || body.get(len) != Some(&RECORD_END) {
        return Found::Torn;
    }
    let record = &body[..len];
    if u64::from(adler32(record)) != sum {
        return Found::Wrong;
    }
    Found::Sound {
        record,
        next: position + FRAME_LEN + len + 1,
    }
}

/// Where a sound record of a later transaction begins past `position`.
fn sound_after(bytes: &[u8], position: usize, last: Zxid) -> Option<usize> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    (position + 1..end).find(|at| {
        // The sum's upper half is 0 and the length's first byte nearly always, which spares most places the sum.
        if bytes.get(*at..at + 4) != Some(&[0; 4]) {
            return false;
        }
        let Found::Sound { record, .. } = record_at(bytes, *at) else {
            return false;
        };
        Header::read(&mut Jute::of_record(record)).is_ok_and(|header| header.zxid > last)
    })
}
