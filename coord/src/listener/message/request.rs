//! A request after its header, whichever it is.

use super::super::jute::{JuteError, Reader};
use super::OpCode;
use super::acl::SetAclRequest;
use super::admin::ReconfigRequest;
use super::multi::{MultiOp, MultiReadOp, decode_reads, decode_writes};
use super::node::{CreateRequest, ReadRequest, SetDataRequest, VersionedRequest};
use super::session::AuthRequest;
use super::watch::{SetWatchesRequest, WatchRequest};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// create, create2, createContainer and createTTL.
    Create(CreateRequest),
    Delete(VersionedRequest),
    Exists(ReadRequest),
    GetData(ReadRequest),
    SetData(SetDataRequest),
    GetAcl(String),
    SetAcl(SetAclRequest),
    /// getChildren and getChildren2.
    GetChildren(ReadRequest),
    Sync(String),
    Ping,
    Multi(Vec<MultiOp>),
    MultiRead(Vec<MultiReadOp>),
    Reconfig(ReconfigRequest),
    CheckWatches(WatchRequest),
    RemoveWatches(WatchRequest),
    AddWatch(WatchRequest),
    /// setWatches and setWatches2.
    SetWatches(SetWatchesRequest),
    Auth(AuthRequest),
    /// Those below a path; none is all.
    GetEphemerals(Option<String>),
    GetAllChildrenNumber(String),
    WhoAmI,
    CloseSession,
    /// One that clients may not send outside a multi (check), may not send at all (deleteContainer), or that is not
    /// served here (sasl).
    NotServed,
}

impl Request {
    /// Reads what follows the header. What is left after it is passed over, as ZooKeeper does.
    pub(crate) fn decode(op: OpCode, reader: &mut Reader) -> Result<Request, JuteError> {
        Ok(match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
                Request::Create(CreateRequest::decode(reader)?)
            }
            OpCode::CreateTtl => Request::Create(CreateRequest::decode_with_ttl(reader)?),
            OpCode::Delete => Request::Delete(VersionedRequest::decode(reader)?),
            OpCode::Exists => Request::Exists(ReadRequest::decode(reader)?),
            OpCode::GetData => Request::GetData(ReadRequest::decode(reader)?),
            OpCode::SetData => Request::SetData(SetDataRequest::decode(reader)?),
            OpCode::GetAcl => Request::GetAcl(reader.string()?),
            OpCode::SetAcl => Request::SetAcl(SetAclRequest::decode(reader)?),
            OpCode::GetChildren | OpCode::GetChildren2 => {
                Request::GetChildren(ReadRequest::decode(reader)?)
            }
            OpCode::Sync => Request::Sync(reader.string()?),
            OpCode::Ping => Request::Ping,
            OpCode::Multi => Request::Multi(decode_writes(reader)?),
            OpCode::MultiRead => Request::MultiRead(decode_reads(reader)?),
            OpCode::Reconfig => Request::Reconfig(ReconfigRequest::decode(reader)?),
            OpCode::CheckWatches => Request::CheckWatches(WatchRequest::decode(reader)?),
            OpCode::RemoveWatches => Request::RemoveWatches(WatchRequest::decode(reader)?),
            OpCode::AddWatch => Request::AddWatch(WatchRequest::decode(reader)?),
            OpCode::SetWatches => Request::SetWatches(SetWatchesRequest::decode(reader)?),
            OpCode::SetWatches2 => {
                Request::SetWatches(SetWatchesRequest::decode_with_lasting(reader)?)
            }
            OpCode::Auth => Request::Auth(AuthRequest::decode(reader)?),
            OpCode::GetEphemerals => Request::GetEphemerals(reader.nullable_string()?),
            OpCode::GetAllChildrenNumber => Request::GetAllChildrenNumber(reader.string()?),
            OpCode::WhoAmI => Request::WhoAmI,
            OpCode::CloseSession => Request::CloseSession,
            OpCode::Check | OpCode::DeleteContainer | OpCode::Sasl => Request::NotServed,
        })
    }
}
