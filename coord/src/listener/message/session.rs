//! Who the client is.

use bytes::Bytes;

use super::super::jute::{JuteError, Reader, Writer};

/// Adds an identity to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthRequest {
    pub(crate) scheme: String,
    pub(crate) auth: Bytes,
}

impl AuthRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<AuthRequest, JuteError> {
        let _type = reader.int()?;
        Ok(AuthRequest {
            scheme: reader.nullable_string()?.unwrap_or_default(),
            auth: reader.buffer()?.unwrap_or_default(),
        })
    }
}

/// Writes the identities of a connection: scheme and name of each.
pub(crate) fn encode_identities(identities: &[(String, String)], writer: &mut Writer<'_>) {
    writer.vector(identities, |writer, (scheme, name)| {
        writer.string(scheme);
        writer.string(name);
    });
}
