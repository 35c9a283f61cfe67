//! Kafka's wire protocol and record batches as Rust types.
//!
//! No I/O, no clock, no async: bytes in, types out, and back. Nothing here fails except by an
//! error for bytes that lie, and no decoder takes more memory than a small multiple of the bytes
//! that it was handed.
//!
//! ```
//! use milena_protocol::{
//!     AnyRequest, ApiKey, Reader, Request, RequestHeader, api::MetadataRequest, encode_request,
//! };
//!
//! let header = RequestHeader {
//!     api_key: MetadataRequest::KEY as i16,
//!     api_version: *ApiKey::Metadata.versions().end(),
//!     correlation_id: 1,
//!     client_id: Some("docs".into()),
//! };
//! let all_topics = MetadataRequest { topics: None, ..MetadataRequest::default() };
//! let frame = encode_request(&header, &all_topics);
//!
//! // A reader takes the frame without its 4-byte length.
//! let mut reader = Reader::new(frame.slice(4..));
//! assert_eq!(RequestHeader::decode(&mut reader)?, header);
//! let key = ApiKey::try_from(header.api_key)?;
//! let request = AnyRequest::decode(key, header.api_version, &mut reader)?;
//! assert_eq!(request, AnyRequest::Metadata(all_topics));
//! # Ok::<(), milena_protocol::DecodeError>(())
//! ```
//!
//! - [`wire`]: the bounded reader, the writer, and the declaration of messages.
//! - [`api`]: a module for each API; [`ApiKey`] knows their version ranges.
//! - [`frame`]: headers and whole frames.
//! - [`error`]: Kafka's error codes.
//! - [`records`]: record batches, their checks and their compression.
//! - [`internal`]: what is stored in `__consumer_offsets`, and what group members tell each other.

#[cfg(test)]
mod alloc_tests;
pub mod api;
mod api_key;
pub mod error;
pub mod frame;
pub mod internal;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod pinned_tests;
pub mod records;
pub mod wire;

pub use api::{AnyRequest, Request};
pub use api_key::ApiKey;
pub use error::ErrorCode;
pub use frame::{RequestHeader, ResponseHeader, encode_request, encode_response};
pub use wire::{DecodeError, Encoded, Message, Piece, Reader, Records, Str, Writer};
