//! `log.ZXID`: a header, and transactions, each with its checksum and an end mark; zeros, or nothing, after the last.

use std::path::Path;

use bytes::Bytes;

use super::state::{Node, State};
use super::{ImportError, adler32, because};
use crate::Zxid;
use crate::listener::jute::{Decode, JuteError, Reader};

const MAGIC: &[u8; 4] = b"ZKLG";
const HEADER_BYTES: usize = 16;
/// What ends a transaction.
const MARK: u8 = 0x42;

/// Who did what when.
#[derive(Clone, Copy)]
struct Head {
    session: i64,
    zxid: i64,
    time: i64,
}

/// Replays what a file holds after `from`. Where the `last` one is damaged, it ends: that was being written when the server stopped.
pub(super) fn replay(
    path: &Path,
    bytes: &Bytes,
    from: Zxid,
    state: &mut State,
    last: bool,
) -> Result<(), ImportError> {
    let format = |reason: String| ImportError::Format {
        path: path.to_owned(),
        reason,
    };
    if bytes.first_chunk() != Some(MAGIC) {
        return Err(format("it does not begin as a transaction log".to_owned()));
    }
    let mut at = HEADER_BYTES;
    while let Some(entry) = entry(bytes, at) {
        let Ok((txn, next)) = entry else {
            if last {
                tracing::warn!("{} ends at byte {at}, where it is torn", path.display());
                return Ok(());
            }
            return Err(ImportError::Damaged {
                path: path.to_owned(),
                position: at,
            });
        };
        at = next;
        apply(&mut Reader::new(txn), from, state)
            .map_err(|error| format(format!("before byte {at}: {}", because(error))))?;
    }
    Ok(())
}

/// The transaction at `at` and where the next begins; none at the end, an error where it is damaged.
fn entry(bytes: &Bytes, at: usize) -> Option<Result<(Bytes, usize), ()>> {
    let head = bytes.get(at..at + 12)?;
    let sum = u64::from_be_bytes(head[..8].try_into().ok()?);
    let length = i32::from_be_bytes(head[8..].try_into().ok()?);
    if length == 0 {
        return None;
    }
    let start = at + 12;
    let found = usize::try_from(length).ok().and_then(|length| {
        let end = start.checked_add(length)?;
        let whole = bytes.get(end) == Some(&MARK);
        (whole && u64::from(adler32(&bytes[start..end])) == sum)
            .then(|| (bytes.slice(start..end), end + 1))
    });
    Some(found.ok_or(()))
}

fn apply(reader: &mut Reader, from: Zxid, state: &mut State) -> Result<(), JuteError> {
    let session = reader.long()?;
    let _request = reader.int()?;
    let head = Head {
        session,
        zxid: reader.long()?,
        time: reader.long()?,
    };
    let kind = reader.int()?;
    if Zxid(head.zxid as u64) <= from {
        return Ok(());
    }
    apply_one(kind, head, reader, state)?;
    state.zxid = state.zxid.max(Zxid(head.zxid as u64));
    Ok(())
}

fn apply_one(
    kind: i32,
    head: Head,
    reader: &mut Reader,
    state: &mut State,
) -> Result<(), JuteError> {
    match kind {
        // create and create2, createContainer, createTTL
        1 | 15 | 19 | 21 => create(kind, head, reader, state)?,
        // delete, deleteContainer
        2 | 20 => state.delete(&reader.string()?, head.zxid),
        // setData, reconfig
        5 | 16 => {
            let (path, data, version) = (
                reader.string()?,
                reader.buffer()?.unwrap_or_default(),
                reader.int()?,
            );
            if let Some(node) = state.nodes.get_mut(&path) {
                (node.data, node.version) = (data, version);
                (node.mzxid, node.mtime) = (head.zxid, head.time);
            }
        }
        // setACL
        7 => {
            let (path, acl, version) = (reader.string()?, reader.vector()?, reader.int()?);
            if let Some(node) = state.nodes.get_mut(&path) {
                (node.acl, node.aversion) = (acl, version);
            }
        }
        // multi
        14 => {
            let parts: Vec<Part> = reader.vector()?;
            // One that failed changed nothing.
            if parts.iter().all(|part| part.kind != -1) {
                for part in parts {
                    apply_one(part.kind, head, &mut Reader::new(part.bytes), state)?;
                }
            }
        }
        // closeSession
        -11 => state.close_session(head.session, head.zxid),
        // createSession, check, and requests that failed
        -10 | 13 | -1 => {}
        other => return Err(JuteError::Number(other)),
    }
    Ok(())
}

fn create(kind: i32, head: Head, reader: &mut Reader, state: &mut State) -> Result<(), JuteError> {
    let (path, data, acl) = (
        reader.string()?,
        reader.buffer()?.unwrap_or_default(),
        reader.vector()?,
    );
    let (owner, children) = match kind {
        19 => (i64::MIN, reader.int()?),
        21 => {
            let children = reader.int()?;
            (reader.long()? | (0xff_u64 << 56) as i64, children)
        }
        _ => {
            let owner = if reader.bool()? { head.session } else { 0 };
            (owner, reader.int()?)
        }
    };
    let node = Node {
        data,
        acl,
        czxid: head.zxid,
        mzxid: head.zxid,
        ctime: head.time,
        mtime: head.time,
        owner,
        pzxid: head.zxid,
        ..Node::default()
    };
    state.create(path, node, children);
    Ok(())
}

/// One operation of a multi.
struct Part {
    kind: i32,
    bytes: Bytes,
}

impl Decode for Part {
    const BYTES_MIN: usize = 8;

    fn decode(reader: &mut Reader) -> Result<Part, JuteError> {
        Ok(Part {
            kind: reader.int()?,
            bytes: reader.buffer()?.unwrap_or_default(),
        })
    }
}
