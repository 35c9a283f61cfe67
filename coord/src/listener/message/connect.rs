//! The first frame of a connection, and its answer.

use super::super::jute::{JuteError, Reader, Writer};

/// Bytes of a session's password.
pub(crate) const PASSWORD_BYTES: usize = 16;

/// What a client begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectRequest {
    /// A server that has not seen this much is not for this client.
    pub(crate) last_zxid_seen: i64,
    /// What it asks for.
    pub(crate) timeout_ms: i32,
    /// The session to take over; none for a new one.
    pub(crate) resume: Option<(i64, [u8; PASSWORD_BYTES])>,
    /// Whether a server that only reads would do. None from a client of before 3.4, whose frame has 44 bytes and
    /// whose answer must not have the byte, either.
    pub(crate) read_only: Option<bool>,
}

impl ConnectRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<ConnectRequest, JuteError> {
        let _protocol_version = reader.int()?;
        let last_zxid_seen = reader.long()?;
        let timeout_ms = reader.int()?;
        let session = reader.long()?;
        let password = reader.buffer()?.unwrap_or_default();
        let read_only = (reader.left() > 0).then(|| reader.bool()).transpose()?;
        // A password of another length is nobody's: all zeros is never given out.
        let password = <[u8; PASSWORD_BYTES]>::try_from(&password[..]).unwrap_or_default();
        Ok(ConnectRequest {
            last_zxid_seen,
            timeout_ms,
            resume: (session != 0).then_some((session, password)),
            read_only,
        })
    }
}

/// The answer: the session, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectResponse {
    pub(crate) timeout_ms: i32,
    /// 0: the session has ended.
    pub(crate) session: i64,
    pub(crate) password: [u8; PASSWORD_BYTES],
    /// Whether this server only reads; none for a client that does not know of it.
    pub(crate) read_only: Option<bool>,
}

impl ConnectResponse {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.int(0);
        writer.int(self.timeout_ms);
        writer.long(self.session);
        writer.buffer(&self.password);
        if let Some(read_only) = self.read_only {
            writer.bool(read_only);
        }
    }
}
