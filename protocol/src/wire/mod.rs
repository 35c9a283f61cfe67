//! Reading and writing Kafka's primitive types, and the declaration of messages made of them.
//!
//! [`Reader`] checks every length against what is left of the frame before anything is allocated;
//! [`Writer`] cannot fail. The `messages!` macro turns a declaration of fields with their version
//! ranges into a struct that both understand. What the fields of an API are stands in
//! [`crate::api`]; what lies inside a record batch in [`crate::records`].

#[cfg(test)]
mod arbitrary;
mod error;
mod field;
mod message;
mod reader;
mod records;
mod writer;

#[cfg(test)]
pub(crate) use arbitrary::Gen;
pub use error::DecodeError;
pub(crate) use field::{Context, Field, Nullable};
pub(crate) use message::messages;
pub use reader::Reader;
pub use records::Records;
pub use writer::{Encoded, Piece, Writer};

/// An immutable string, most often a slice of the frame that it came in.
///
/// Whoever keeps one beyond the request copies it into a `String`: it pins its whole frame.
pub type Str = bytestring::ByteString;

/// What has a wire form in each of its versions.
///
/// A field that a version does not know encodes nothing and decodes to its default.
pub trait Message: Sized {
    /// Reads the message as `version` lays it out. Bytes after it are left in the reader.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message as `version` lays it out.
    fn encode(&self, writer: &mut Writer, version: i16);
}
