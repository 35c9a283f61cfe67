//! Znodes: create, delete, read, set and check one.

use bytes::Bytes;

use super::super::jute::{JuteError, Reader};
use crate::Acl;

/// Creates a znode: create, create2, createContainer and createTTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreateRequest {
    pub(crate) path: String,
    pub(crate) data: Bytes,
    pub(crate) acl: Vec<Acl>,
    /// See [`crate::CreateMode::of_flags`].
    pub(crate) flags: i32,
    /// 0 where the request has none.
    pub(crate) ttl_ms: i64,
}

impl CreateRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<CreateRequest, JuteError> {
        Ok(CreateRequest {
            path: reader.string()?,
            data: reader.buffer()?.unwrap_or_default(),
            acl: reader.vector()?,
            flags: reader.int()?,
            ttl_ms: 0,
        })
    }

    pub(crate) fn decode_with_ttl(reader: &mut Reader) -> Result<CreateRequest, JuteError> {
        let mut request = CreateRequest::decode(reader)?;
        request.ttl_ms = reader.long()?;
        Ok(request)
    }
}

/// A path and a version: delete and check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionedRequest {
    pub(crate) path: String,
    /// -1 is any.
    pub(crate) version: i32,
}

impl VersionedRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<VersionedRequest, JuteError> {
        Ok(VersionedRequest {
            path: reader.string()?,
            version: reader.int()?,
        })
    }
}

/// Replaces a znode's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetDataRequest {
    pub(crate) path: String,
    pub(crate) data: Bytes,
    /// -1 is any.
    pub(crate) version: i32,
}

impl SetDataRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<SetDataRequest, JuteError> {
        Ok(SetDataRequest {
            path: reader.string()?,
            data: reader.buffer()?.unwrap_or_default(),
            version: reader.int()?,
        })
    }
}

/// A path, and whether to watch it: exists, getData, getChildren and getChildren2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadRequest {
    pub(crate) path: String,
    pub(crate) watch: bool,
}

impl ReadRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<ReadRequest, JuteError> {
        Ok(ReadRequest {
            path: reader.string()?,
            watch: reader.bool()?,
        })
    }
}
