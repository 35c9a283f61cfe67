//! What a record of ZooKeeper's log says, as a transaction of ours.

use bytes::Bytes;

use super::error::ImportError;
use super::jute::{Fault, Jute, bad};
use super::session;
use crate::Zxid;
use crate::tree::{AclList, Change, ClosedSession, Kind, Origin, Tree, Txn, TxnBody, check_path};

/// The bytes of [`Header`].
pub(super) const HEADER_LEN: usize = 32;
/// ZooKeeper's digest of its tree, which may follow a transaction: a version and a sum.
const DIGEST_LEN: u64 = 12;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const SET_DATA: i32 = 5;
const SET_ACL: i32 = 7;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
const CREATE_2: i32 = 15;
const RECONFIG: i32 = 16;
const CREATE_CONTAINER: i32 = 19;
const DELETE_CONTAINER: i32 = 20;
const CREATE_TTL: i32 = 21;
const CREATE_SESSION: i32 = -10;
const CLOSE_SESSION: i32 = -11;
const ERROR: i32 = -1;

/// What every record begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    session: i64,
    pub(super) zxid: Zxid,
    time: i64,
    kind: i32,
}

type Record<'a> = Jute<&'a [u8]>;

impl Header {
    pub(super) fn read(record: &mut Record<'_>) -> Result<Header, Fault> {
        let session = record.long()?;
        record.int()?;
        Ok(Header {
            session,
            zxid: Zxid(record.long()? as u64),
            time: record.long()?,
            kind: record.int()?,
        })
    }
}

/// Why a sound record cannot be carried out.
pub(super) enum Refusal {
    /// It is not what its kind says.
    Fault(Fault),
    /// What it does has no place here.
    Unfit(ImportError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Fault(fault)
    }
}

/// The transaction of a record that begins with `header`, to be applied to `tree` next. One that has failed changes
/// nothing.
pub(super) fn translate(
    header: &Header,
    record: &mut Record<'_>,
    tree: &Tree,
) -> Result<Txn, Refusal> {
    let body = match header.kind {
        CREATE_SESSION => TxnBody::OpenSession {
            id: header.session,
            record: session::record(header.session, record.int()?).map_err(Refusal::Unfit)?,
        },
        CLOSE_SESSION => TxnBody::CloseSessions(vec![closed(header.session, record, tree)?]),
        MULTI => TxnBody::Changes(multi(header, record, tree)?),
        kind => TxnBody::Changes(change(kind, header, record, tree)?.into_iter().collect()),
    };
    Ok(Txn {
        zxid: header.zxid,
        time: header.time,
        session: header.session,
        origin: Origin::default(),
        body,
    })
}

/// The session's znodes are those that the tree knows of, and those that the record names: a fuzzy snapshot may have
/// missed some.
fn closed(id: i64, record: &mut Record<'_>, tree: &Tree) -> Result<ClosedSession, Refusal> {
    let mut paths: Vec<Box<str>> = tree.ephemerals(id).map(Into::into).collect();
    // Older versions name none, and a digest may stand there.
    if record.left() > 0 {
        let mut named = record.clone();
        match strings(&mut named) {
            Ok(named) => paths.extend(named.into_iter().map(Into::into)),
            Err(_) if record.left() == DIGEST_LEN => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(ClosedSession { id, paths })
}

fn strings(record: &mut Record<'_>) -> Result<Vec<String>, Fault> {
    let count = record.count(4)?;
    (0..count).map(|_| record.string()).collect()
}

fn multi(header: &Header, record: &mut Record<'_>, tree: &Tree) -> Result<Vec<Change>, Refusal> {
    let mut parts = Vec::new();
    for _ in 0..record.count(8)? {
        parts.push((record.int()?, record.buffer()?));
    }
    // One that has failed undoes the others, which are recorded beside it.
    if parts.iter().any(|(kind, _)| *kind == ERROR) {
        return Ok(Vec::new());
    }
    let mut changes = Vec::with_capacity(parts.len());
    for (kind, part) in parts {
        changes.extend(change(kind, header, &mut Jute::of_record(&part), tree)?);
    }
    Ok(changes)
}

fn change(
    kind: i32,
    header: &Header,
    record: &mut Record<'_>,
    tree: &Tree,
) -> Result<Option<Change>, Refusal> {
    let change = match kind {
        CREATE | CREATE_2 | CREATE_CONTAINER | CREATE_TTL => create(kind, header, record, tree)?,
        DELETE | DELETE_CONTAINER => Change::Delete {
            path: path(record)?,
        },
        SET_DATA | RECONFIG => Change::Set {
            path: path(record)?,
            data: Bytes::from(record.buffer()?),
            version: record.int()?,
        },
        SET_ACL => Change::SetAcl {
            path: path(record)?,
            acl: AclList::of(record.acl()?),
            version: record.int()?,
        },
        CHECK => Change::Check,
        ERROR => return Ok(None),
        kind => return Ok(bad(format!("a transaction of unknown type {kind}"))?),
    };
    Ok(Some(change))
}

fn create(
    kind: i32,
    header: &Header,
    record: &mut Record<'_>,
    tree: &Tree,
) -> Result<Change, Refusal> {
    let path = path(record)?;
    let data = Bytes::from(record.buffer()?);
    let acl = AclList::of(record.acl()?);
    let is_ephemeral = matches!(kind, CREATE | CREATE_2) && record.bool()?;
    // Before ZooKeeper 3.4 the parent's count was not recorded.
    let mut parent_created = if kind == CREATE && record.left() == 0 {
        -1
    } else {
        record.int()?
    };
    if parent_created == -1 {
        let parent = path
            .rfind('/')
            .filter(|at| *at > 0)
            .map_or("/", |at| &path[..at]);
        let stat = tree.exists(parent).unwrap_or_default();
        parent_created = stat.cversion.wrapping_add(stat.num_children) / 2 + 1;
    }
    let kind = match kind {
        CREATE_CONTAINER => Kind::Container,
        CREATE_TTL => Kind::Ttl(record.long()?),
        _ if is_ephemeral => Kind::Ephemeral(header.session),
        _ => Kind::Persistent,
    };
    Ok(Change::Create {
        path,
        data,
        owner: kind.to_owner(),
        parent_created,
        acl,
    })
}

fn path(record: &mut Record<'_>) -> Result<Box<str>, Refusal> {
    let path = record.string()?;
    check_path(&path).map_err(|error| {
        Refusal::Unfit(ImportError::Unfit {
            what: format!("znode {path:?}"),
            reason: error.to_string(),
        })
    })?;
    Ok(path.into())
}
