//! How an answer looks. Pure.

use super::super::jute::Writer;
use super::super::message::header::ReplyHeader;
use super::super::message::multi::{self, MultiResult};
use super::super::message::{OpCode, acl, session, stat};
use crate::wire::Answer;
use crate::{ErrorCode, MultiError, OpResult};

/// What must be known of a request when its answer comes.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) xid: i32,
    /// None where the number was no operation's.
    pub(super) op: Option<OpCode>,
    /// Which of a multi's operations are plain creates, whose results have no numbers; their count is the multi's.
    pub(super) plain_creates: Vec<bool>,
}

/// Writes the answer of a request, and gives the error in its header.
pub(super) fn encode(
    asked: &Asked,
    zxid: i64,
    result: &Result<Answer, MultiError>,
    writer: &mut Writer<'_>,
) {
    let in_header = match result {
        Ok(_) => ErrorCode::Ok,
        Err(error) if asked.op == Some(OpCode::Multi) && !error.is_whole() => ErrorCode::Ok,
        Err(error) => error.error.code(),
    };
    header(asked, zxid, in_header, writer);
    match result {
        Ok(answer) => body(asked, answer, writer),
        Err(error) if in_header == ErrorCode::Ok => {
            for code in error.codes(asked.plain_creates.len()) {
                MultiResult::Error(code.code()).encode(writer);
            }
            multi::encode_end(writer);
        }
        Err(_) => {}
    }
}

/// Writes an answer that is a header alone.
pub(super) fn header(asked: &Asked, zxid: i64, error: ErrorCode, writer: &mut Writer<'_>) {
    let header = ReplyHeader {
        xid: asked.xid,
        zxid,
        error: error.code(),
    };
    header.encode(writer);
}

fn body(asked: &Asked, answer: &Answer, writer: &mut Writer<'_>) {
    match answer {
        Answer::Done(results) if asked.op == Some(OpCode::Multi) => {
            for (at, result) in results.iter().enumerate() {
                let plain = asked.plain_creates.get(at).copied().unwrap_or(false);
                multi_result(plain, result).encode(writer);
            }
            multi::encode_end(writer);
        }
        Answer::Done(results) => match results.first() {
            Some(OpResult::Created(created)) => {
                writer.string(&created.path);
                if asked.op != Some(OpCode::Create) {
                    stat::encode(&created.stat, writer);
                }
            }
            Some(OpResult::Set(numbers) | OpResult::AclSet(numbers)) => {
                stat::encode(numbers, writer);
            }
            Some(OpResult::Deleted | OpResult::Checked) | None => {}
        },
        Answer::Synced(path) => writer.string(path),
        Answer::Stat(numbers) => stat::encode(numbers, writer),
        Answer::Data(data, numbers) => {
            writer.buffer(data);
            stat::encode(numbers, writer);
        }
        Answer::Children(names, numbers) => {
            writer.vector(names, |writer, name| writer.string(name));
            if asked.op != Some(OpCode::GetChildren) {
                stat::encode(numbers, writer);
            }
        }
        Answer::Acl(list, numbers) => {
            acl::encode(list, writer);
            stat::encode(numbers, writer);
        }
        Answer::Ephemerals(paths) => writer.vector(paths, |writer, path| writer.string(path)),
        Answer::Count(count) => writer.int(*count),
        Answer::WhoAmI(identities) => session::encode_identities(identities, writer),
        Answer::Read(results) => {
            for result in results {
                read_result(result).encode(writer);
            }
            multi::encode_end(writer);
        }
        // addWatch is the one whose answer says "no error" twice.
        Answer::Nothing if asked.op == Some(OpCode::AddWatch) => writer.int(0),
        Answer::Nothing | Answer::Closed => {}
    }
}

fn multi_result(plain: bool, result: &OpResult) -> MultiResult<'_> {
    match result {
        OpResult::Created(created) if plain => MultiResult::Path(&created.path),
        OpResult::Created(created) => MultiResult::PathAndStat(&created.path, &created.stat),
        OpResult::Deleted => MultiResult::Deleted,
        OpResult::Set(numbers) | OpResult::AclSet(numbers) => MultiResult::Set(numbers),
        OpResult::Checked => MultiResult::Checked,
    }
}

fn read_result(result: &Result<Answer, ErrorCode>) -> MultiResult<'_> {
    match result {
        Ok(Answer::Data(data, numbers)) => MultiResult::Data(data, numbers),
        Ok(Answer::Children(names, _)) => MultiResult::Children(names),
        // Nothing else can be asked for in a multiRead.
        Ok(_) => MultiResult::Error(ErrorCode::SystemError.code()),
        Err(error) => MultiResult::Error(error.code()),
    }
}
