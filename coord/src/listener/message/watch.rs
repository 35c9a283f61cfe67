//! Watches: set, looked for, removed and told.

use super::super::jute::{JuteError, Reader, Writer};
use super::header::{ReplyHeader, XID_EVENT};

/// SyncConnected: the only state in which events of znodes are told.
const STATE_CONNECTED: i32 = 3;

/// The watches of a client that has reconnected: setWatches, and setWatches2 with the two lasting kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetWatchesRequest {
    /// What has changed after this is told at once.
    pub(crate) relative_zxid: i64,
    pub(crate) data: Vec<String>,
    pub(crate) exist: Vec<String>,
    pub(crate) children: Vec<String>,
    pub(crate) persistent: Vec<String>,
    pub(crate) recursive: Vec<String>,
}

impl SetWatchesRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<SetWatchesRequest, JuteError> {
        Ok(SetWatchesRequest {
            relative_zxid: reader.long()?,
            data: reader.vector()?,
            exist: reader.vector()?,
            children: reader.vector()?,
            ..SetWatchesRequest::default()
        })
    }

    pub(crate) fn decode_with_lasting(reader: &mut Reader) -> Result<SetWatchesRequest, JuteError> {
        let mut request = SetWatchesRequest::decode(reader)?;
        request.persistent = reader.vector()?;
        request.recursive = reader.vector()?;
        Ok(request)
    }
}

/// A path and a number of what to watch or to look for: addWatch, checkWatches and removeWatches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchRequest {
    pub(crate) path: String,
    /// addWatch: 0 persistent, 1 recursive. The others: 1 children, 2 data, 3 any, 4 persistent, 5 recursive.
    pub(crate) kind: i32,
}

impl WatchRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<WatchRequest, JuteError> {
        Ok(WatchRequest {
            path: reader.string()?,
            kind: reader.int()?,
        })
    }
}

/// Writes an event, which is no answer: nobody's xid, and never an error.
pub(crate) fn encode_event(kind: i32, path: &str, zxid: i64, writer: &mut Writer<'_>) {
    let header = ReplyHeader {
        xid: XID_EVENT,
        zxid,
        error: 0,
    };
    header.encode(writer);
    writer.int(kind);
    writer.int(STATE_CONNECTED);
    writer.string(path);
}
