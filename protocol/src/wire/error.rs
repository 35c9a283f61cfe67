//! Why bytes are not the message that they were taken for.

use thiserror::Error;

/// Why bytes could not be decoded. None of these is worth a retry: the peer is broken or hostile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A fixed-size field or a length reaches past the end.
    #[error("{needed} bytes are needed where {left} are left")]
    Truncated { needed: usize, left: usize },
    /// An array claims more elements than there are bytes left.
    #[error("an array of {count} elements cannot lie in the {left} bytes that are left")]
    ArrayTooLong { count: usize, left: usize },
    /// A length below -1, or -1 where null is not allowed to stand for it.
    #[error("a length of {0} is not one")]
    BadLength(i64),
    /// Null in a field that has none at this version.
    #[error("null stands where a value is required")]
    UnexpectedNull,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A varint that does not end, or does not fit its type.
    #[error("a varint is longer than its type")]
    VarintTooLong,
    /// A tagged field whose content is shorter than the size it announces.
    #[error("{0} bytes are left over after a tagged field")]
    LeftOver(usize),
    /// A request of an API that this implementation does not know.
    #[error("API key {0} is not known")]
    UnknownApi(i16),
    /// A version outside the implemented range, or a schema version from the future.
    #[error("version {version} of {what} is not supported")]
    UnsupportedVersion { what: &'static str, version: i16 },
}
