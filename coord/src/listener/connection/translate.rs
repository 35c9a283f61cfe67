//! What a request is to the service. Pure.

use super::super::message::acl::SetAclRequest;
use super::super::message::multi::{MultiOp, MultiReadOp};
use super::super::message::node::{CreateRequest, ReadRequest, SetDataRequest, VersionedRequest};
use super::super::message::session::AuthRequest;
use super::super::message::watch::WatchRequest;
use super::super::message::{OpCode, Request};

use crate::wire::{Read, SetWatches, WatcherType, Write};
use crate::{CreateMode, ErrorCode, Op};

/// What is to be done with a request.
#[derive(Debug)]
pub(super) enum Task {
    /// It changes something; several may be under way.
    Write(Write),
    /// It is to see what every write before it has done.
    Read(Read),
    /// It adds an identity.
    Auth(AuthRequest),
    /// It is answered here, and the connection goes on.
    Answer(ErrorCode),
    /// It is answered here, and the connection ends.
    Refuse(ErrorCode),
}

/// What a listener's settings say of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    pub(super) writes: bool,
    pub(super) reconfig: bool,
}

/// The task that a request is.
pub(super) fn task(op: OpCode, request: Request, allowed: Allowed) -> Task {
    let task = match request {
        Request::Create(request) => single(create(op, request)),
        Request::Delete(request) => single(Ok(delete(request))),
        Request::SetData(request) => single(Ok(set(request))),
        Request::SetAcl(request) => single(Ok(set_acl(request))),
        Request::Multi(ops) => {
            let ops: Result<Vec<Op>, ErrorCode> = ops.into_iter().map(multi_op).collect();
            match ops {
                Ok(ops) => Task::Write(Write::Ops(ops)),
                // ZooKeeper takes modes apart while it reads a multi, and calls one that it does not know unreadable.
                Err(_) => Task::Answer(ErrorCode::MarshallingError),
            }
        }
        Request::Sync(path) => Task::Write(Write::Sync { path }),
        Request::CloseSession => Task::Write(Write::CloseSession),
        Request::Exists(request) if request.path.contains('\0') => {
            Task::Answer(ErrorCode::BadArguments)
        }
        Request::Exists(ReadRequest { path, watch }) => Task::Read(Read::Exists { path, watch }),
        Request::GetData(ReadRequest { path, watch }) => Task::Read(Read::GetData { path, watch }),
        Request::GetChildren(ReadRequest { path, watch }) => {
            Task::Read(Read::GetChildren { path, watch })
        }
        Request::GetAcl(path) => Task::Read(Read::GetAcl { path }),
        Request::MultiRead(ops) => Task::Read(Read::MultiRead(ops.into_iter().map(read).collect())),
        Request::GetEphemerals(prefix) => {
            let prefix = prefix.unwrap_or_default();
            Task::Read(Read::GetEphemerals { prefix })
        }
        Request::GetAllChildrenNumber(path) => Task::Read(Read::GetAllChildrenNumber { path }),
        Request::WhoAmI => Task::Read(Read::WhoAmI),
        Request::SetWatches(request) => Task::Read(Read::SetWatches(SetWatches {
            relative_zxid: request.relative_zxid,
            data: request.data,
            exist: request.exist,
            children: request.children,
            persistent: request.persistent,
            recursive: request.recursive,
        })),
        Request::AddWatch(WatchRequest { path, kind }) => match kind {
            0 => Task::Read(Read::AddWatch {
                path,
                recursive: false,
            }),
            1 => Task::Read(Read::AddWatch {
                path,
                recursive: true,
            }),
            _ => Task::Answer(ErrorCode::MarshallingError),
        },
        Request::CheckWatches(request) => {
            of_watcher(request, |path, kind| Read::CheckWatches { path, kind })
        }
        Request::RemoveWatches(request) => {
            of_watcher(request, |path, kind| Read::RemoveWatches { path, kind })
        }
        Request::Auth(request) => Task::Auth(request),
        Request::Ping => Task::Answer(ErrorCode::Ok),
        // As a ZooKeeper that is alone answers.
        Request::Reconfig(_) if !allowed.reconfig => Task::Answer(ErrorCode::ReconfigDisabled),
        Request::Reconfig(_) => Task::Answer(ErrorCode::Unimplemented),
        Request::NotServed => Task::Refuse(ErrorCode::Unimplemented),
    };
    match task {
        Task::Write(Write::Ops(_)) if !allowed.writes => Task::Answer(ErrorCode::NotReadOnly),
        task => task,
    }
}

fn single(op: Result<Op, ErrorCode>) -> Task {
    match op {
        Ok(op) => Task::Write(Write::Ops(vec![op])),
        Err(error) => Task::Answer(error),
    }
}

fn version(number: i32) -> Option<i32> {
    (number != -1).then_some(number)
}

fn create(op: OpCode, request: CreateRequest) -> Result<Op, ErrorCode> {
    let mode =
        CreateMode::of_flags(request.flags, request.ttl_ms).ok_or(ErrorCode::BadArguments)?;
    let has_ttl = matches!(
        mode,
        CreateMode::PersistentWithTtl(_) | CreateMode::PersistentSequentialWithTtl(_)
    );
    // Where there is a TTL, the znode is to have one; where there is none but should be, the tree sees it.
    if op == OpCode::CreateTtl && !has_ttl && request.ttl_ms >= 0 {
        return Err(ErrorCode::BadArguments);
    }
    Ok(Op::Create {
        path: request.path,
        data: request.data,
        mode,
        acl: Some(request.acl),
    })
}

fn delete(
    VersionedRequest {
        path,
        version: number,
    }: VersionedRequest,
) -> Op {
    let version = version(number);
    Op::Delete { path, version }
}

fn set(request: SetDataRequest) -> Op {
    Op::SetData {
        path: request.path,
        data: request.data,
        version: version(request.version),
    }
}

fn set_acl(request: SetAclRequest) -> Op {
    Op::SetAcl {
        path: request.path,
        acl: request.acl,
        version: version(request.version),
    }
}

fn multi_op(op: MultiOp) -> Result<Op, ErrorCode> {
    Ok(match op {
        MultiOp::Create(op, request) => create(op, request)?,
        MultiOp::Delete(request) => delete(request),
        MultiOp::SetData(request) => set(request),
        MultiOp::Check(VersionedRequest {
            path,
            version: number,
        }) => Op::Check {
            path,
            version: version(number),
        },
    })
}

fn read(op: MultiReadOp) -> Read {
    match op {
        // Together with others, a read sets no watch, whatever its flag says.
        MultiReadOp::GetData(ReadRequest { path, .. }) => Read::GetData { path, watch: false },
        MultiReadOp::GetChildren(ReadRequest { path, .. }) => {
            Read::GetChildren { path, watch: false }
        }
    }
}

fn of_watcher(request: WatchRequest, read: impl FnOnce(String, WatcherType) -> Read) -> Task {
    match WatcherType::of_number(request.kind) {
        Some(kind) => Task::Read(read(request.path, kind)),
        None => Task::Answer(ErrorCode::MarshallingError),
    }
}
