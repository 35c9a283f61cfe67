//! Transactions, sessions and znodes as bytes: big-endian numbers, and lengths before what is long. Only the files of
//! this crate hold them; the version is in the head of each file.
//!
//! There is room to grow without a new version: a transaction ends in tagged fields, a session and a znode in a tail
//! whose length is given. What this version does not know there is passed over, except a field of a transaction that
//! says it must not be.

use bytes::Bytes;

use crate::Zxid;
use crate::tree::{
    Acl, AclList, Change, ClosedSession, NodeRecord, Origin, Password, SessionRecord, Txn, TxnBody,
};

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

    /// Passes over what a later version has added.
    fn tail(&mut self) -> Result<(), DecodeError> {
        let len = u16::from_be_bytes(self.array()?);
        self.take(usize::from(len)).map(|_| ())
    }

    /// Passes over the fields that a later version has added, to the end.
    fn fields(&mut self) -> Result<(), DecodeError> {
        while !self.is_empty() {
            let tag = self.u8()?;
            self.bytes()?;
            if tag >= MUST_KNOW {
                return Err(DecodeError("it has a field that this version must know"));
            }
        }
        Ok(())
    }

    fn acl(&mut self) -> Result<AclList, DecodeError> {
        let count = self.count(12)?;
        let line = |r: &mut Self| Ok(Acl::new(r.i32()?, r.text()?, r.text()?));
        let lines: Vec<Acl> = (0..count).map(|_| line(self)).collect::<Result<_, _>>()?;
        // No list is empty, so none is how the open one is written.
        if lines.is_empty() {
            return Ok(AclList::OPEN);
        }
        Ok(AclList::of(lines))
    }
}

fn put_acl(out: &mut Vec<u8>, acl: &AclList) {
    if acl.is_open() {
        return put_count(out, 0);
    }
    put_count(out, acl.lines().len());
    for line in acl.lines() {
        out.extend_from_slice(&line.perms.to_be_bytes());
        put_bytes(out, line.scheme.as_bytes());
        put_bytes(out, line.id.as_bytes());
    }
}

fn put_tail(out: &mut Vec<u8>) {
    out.extend_from_slice(&0_u16.to_be_bytes());
}

/// Fields of a transaction with this tag or a higher one cannot be passed over. Below it, 1 is kept for the digest of
/// the tree after the transaction.
const MUST_KNOW: u8 = 128;

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
const SET_ACL: u8 = 5;

/// A transaction without its zxid, which stands in the head of its log record.
pub(crate) fn encode_txn(txn: &Txn) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&txn.time.to_be_bytes());
    out.extend_from_slice(&txn.session.to_be_bytes());
    out.extend_from_slice(&txn.origin.member.to_be_bytes());
    out.extend_from_slice(&txn.origin.request.to_be_bytes());
    match &txn.body {
        TxnBody::OpenSession { id, record } => {
            out.push(OPEN_SESSION);
            encode_session(&mut out, *id, record);
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
            acl,
        } => {
            out.push(CREATE);
            put_bytes(out, path.as_bytes());
            put_bytes(out, data);
            out.extend_from_slice(&owner.to_be_bytes());
            out.extend_from_slice(&parent_created.to_be_bytes());
            put_acl(out, acl);
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
        Change::SetAcl { path, acl, version } => {
            out.push(SET_ACL);
            put_bytes(out, path.as_bytes());
            put_acl(out, acl);
            out.extend_from_slice(&version.to_be_bytes());
        }
        Change::Check => out.push(CHECK),
    }
}

/// What `encode_txn` wrote.
pub(crate) fn decode_txn(zxid: Zxid, bytes: &[u8]) -> Result<Txn, DecodeError> {
    let mut r = Reader(bytes);
    let (time, session) = (r.i64()?, r.i64()?);
    let (member, request) = (r.u64()?, r.u64()?);
    let body = match r.u8()? {
        OPEN_SESSION => {
            let (id, record) = decode_session(&mut r)?;
            TxnBody::OpenSession { id, record }
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
    r.fields()?;
    Ok(Txn {
        zxid,
        time,
        session,
        origin: Origin { member, request },
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
            acl: r.acl()?,
        },
        DELETE => Change::Delete {
            path: r.text()?.into(),
        },
        SET => Change::Set {
            path: r.text()?.into(),
            data: Bytes::copy_from_slice(r.bytes()?),
            version: r.i32()?,
        },
        SET_ACL => Change::SetAcl {
            path: r.text()?.into(),
            acl: r.acl()?,
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
    out.extend_from_slice(&record.incarnation.to_be_bytes());
    out.extend_from_slice(&record.password.0);
    put_tail(out);
}

pub(crate) fn decode_session(r: &mut Reader<'_>) -> Result<(i64, SessionRecord), DecodeError> {
    let id = r.i64()?;
    let record = SessionRecord {
        timeout_ms: r.u32()?,
        member: r.u64()?,
        incarnation: r.u64()?,
        password: Password(r.array()?),
    };
    r.tail()?;
    Ok((id, record))
}

/// The access control lists of one piece of a snapshot: each is written where it is met first, and then by its number.
#[derive(Debug, Default)]
pub(crate) struct PieceAcls(Vec<AclList>);

impl PieceAcls {
    fn put(&mut self, out: &mut Vec<u8>, acl: &AclList) {
        // Few lists make up a tree; past a few in one piece it is not worth to look for more.
        const LOOKED_AT: usize = 64;
        if acl.is_open() {
            return put_count(out, 0);
        }
        let seen = self.0.iter().take(LOOKED_AT).position(|seen| seen == acl);
        if let Some(index) = seen {
            return put_count(out, index + 2);
        }
        put_count(out, 1);
        put_acl(out, acl);
        self.0.push(acl.clone());
    }

    fn take(&mut self, r: &mut Reader<'_>) -> Result<AclList, DecodeError> {
        match r.u32()? as usize {
            0 => Ok(AclList::OPEN),
            1 => {
                let acl = r.acl()?;
                self.0.push(acl.clone());
                Ok(acl)
            }
            number => {
                let seen = self.0.get(number - 2).cloned();
                seen.ok_or(DecodeError("an unknown access control list"))
            }
        }
    }
}

/// A znode of a snapshot.
pub(crate) fn encode_node(out: &mut Vec<u8>, node: &NodeRecord, acls: &mut PieceAcls) {
    put_bytes(out, node.path.as_bytes());
    put_bytes(out, &node.data);
    out.extend_from_slice(&node.owner.to_be_bytes());
    for zxid in [node.czxid, node.mzxid, node.pzxid] {
        out.extend_from_slice(&zxid.0.to_be_bytes());
    }
    for time in [node.ctime, node.mtime] {
        out.extend_from_slice(&time.to_be_bytes());
    }
    for count in [node.version, node.created, node.aversion] {
        out.extend_from_slice(&count.to_be_bytes());
    }
    acls.put(out, &node.acl);
    put_tail(out);
}

pub(crate) fn decode_node(
    r: &mut Reader<'_>,
    acls: &mut PieceAcls,
) -> Result<NodeRecord, DecodeError> {
    let record = NodeRecord {
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
        aversion: r.i32()?,
        acl: acls.take(r)?,
    };
    r.tail()?;
    Ok(record)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
