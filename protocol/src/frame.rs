//! Headers, and whole frames made of a header and a message.

use bytes::Bytes;

use crate::{
    ApiKey,
    api::Request,
    wire::{Context, DecodeError, Encoded, Message, Nullable, Reader, Str, Writer},
};

/// What stands in front of every request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    /// Chosen by the client, and returned to it with the response.
    pub correlation_id: i32,
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads a header of the version that its own API key and version call for. Of APIs that are
    /// not known it is read as version 1, whose fields begin all later ones.
    pub fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        let api_key = r.i16()?;
        let api_version = r.i16()?;
        let correlation_id = r.i32()?;
        // The client id keeps its old form in the flexible version, too.
        let client_id = Str::read_nullable(r, Context::new(1, 2))?;
        if header_version(api_key, api_version) >= 2 {
            r.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self {
            api_key,
            api_version,
            correlation_id,
            client_id,
        })
    }

    /// Writes the header in the version that its API key and version call for.
    pub fn encode(&self, w: &mut Writer) {
        w.i16(self.api_key);
        w.i16(self.api_version);
        w.i32(self.correlation_id);
        Str::write_nullable(self.client_id.as_ref(), w, Context::new(1, 2));
        if header_version(self.api_key, self.api_version) >= 2 {
            w.uvarint(0);
        }
    }
}

fn header_version(api_key: i16, api_version: i16) -> i16 {
    ApiKey::try_from(api_key).map_or(1, |key| key.request_header_version(api_version))
}

/// What stands in front of every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseHeader {
    /// The request's own.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header of an answer to a request of this API and version.
    pub fn decode(r: &mut Reader, key: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let correlation_id = r.i32()?;
        if key.response_header_version(version) >= 1 {
            r.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }
}

/// A request's whole frame, its 4-byte length in front. The header says the version.
pub fn encode_request<R: Request>(header: &RequestHeader, request: &R) -> Bytes {
    let mut w = Writer::frame();
    header.encode(&mut w);
    request.encode(&mut w, header.api_version);
    w.end_frame().bytes
}

/// A response's whole frame, its 4-byte length in front, with what is to be sent from elsewhere.
pub fn encode_response<M: Message>(
    correlation_id: i32,
    response: &M,
    key: ApiKey,
    version: i16,
) -> Encoded {
    let mut w = Writer::frame();
    w.i32(correlation_id);
    if key.response_header_version(version) >= 1 {
        w.uvarint(0);
    }
    response.encode(&mut w, version);
    w.end_frame()
}
