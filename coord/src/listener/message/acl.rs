//! ACLs: who may do what with a znode.

use super::super::jute::{Decode, JuteError, Reader, Writer};
use crate::Acl;

impl Decode for Acl {
    const BYTES_MIN: usize = 12;

    fn decode(reader: &mut Reader) -> Result<Acl, JuteError> {
        Ok(Acl {
            perms: reader.int()?,
            scheme: reader.nullable_string()?.unwrap_or_default(),
            id: reader.nullable_string()?.unwrap_or_default(),
        })
    }
}

/// Writes an ACL.
pub(crate) fn encode(acl: &[Acl], writer: &mut Writer<'_>) {
    writer.vector(acl, |writer, entry| {
        writer.int(entry.perms);
        writer.string(&entry.scheme);
        writer.string(&entry.id);
    });
}

/// Replaces a znode's ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetAclRequest {
    pub(crate) path: String,
    pub(crate) acl: Vec<Acl>,
    pub(crate) version: i32,
}

impl SetAclRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<SetAclRequest, JuteError> {
        Ok(SetAclRequest {
            path: reader.string()?,
            acl: reader.vector()?,
            version: reader.int()?,
        })
    }
}
