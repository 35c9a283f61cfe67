//! Several operations in one request, and their results in one answer.

use super::super::jute::{JuteError, Reader, Writer};
use super::node::{CreateRequest, ReadRequest, SetDataRequest, VersionedRequest};
use super::{OpCode, stat};
use crate::Stat;

/// The type of a failed operation's result.
const TYPE_ERROR: i32 = -1;

/// One write of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MultiOp {
    /// Any of the creates, and by which of them its result goes.
    Create(OpCode, CreateRequest),
    Delete(VersionedRequest),
    SetData(SetDataRequest),
    Check(VersionedRequest),
}

/// One read of a multiRead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MultiReadOp {
    GetData(ReadRequest),
    GetChildren(ReadRequest),
}

/// The type of the operation that comes, or none at the end.
fn header(reader: &mut Reader) -> Result<Option<i32>, JuteError> {
    let op = reader.int()?;
    let done = reader.bool()?;
    let _error = reader.int()?;
    Ok((!done).then_some(op))
}

/// Reads the operations of a multi. Each takes at least 17 bytes of the frame, so they need no limit here.
pub(crate) fn decode_writes(reader: &mut Reader) -> Result<Vec<MultiOp>, JuteError> {
    let mut ops = Vec::new();
    while let Some(op) = header(reader)? {
        ops.push(match OpCode::of_number(op) {
            Some(op @ (OpCode::Create | OpCode::Create2 | OpCode::CreateContainer)) => {
                MultiOp::Create(op, CreateRequest::decode(reader)?)
            }
            Some(op @ OpCode::CreateTtl) => {
                MultiOp::Create(op, CreateRequest::decode_with_ttl(reader)?)
            }
            Some(OpCode::Delete) => MultiOp::Delete(VersionedRequest::decode(reader)?),
            Some(OpCode::SetData) => MultiOp::SetData(SetDataRequest::decode(reader)?),
            Some(OpCode::Check) => MultiOp::Check(VersionedRequest::decode(reader)?),
            _ => return Err(JuteError::Number(op)),
        });
    }
    Ok(ops)
}

/// Reads the operations of a multiRead.
pub(crate) fn decode_reads(reader: &mut Reader) -> Result<Vec<MultiReadOp>, JuteError> {
    let mut ops = Vec::new();
    while let Some(op) = header(reader)? {
        ops.push(match OpCode::of_number(op) {
            Some(OpCode::GetData) => MultiReadOp::GetData(ReadRequest::decode(reader)?),
            Some(OpCode::GetChildren) => MultiReadOp::GetChildren(ReadRequest::decode(reader)?),
            _ => return Err(JuteError::Number(op)),
        });
    }
    Ok(ops)
}

/// What became of one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MultiResult<'a> {
    /// Of a create.
    Path(&'a str),
    /// Of the other creates.
    PathAndStat(&'a str, &'a Stat),
    Deleted,
    Set(&'a Stat),
    Checked,
    Data(&'a [u8], &'a Stat),
    Children(&'a [String]),
    Error(i32),
}

impl MultiResult<'_> {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        let (op, error) = match self {
            MultiResult::Path(_) => (OpCode::Create as i32, 0),
            MultiResult::PathAndStat(..) => (OpCode::Create2 as i32, 0),
            MultiResult::Deleted => (OpCode::Delete as i32, 0),
            MultiResult::Set(_) => (OpCode::SetData as i32, 0),
            MultiResult::Checked => (OpCode::Check as i32, 0),
            MultiResult::Data(..) => (OpCode::GetData as i32, 0),
            MultiResult::Children(_) => (OpCode::GetChildren as i32, 0),
            MultiResult::Error(error) => (TYPE_ERROR, *error),
        };
        encode_header(op, false, error, writer);
        match self {
            MultiResult::Path(path) => writer.string(path),
            MultiResult::PathAndStat(path, numbers) => {
                writer.string(path);
                stat::encode(numbers, writer);
            }
            MultiResult::Deleted | MultiResult::Checked => {}
            MultiResult::Set(numbers) => stat::encode(numbers, writer),
            MultiResult::Data(data, numbers) => {
                writer.buffer(data);
                stat::encode(numbers, writer);
            }
            MultiResult::Children(names) => {
                writer.vector(names, |writer, name| writer.string(name));
            }
            MultiResult::Error(error) => writer.int(*error),
        }
    }
}

/// Ends the results of a multi or multiRead.
pub(crate) fn encode_end(writer: &mut Writer<'_>) {
    encode_header(-1, true, -1, writer);
}

fn encode_header(op: i32, done: bool, error: i32, writer: &mut Writer<'_>) {
    writer.int(op);
    writer.bool(done);
    writer.int(error);
}
