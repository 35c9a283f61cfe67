//! Transactions, sessions and znodes as bytes: big-endian numbers, and lengths before what is long. Only the files of
//! this crate hold them; the version is in the head of each file.

use bytes::Bytes;

use crate::Zxid;
use crate::tree::{Change, ClosedSession, NodeRecord, SessionRecord, Txn, TxnBody};

/// Bytes that a correct writer would not have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record cannot be decoded: {0}")]
pub(crate) struct DecodeError(&'static str);

pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(DecodeError("it is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn zxid(&mut self) -> Result<Zxid, DecodeError> {
        Ok(Zxid(self.u64()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError("a path is not UTF-8"))
    }

    /// A count of things of at least `min` bytes each, so that no count makes us reserve more than there can be.
    fn count(&mut self, min: usize) -> Result<usize, DecodeError> {
        let count = self.u32()? as usize;
        if count > self.0.len() / min {
            return Err(DecodeError("a count is too high"));
        }
        Ok(count)
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError("it is too long"))
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

const OPEN_SESSION: u8 = 1;
const CLOSE_SESSIONS: u8 = 2;
const CHANGES: u8 = 3;
const CREATE: u8 = 1;
const DELETE: u8 = 2;
const SET: u8 = 3;
const CHECK: u8 = 4;

/// A transaction without its zxid, which stands in the head of its log record.
pub(crate) fn encode_txn(txn: &Txn) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&txn.time.to_be_bytes());
    out.extend_from_slice(&txn.session.to_be_bytes());
    match &txn.body {
        TxnBody::OpenSession {
            id,
            timeout_ms,
            member,
        } => {
            out.push(OPEN_SESSION);
            let record = SessionRecord {
                timeout_ms: *timeout_ms,
                member: *member,
            };
            encode_session(&mut out, *id, &record);
        }
        TxnBody::CloseSessions(closed) => {
            out.push(CLOSE_SESSIONS);
            put_count(&mut out, closed.len());
            for session in closed {
                out.extend_from_slice(&session.id.to_be_bytes());
                put_count(&mut out, session.paths.len());
                for path in &session.paths {
                    put_bytes(&mut out, path.as_bytes());
                }
            }
        }
        TxnBody::Changes(changes) => {
            out.push(CHANGES);
            put_count(&mut out, changes.len());
            for change in changes {
                encode_change(&mut out, change);
            }
        }
    }
    out
}

fn encode_change(out: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Create {
            path,
            data,
            owner,
            parent_created,
        } => {
            out.push(CREATE);
            put_bytes(out, path.as_bytes());
            put_bytes(out, data);
            out.extend_from_slice(&owner.to_be_bytes());
            out.extend_from_slice(&parent_created.to_be_bytes());
        }
        Change::Delete { path } => {
            out.push(DELETE);
            put_bytes(out, path.as_bytes());
        }
        Change::Set {
            path,
            data,
            version,
        } => {
            out.push(SET);
            put_bytes(out, path.as_bytes());
            put_bytes(out, data);
            out.extend_from_slice(&version.to_be_bytes());
        }
        Change::Check => out.push(CHECK),
    }
}

/// What `encode_txn` wrote.
pub(crate) fn decode_txn(zxid: Zxid, bytes: &[u8]) -> Result<Txn, DecodeError> {
    let mut r = Reader(bytes);
    let (time, session) = (r.i64()?, r.i64()?);
    let body = match r.u8()? {
        OPEN_SESSION => {
            let (id, SessionRecord { timeout_ms, member }) = decode_session(&mut r)?;
            TxnBody::OpenSession {
                id,
                timeout_ms,
                member,
            }
        }
        CLOSE_SESSIONS => {
            let mut closed = Vec::with_capacity(r.count(12)?);
            for _ in 0..closed.capacity() {
                let id = r.i64()?;
                let count = r.count(4)?;
                let paths = (0..count)
                    .map(|_| r.text().map(Into::into))
                    .collect::<Result<_, _>>()?;
                closed.push(ClosedSession { id, paths });
            }
            TxnBody::CloseSessions(closed)
        }
        CHANGES => {
            let count = r.count(1)?;
            TxnBody::Changes(
                (0..count)
                    .map(|_| decode_change(&mut r))
                    .collect::<Result<_, _>>()?,
            )
        }
        _ => return Err(DecodeError("an unknown kind of transaction")),
    };
    r.end()?;
    Ok(Txn {
        zxid,
        time,
        session,
        body,
    })
}

fn decode_change(r: &mut Reader<'_>) -> Result<Change, DecodeError> {
    Ok(match r.u8()? {
        CREATE => Change::Create {
            path: r.text()?.into(),
            data: Bytes::copy_from_slice(r.bytes()?),
            owner: r.i64()?,
            parent_created: r.i32()?,
        },
        DELETE => Change::Delete {
            path: r.text()?.into(),
        },
        SET => Change::Set {
            path: r.text()?.into(),
            data: Bytes::copy_from_slice(r.bytes()?),
            version: r.i32()?,
        },
        CHECK => Change::Check,
        _ => return Err(DecodeError("an unknown kind of change")),
    })
}

/// A session of a snapshot.
pub(crate) fn encode_session(out: &mut Vec<u8>, id: i64, record: &SessionRecord) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&record.timeout_ms.to_be_bytes());
    out.extend_from_slice(&record.member.to_be_bytes());
}

pub(crate) fn decode_session(r: &mut Reader<'_>) -> Result<(i64, SessionRecord), DecodeError> {
    let id = r.i64()?;
    Ok((
        id,
        SessionRecord {
            timeout_ms: r.u32()?,
            member: r.u64()?,
        },
    ))
}

/// A znode of a snapshot.
pub(crate) fn encode_node(out: &mut Vec<u8>, node: &NodeRecord) {
    put_bytes(out, node.path.as_bytes());
    put_bytes(out, &node.data);
    out.extend_from_slice(&node.owner.to_be_bytes());
    for zxid in [node.czxid, node.mzxid, node.pzxid] {
        out.extend_from_slice(&zxid.0.to_be_bytes());
    }
    for time in [node.ctime, node.mtime] {
        out.extend_from_slice(&time.to_be_bytes());
    }
    for count in [node.version, node.created] {
        out.extend_from_slice(&count.to_be_bytes());
    }
}

pub(crate) fn decode_node(r: &mut Reader<'_>) -> Result<NodeRecord, DecodeError> {
    Ok(NodeRecord {
        path: r.text()?.to_owned(),
        data: r.bytes()?.into(),
        owner: r.i64()?,
        czxid: r.zxid()?,
        mzxid: r.zxid()?,
        pzxid: r.zxid()?,
        ctime: r.i64()?,
        mtime: r.i64()?,
        version: r.i32()?,
        created: r.i32()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> impl Strategy<Value = Change> {
        let data = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        prop_oneof![
            (".*", data(), any::<i64>(), any::<i32>()).prop_map(
                |(path, data, owner, parent_created)| {
                    Change::Create {
                        path: path.into(),
                        data,
                        owner,
                        parent_created,
                    }
                }
            ),
            ".*".prop_map(|path| Change::Delete { path: path.into() }),
            (".*", data(), any::<i32>()).prop_map(|(path, data, version)| Change::Set {
                path: path.into(),
                data,
                version
            }),
            Just(Change::Check),
        ]
    }

    fn body() -> impl Strategy<Value = TxnBody> {
        let closed = (any::<i64>(), prop::collection::vec(".*", 0..4)).prop_map(|(id, paths)| {
            ClosedSession {
                id,
                paths: paths.into_iter().map(Into::into).collect(),
            }
        });
        prop_oneof![
            (any::<i64>(), any::<u32>(), any::<u64>()).prop_map(|(id, timeout_ms, member)| {
                TxnBody::OpenSession {
                    id,
                    timeout_ms,
                    member,
                }
            }),
            prop::collection::vec(closed, 0..4).prop_map(TxnBody::CloseSessions),
            prop::collection::vec(change(), 0..6).prop_map(TxnBody::Changes),
        ]
    }

    proptest! {
        #[test]
        fn a_transaction_comes_back_and_no_part_of_one_does(
            zxid: u64, time: i64, session: i64, body in body(), cut in 0.0_f64..1.0,
        ) {
            let txn = Txn { zxid: Zxid(zxid), time, session, body };
            let bytes = encode_txn(&txn);
            prop_assert_eq!(decode_txn(txn.zxid, &bytes), Ok(txn.clone()));
            let part = &bytes[..(bytes.len() as f64 * cut) as usize];
            prop_assert!(decode_txn(txn.zxid, part).is_err());
        }

        #[test]
        fn noise_is_refused_or_read_but_never_trusted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_txn(Zxid(1), &bytes);
            let _ = decode_node(&mut Reader::new(&bytes));
            let _ = decode_session(&mut Reader::new(&bytes));
        }
    }
}
