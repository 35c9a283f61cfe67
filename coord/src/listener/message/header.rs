//! What stands at the beginning of every request and every answer.

use super::super::jute::{JuteError, Reader, Writer};

/// The xid of an event.
pub(crate) const XID_EVENT: i32 = -1;

/// A request's number, which its answer bears, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestHeader {
    pub(crate) xid: i32,
    /// See [`super::OpCode`].
    pub(crate) op: i32,
}

impl RequestHeader {
    pub(crate) fn decode(reader: &mut Reader) -> Result<RequestHeader, JuteError> {
        Ok(RequestHeader {
            xid: reader.int()?,
            op: reader.int()?,
        })
    }
}

/// The beginning of an answer or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    /// 0, or a number of [`crate::ErrorCode`], and then nothing follows.
    pub(crate) error: i32,
}

impl ReplyHeader {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.int(self.xid);
        writer.long(self.zxid);
        writer.int(self.error);
    }
}
